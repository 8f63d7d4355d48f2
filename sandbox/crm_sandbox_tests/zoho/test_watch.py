from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from crm_sandbox_tests.zoho.receivers import Receiver

WEEK = "2026-11-08T12:00:00+00:00"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def entry(url: str, *events: str, number: str = "1000000068001", **more) -> dict:
    events = events or ("Contacts.all",)
    return {"channel_id": number, "events": list(events), "notify_url": url, "token": "t1", **more}


def watch(client, *entries: dict, method: str = "POST"):
    body = {"watch": list(entries)}
    return client.http.request(method, f"{client.root}/crm/v8/actions/watch", json=body)


def expiry(response) -> str:
    return response.json()["watch"][0]["details"]["events"][0]["channel_expiry"]


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (WEEK, "2026-11-08T04:00:00-08:00"),
        ("2026-11-01T15:00:00+03:00", None),
        ("2026-11-01T12:30:00+00:00", "2026-11-01T04:30:00-08:00"),
        ("2026-11-08T12:00:01+00:00", "2026-11-01T05:00:00-08:00"),
        (None, "2026-11-01T05:00:00-08:00"),
    ],
)
def test_expiry(shared_zoho, asked: str | None, given: str | None) -> None:
    """Statement 16: an expiry more than a week ahead, or none, silently becomes one hour."""
    more = {"channel_expiry": asked} if asked else {}
    response = watch(shared_zoho, entry("https://example.org/x", **more))
    if given is None:
        assert (response.status_code, response.json()["watch"][0]["code"]) == (400, "INVALID_DATA")
        return
    assert response.status_code == 201
    assert response.json()["watch"][0]["message"].startswith("Successfully subscribed")
    assert expiry(response) == given


def test_expired_channel(own_zoho, receiver) -> None:
    """Statement 16: a channel that has ended is told nothing, and is listed no more."""
    watch(own_zoho, entry(receiver.url))
    own_zoho.post("/Contacts", {"data": [{"Last_Name": "seen"}]})
    receiver.wait_for(1)
    own_zoho.advance(3600)
    own_zoho.login()
    own_zoho.post("/Contacts", {"data": [{"Last_Name": "unseen"}]})
    assert own_zoho.get("/actions/watch").status_code == 204
    watch(own_zoho, entry(receiver.url, number="2"))
    own_zoho.post("/Contacts", {"data": [{"Last_Name": "again"}]})
    assert [one["channel_id"] for one in receiver.wait_for(2)] == ["1000000068001", "2"]


def test_operations(own_zoho, receiver) -> None:
    """Statement 16: events say create and edit, notifications insert, update and delete."""
    watch(own_zoho, entry(receiver.url, channel_expiry=WEEK))
    made = own_zoho.post("/Contacts", {"data": [{"Last_Name": "a"}, {"Last_Name": "b"}]})
    ids = [one["details"]["id"] for one in made.json()["data"]]
    receiver.wait_for(1)
    own_zoho.put("/Contacts", {"data": [{"id": ids[0], "Title": "T"}]})
    receiver.wait_for(2)
    own_zoho.delete(f"/Contacts?ids={ids[1]}")
    own_zoho.post("/Leads", {"data": [{"Last_Name": "unwatched"}]})
    first, second, third = receiver.wait_for(3)
    assert (first["operation"], first["ids"]) == ("insert", ids)
    assert (second["operation"], second["ids"]) == ("update", ids[:1])
    assert (third["operation"], third["ids"]) == ("delete", ids[1:])
    assert first == {
        "server_time": 1793534400000,
        "query_params": {},
        "module": "Contacts",
        "resource_uri": "https://www.zohoapis.com/crm/v2/Contacts",
        "ids": ids,
        "affected_fields": [],
        "operation": "insert",
        "channel_id": "1000000068001",
        "token": "t1",
    }


def test_only_what_is_asked(own_zoho, receiver) -> None:
    """A channel hears of its events alone, and with a condition of changes of its fields alone."""
    condition = {
        "type": "field_selection",
        "module": {"api_name": "Contacts"},
        "field_selection": {"group_operator": "or", "group": [{"field": {"api_name": "Email"}}]},
    }
    watch(own_zoho, entry(receiver.url, "Contacts.edit", notification_condition=[condition]))
    record = own_zoho.zoho.rows("Contacts")[0]["id"]
    own_zoho.post("/Contacts", {"data": [{"Last_Name": "new"}]})
    own_zoho.put("/Contacts", {"data": [{"id": record, "Title": "T"}]})
    own_zoho.admin(
        "formula_change", name="Contacts", record=record, fields={"Email": "f@x.example"}
    )
    own_zoho.put("/Contacts", {"data": [{"id": record, "Email": "e@example.org"}]})
    (came,) = receiver.wait_for(1)
    assert (came["operation"], came["ids"]) == ("update", [record])


def test_values(own_zoho, receiver) -> None:
    """With return_affected_field_values a notification carries the changed fields and their values."""
    watch(own_zoho, entry(receiver.url, return_affected_field_values=True))
    record = own_zoho.zoho.rows("Contacts")[0]["id"]
    own_zoho.admin("edit", name="Contacts", record=record, fields={"Title": "Boss", "Visits": 5})
    (came,) = receiver.wait_for(1)
    assert came["affected_fields"] == [{record: ["Title", "Visits"]}]
    assert came["affected_values"] == [
        {"record_id": record, "values": {"Title": "Boss", "Visits": 5}}
    ]


def test_several_shuffled_twice_and_forged(own_zoho, receiver) -> None:
    """Statement 16: notifications may name several ids, come twice, out of order, or with a wrong token."""
    watch(own_zoho, entry(receiver.url))
    own_zoho.admin("hold_notices")
    made = [
        own_zoho.admin("create", name="Contacts", fields={"Last_Name": f"n{k}"}) for k in range(4)
    ]
    own_zoho.admin("edit", name="Contacts", record=made[0], fields={"Title": "T"})
    assert own_zoho.admin("release_notices", combine=True) == 2
    inserted, updated = receiver.wait_for(2)
    assert (inserted["ids"], updated["ids"]) == (made, made[:1])
    for k in range(6):
        own_zoho.admin("edit", name="Contacts", record=made[k % 4], fields={"Title": f"T{k}"})
    order = [made[k % 4] for k in range(6)]
    assert own_zoho.admin("release_notices", shuffle=True, duplicates=1) == 12
    came = [one["ids"][0] for one in receiver.wait_for(14)[2:]]
    assert sorted(came) == sorted(order * 2)
    assert came != [number for number in order for _ in range(2)]
    own_zoho.admin("edit", name="Contacts", record=made[0], fields={"Title": "forged"})
    own_zoho.admin("release_notices", wrong_token=True)
    assert receiver.wait_for(15)[-1]["token"] != "t1"
    own_zoho.admin("hold_notices", on=False)
    own_zoho.admin("set_watch", uri_version="v8")
    own_zoho.admin("edit", name="Contacts", record=made[0], fields={"Title": "last"})
    last = receiver.wait_for(16)[-1]
    assert (last["token"], last["resource_uri"][-12:]) == ("t1", "/v8/Contacts")


def test_nothing_is_sent_again(own_zoho, receiver) -> None:
    """Statement 16: a notification that the receiver refuses is not sent again."""
    receiver.status = 500
    watch(own_zoho, entry(receiver.url))
    own_zoho.admin("create", name="Contacts", fields={"Last_Name": "x"})
    receiver.wait_for(1)
    receiver.status = 200
    own_zoho.admin("create", name="Contacts", fields={"Last_Name": "y"})
    assert len(receiver.wait_for(2)) == 2
    url = f"{own_zoho.sandbox.url}/_admin/zoho/deliveries"

    def statuses() -> list[int]:
        return [one["status"] for one in own_zoho.http.get(url).json()["deliveries"]]

    # The receiver has the call a moment before the sender has its answer.
    until = time.monotonic() + 10
    while len(statuses()) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert statuses() == [500, 200]


def test_channels_are_listed_changed_and_ended(own_zoho) -> None:
    """Channels are listed, replaced by PUT, changed by PATCH and ended by DELETE."""
    assert own_zoho.get("/actions/watch").status_code == 204
    first = entry("https://example.org/1", "Contacts.edit", "Deals.all", channel_expiry=WEEK)
    watch(own_zoho, first, entry("https://example.org/2", "Leads.create", number="2"))
    listed = own_zoho.get("/actions/watch").json()
    assert [one["resource_name"] for one in listed["watch"]] == ["Contacts", "Deals", "Leads"]
    assert listed["info"]["count"] == 3
    (deals,) = own_zoho.get(f"/actions/watch?channel_id={first['channel_id']}&module=Deals").json()[
        "watch"
    ]
    assert (deals["events"], deals["notify_url"], deals["token"]) == (
        ["Deals.all"],
        "https://example.org/1",
        "t1",
    )
    patched = {"channel_id": "2", "token": "other"}
    assert watch(own_zoho, patched, method="PATCH").status_code == 200
    (leads,) = own_zoho.get("/actions/watch?channel_id=2").json()["watch"]
    assert (leads["token"], leads["events"]) == ("other", ["Leads.create"])
    replaced = {key: value for key, value in first.items() if key != "token"}
    watch(own_zoho, replaced | {"events": ["Cases.all"]}, method="PUT")
    (cases,) = own_zoho.get(f"/actions/watch?channel_id={first['channel_id']}").json()["watch"]
    assert (cases["resource_name"], cases["token"]) == ("Cases", None)
    ended = own_zoho.delete(f"/actions/watch?channel_ids={first['channel_id']},77")
    assert ended.status_code == 207
    assert [one["code"] for one in ended.json()["watch"]] == ["SUCCESS", "NOT_SUBSCRIBED"]
    assert [one["channel_id"] for one in own_zoho.get("/actions/watch").json()["watch"]] == ["2"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"channel_id": None}, "MANDATORY_NOT_FOUND"),
        ({"channel_id": "abc"}, "INVALID_DATA"),
        ({"notify_url": None}, "MANDATORY_NOT_FOUND"),
        ({"notify_url": "nowhere"}, "INVALID_DATA"),
        ({"token": "x" * 51}, "INVALID_DATA"),
        ({"events": None}, "MANDATORY_NOT_FOUND"),
        ({"events": ["Contacts.read"]}, "INVALID_DATA"),
        ({"events": ["Nothings.all"]}, "INVALID_DATA"),
        (
            {
                "notification_condition": [
                    {
                        "type": "field_selection",
                        "module": {"api_name": "Contacts"},
                        "field_selection": {
                            "group_operator": "or",
                            "group": [{"field": {"api_name": "Email"}}] * 11,
                        },
                    }
                ]
            },
            "LIMIT_REACHED",
        ),
    ],
)
def test_refusals(shared_zoho, change: dict, code: str) -> None:
    """A channel that cannot be made says why; others of the same request are made."""
    bad = {k: v for k, v in (entry("https://example.org") | change).items() if v is not None}
    response = watch(shared_zoho, bad, entry("https://example.org", number="2"))
    assert response.status_code == 207
    assert [one["code"] for one in response.json()["watch"]] == [code, "SUCCESS"]


def test_unknown_channels_and_bodies(own_zoho) -> None:
    """A channel that there is not cannot be changed; a body without channels is refused."""
    for method in ("PUT", "PATCH"):
        response = watch(own_zoho, entry("https://example.org"), method=method)
        assert (response.status_code, response.json()["watch"][0]["code"]) == (
            400,
            "NOT_SUBSCRIBED",
        )
    assert own_zoho.refusal(own_zoho.post("/actions/watch", {})) == (400, "MANDATORY_NOT_FOUND")
    assert own_zoho.refusal(own_zoho.delete("/actions/watch"))[1] == "REQUIRED_PARAM_MISSING"
    own_zoho.login("ZohoCRM.modules.ALL")
    assert own_zoho.refusal(own_zoho.get("/actions/watch"))[1] == "OAUTH_SCOPE_MISMATCH"
