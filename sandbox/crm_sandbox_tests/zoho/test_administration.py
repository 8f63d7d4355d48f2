from __future__ import annotations

import pytest


def seen(client, path: str, **query: str):
    return client.http.get(f"{client.sandbox.url}/_admin/zoho/{path}", params=query)


def test_the_truth_over_http(zoho) -> None:
    """Counts, rows, identities and objects are those of the Python face, for each account."""
    for account in ("main", "second"):
        objects = seen(zoho, "objects", account=account).json()
        assert objects["Contacts"] == zoho.zoho.count("Contacts", account=account)
        counted = seen(zoho, "count/Contacts", account=account, include_deleted="1").json()
        assert counted["count"] >= objects["Contacts"]
        rows = seen(zoho, "rows/Contacts", account=account, limit="2").json()["rows"]
        assert [row["id"] for row in rows] == [
            row["id"] for row in zoho.zoho.rows("Contacts", limit=2, account=account)
        ]
        people = seen(zoho, "identities/Leads", account=account).json()["identities"]
        assert people == zoho.zoho.identities("Leads", account=account)
    assert seen(zoho, "usage").json()["maximum"] == 75_000


def test_windows_of_time(zoho) -> None:
    """Counts and rows can be limited to records modified in a window, its end left out."""
    stamps = sorted(row["Modified_Time"] for row in zoho.zoho.rows("Deals"))
    since, until = stamps[5], stamps[30]
    expected = sum(since <= stamp < until for stamp in stamps)
    window = {"since": since.isoformat(), "until": until.isoformat()}
    assert seen(zoho, "count/Deals", **window).json()["count"] == expected
    assert len(seen(zoho, "rows/Deals", **window).json()["rows"]) == expected
    assert zoho.zoho.count("Deals", since=since, until=until) == expected


def test_recycle_bin_counts_and_the_end_does_not(own_zoho) -> None:
    """A binned record counts with include_deleted and shows how it ended; one gone for good never counts."""
    truth = own_zoho.zoho
    before = truth.count("Products"), truth.count("Products", include_deleted=True)
    binned, gone = (row["id"] for row in truth.rows("Products")[:2])
    truth.delete("Products", binned)
    truth.hard_delete("Products", gone)
    after = truth.count("Products"), truth.count("Products", include_deleted=True)
    assert after == (before[0] - 2, before[1] - 1)
    rows = {row["id"]: row["_ended"] for row in truth.rows("Products", include_deleted=True)}
    assert rows[binned] == "recycle"
    assert gone not in rows


def test_merge_is_stated_to_the_truth_alone(own_zoho) -> None:
    """The truth knows whom a record was merged into, which no field of the API shows."""
    winner, loser = (row["id"] for row in own_zoho.zoho.rows("Contacts")[:2])
    own_zoho.admin("merge", name="Contacts", winner=winner, loser=loser)
    rows = {row["id"]: row for row in own_zoho.zoho.rows("Contacts", include_deleted=True)}
    assert rows[loser]["_master"] == winner
    fields = {
        one["api_name"] for one in own_zoho.get("/settings/fields?module=Contacts").json()["fields"]
    }
    assert not [name for name in fields if "master" in name.lower()]


def test_late_commit(own_zoho) -> None:
    """A record made with an older stamp appears in the past."""
    made = own_zoho.admin(
        "create", name="Leads", fields={"Last_Name": "late"}, stamp="2026-10-01T08:00:00+00:00"
    )
    shown = own_zoho.data(f"/Leads/{made}")[0]
    assert shown["Created_Time"] == shown["Modified_Time"] == "2026-10-01T01:00:00-07:00"


def test_changes_of_the_second_account(own_zoho) -> None:
    """Every change takes an account, and leaves the other one alone."""
    made = own_zoho.admin("create", name="Contacts", fields={"Last_Name": "zwei"}, account="second")
    assert len(made) == 18
    assert "zwei" in {row["Last_Name"] for row in own_zoho.zoho.rows("Contacts", account="second")}
    assert "zwei" not in {row["Last_Name"] for row in own_zoho.zoho.rows("Contacts")}
    with pytest.raises(ValueError, match="unknown account"):
        own_zoho.zoho.count("Contacts", account="third")


@pytest.mark.parametrize(
    ("action", "arguments", "status", "words"),
    [
        ("nothing", {}, 400, "known"),
        ("delete", {"name": "Contacts", "record": "1"}, 404, "no Contacts has the id '1'"),
        ("edit", {"name": "Nothings", "record": "1", "fields": {}}, 400, "unknown module"),
        ("delete", {"name": "Contacts"}, 400, "record"),
        ("merge", {"name": "Tasks", "winner": "1", "loser": "2"}, 404, "no Tasks"),
        (
            "rename_field",
            {"name": "Contacts", "field": "Nope", "new_name": "x"},
            400,
            "unknown field",
        ),
        (
            "rename_field",
            {"name": "Contacts", "field": "Tier", "new_name": "Email"},
            400,
            "already has",
        ),
        ("set_coql", {"nope": 1}, 400, "unknown setting"),
        ("set_foreign", {"code": "X"}, 400, "unknown code"),
    ],
)
def test_mistakes(zoho, action: str, arguments: dict, status: int, words: str) -> None:
    """A mistake of the admin is answered with a sentence."""
    response = zoho.http.post(f"{zoho.sandbox.url}/_admin/zoho/{action}", json=arguments)
    assert response.status_code == status
    assert words in response.json()["error"]


def test_answers_follow_every_change(own_zoho) -> None:
    """An answer that was kept is not given again once anything changed."""
    path = "/Products?fields=Product_Name"
    first = own_zoho.data(path)
    assert own_zoho.data(path) == first
    own_zoho.admin("edit", name="Products", record=first[0]["id"], fields={"Product_Name": "new"})
    assert own_zoho.data(path)[0]["Product_Name"] == "new"
    own_zoho.admin("restrict_field", name="Products", field="Product_Name")
    assert own_zoho.data(path)[0]["Product_Name"] is None


def test_walk_during_changes(own_zoho) -> None:
    """Pages that were made ahead are made anew when records change between them."""
    asked = {"fields": "Last_Name", "per_page": "5"}
    info = own_zoho.get("/Contacts", params=asked).json()["info"]
    answer = own_zoho.get(
        "/Contacts", params=asked | {"page_token": info["next_page_token"]}
    ).json()
    following = asked | {"page_token": answer["info"]["next_page_token"]}
    record = own_zoho.data("/Contacts", params=following)[2]["id"]
    own_zoho.admin("edit", name="Contacts", record=record, fields={"Last_Name": "changed"})
    assert own_zoho.data("/Contacts", params=following)[2]["Last_Name"] == "changed"
    own_zoho.admin("delete", name="Contacts", record=record)
    assert record not in {row["id"] for row in own_zoho.data("/Contacts", params=following)}


def test_access_lines(zoho) -> None:
    """The credentials of both orgs are among what the sandbox prints."""
    lines = dict(zoho.sandbox.vendors["zoho"].access("http://x"))
    for key in ("main", "second"):
        assert lines[f"Zoho client id ({key})"].startswith("1000.")
    assert lines["Zoho token endpoint"] == "http://x/zoho/oauth/v2/token"
