from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator

import pytest
import requests

from crm_sandbox_tests.zoho.receivers import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def asked(module: str, **more) -> dict:
    return {"query": {"module": {"api_name": module}, **more}}


def begin(client, body: dict, **options) -> requests.Response:
    return client.http.post(f"{client.root}/crm/bulk/v8/read", json=body, **options)


def look(client, number: str) -> dict:
    response = client.http.get(f"{client.root}/crm/bulk/v8/read/{number}")
    assert response.status_code == 200, response.text
    return response.json()["data"][0]


def finished(client, body: dict) -> dict:
    response = begin(client, body)
    assert response.status_code == 201, response.text
    for _ in range(50):
        job = look(client, response.json()["data"][0]["details"]["id"])
        if job["state"] in {"COMPLETED", "FAILURE"}:
            return job
    raise AssertionError("the job never ended")


def lines(client, job: dict) -> list[dict[str, str]]:
    url = job["result"]["download_url"]
    assert url.startswith("/crm/bulk/v8/read/")
    response = client.http.get(client.root + url)
    assert response.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(response.content)) as packed:
        assert packed.testzip() is None
        (name,) = packed.namelist()
        assert name == f"{job['id']}.csv"
        text = packed.read(name).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_states(own_zoho) -> None:
    """Statement 12: a job is ADDED, QUEUED, IN PROGRESS (with a space) and then COMPLETED over several polls."""
    response = begin(own_zoho, asked("Contacts", fields=["Last_Name"]))
    assert response.status_code == 201
    (made,) = response.json()["data"]
    assert (made["status"], made["code"]) == ("success", "ADDED_SUCCESSFULLY")
    assert (made["details"]["state"], made["details"]["operation"]) == ("ADDED", "read")
    number = made["details"]["id"]
    early = own_zoho.http.get(f"{own_zoho.root}/crm/bulk/v8/read/{number}/result")
    assert own_zoho.refusal(early) == (404, "RESOURCE_NOT_FOUND")
    states = [look(own_zoho, number)["state"] for _ in range(4)]
    assert states == ["QUEUED", "IN PROGRESS", "COMPLETED", "COMPLETED"]
    own_zoho.admin("set_bulk", polls=1)
    assert finished(own_zoho, asked("Leads"))["state"] == "COMPLETED"


def test_failure(own_zoho) -> None:
    """Statement 12: a job that fails has the state FAILURE and an error message in its result."""
    own_zoho.sandbox.faults.order("fail_job", vendor="zoho", path="/read", message="on order")
    job = finished(own_zoho, asked("Contacts"))
    assert job["state"] == "FAILURE"
    assert job["result"]["error_message"]["message"] == "on order"
    gone = own_zoho.http.get(f"{own_zoho.root}/crm/bulk/v8/read/{job['id']}/result")
    assert gone.status_code == 404


def test_csv(own_zoho) -> None:
    """Statement 12: the ZIP holds one CSV of living rows whose cells are the truth."""
    fields = ["id", "Last_Name", "Account_Name", "Newsletter", "Interests", "Legacy_Code"]
    fields += ["Modified_Time", "Member_Since", "Lifetime_Value", "Tag", "Background"]
    job = finished(own_zoho, asked("Contacts", fields=fields))
    rows = {row["Id"]: row for row in lines(own_zoho, job)}
    truth = {row["id"]: row for row in own_zoho.zoho.rows("Contacts")}
    assert set(rows) == set(truth)
    assert job["result"]["count"] == len(rows)
    for number, row in rows.items():
        true = truth[number]
        assert list(row) == ["Id", *fields[1:]]
        assert row["Account_Name"] == (true["Account_Name"] or "")
        assert row["Newsletter"] == str(true["Newsletter"]).lower()
        assert row["Interests"] == ";".join(true["Interests"] or [])
        assert row["Legacy_Code"] == (true["Legacy_Code"] or "")
        assert row["Background"] == (true["Background"] or "")
        assert row["Member_Since"] == str(true["Member_Since"] or "")
        assert row["Lifetime_Value"] == (
            "" if true["Lifetime_Value"] is None else str(true["Lifetime_Value"])
        )
        assert row["Modified_Time"][-6:] in {"-07:00", "-08:00"}
    assert {row["Tag"] for row in rows.values()} == {"", "Fair 2026"}


def test_every_field_by_default(own_zoho) -> None:
    """Without fields a job reads every field that can be exported."""
    own_zoho.admin("set_bulk", polls=1)
    for module in ("Deals", "Quotes", "Tasks", "Service_Contracts", "DealHistory", "Quoted_Items"):
        rows = lines(own_zoho, finished(own_zoho, asked(module)))
        assert len(rows) == own_zoho.zoho.count(module)
        assert {"Id", "Modified_Time"} <= set(rows[0])


def test_pages(own_zoho) -> None:
    """Statement 12: a job reads one page of rows, and goes on by its page token alone, for 24 hours."""
    own_zoho.admin("set_bulk", polls=1, page_rows=25)
    job = finished(own_zoho, asked("Contacts", fields=["Last_Name"]))
    assert job["result"]["per_page"] == 25
    seen = [row["Id"] for row in lines(own_zoho, job)]
    first = job["result"]["next_page_token"]
    page = 1
    while job["result"]["more_records"]:
        job = finished(own_zoho, {"query": {"page_token": job["result"]["next_page_token"]}})
        page += 1
        assert job["result"]["page"] == page
        seen += [row["Id"] for row in lines(own_zoho, job)]
    assert "next_page_token" not in job["result"]
    assert len(seen) == len(set(seen)) == own_zoho.zoho.count("Contacts")
    second = lines(own_zoho, finished(own_zoho, asked("Contacts", fields=["Last_Name"], page=2)))
    assert [row["Id"] for row in second] == seen[25:50]
    own_zoho.advance(24 * 3600)
    own_zoho.login()
    late = begin(own_zoho, {"query": {"page_token": first}})
    assert own_zoho.refusal(late) == (400, "EXPIRED_VALUE")


def test_criteria(own_zoho) -> None:
    """Criteria in groups choose what Python chooses from the truth; ${EMPTY} stands for no value."""
    own_zoho.admin("set_bulk", polls=1)
    truth = own_zoho.zoho.rows("Contacts")

    def one(name: str, comparator: str, value: object) -> dict:
        return {"field": {"api_name": name}, "comparator": comparator, "value": value}

    def chosen(criteria: dict) -> set[str]:
        return {
            r["Id"]
            for r in lines(own_zoho, finished(own_zoho, asked("Contacts", criteria=criteria)))
        }

    middle = sorted(row["Modified_Time"] for row in truth)[30]
    stamp = f"{middle:%Y-%m-%dT%H:%M:%S}+00:00"
    window = [one("Modified_Time", "greater_equal", stamp), one("Visits", "less_than", 20)]
    group = {"group_operator": "and", "group": window}
    expected = {r["id"] for r in truth if r["Modified_Time"] >= middle and r["Visits"] < 20}
    assert chosen(group) == expected != set()
    empty = {"group_operator": "or", "group": [one("Email", "equal", "${EMPTY}"), group]}
    assert chosen(empty) == expected | {r["id"] for r in truth if r["Email"] is None}
    assert chosen(one("Visits", "between", [5, 9])) == {
        r["id"] for r in truth if 5 <= r["Visits"] <= 9
    }
    assert chosen(one("Tier", "in", ["Gold", "None"])) == {
        r["id"] for r in truth if r["Tier"] in {"Gold", "None"}
    }


def test_callback(own_zoho, receiver) -> None:
    """Statement 12: the callback gets the same document as a poll, without any poll."""
    body = asked("Contacts") | {"callback": {"url": receiver.url, "method": "post"}}
    number = begin(own_zoho, body).json()["data"][0]["details"]["id"]
    (came,) = receiver.wait_for(1)
    assert came["data"][0] == look(own_zoho, number)
    assert came["data"][0]["state"] == "COMPLETED"
    far = asked("Contacts") | {"callback": {"url": "https://example.com/x", "method": "post"}}
    assert begin(own_zoho, far).status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "INVALID_REQUEST"),
        (asked("Nothings"), "MODULE_NOT_AVAILABLE"),
        (asked("Notes"), "MODULE_NOT_SUPPORTED"),
        (asked("Contacts", fields=["Nope"]), "FIELD_NOT_AVAILABLE"),
        (asked("Quotes", fields=["Quoted_Items"]), "FIELD_NOT_SUPPORTED"),
        (asked("Contacts", cvid="1"), "CVID_NOT_SUPPORTED"),
        (asked("Contacts", page=0), "PAGE_RANGE_EXCEEDED"),
        (asked("Contacts", criteria={"group": []}), "GROUP_OPERATOR_NOT_SUPPORTED"),
        (asked("Contacts", criteria={"comparator": "equal"}), "INVALID_CRITERIA"),
        (
            asked(
                "Contacts",
                criteria={
                    "field": {"api_name": "Modified_Time"},
                    "comparator": "greater_than",
                    "value": "2026-01-01T00:00:00.000+00:00",
                },
            ),
            "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (
            asked(
                "Contacts",
                criteria={"field": {"api_name": "Nope"}, "comparator": "equal", "value": "1"},
            ),
            "FIELD_IN_CRITERIA_NOT_AVAILABLE",
        ),
        ({"query": {"page_token": "x"}}, "INVALID_TOKEN"),
        (
            asked("Contacts") | {"callback": {"url": "nowhere", "method": "post"}},
            "INVALID_CALLBACK_URL",
        ),
        (
            asked("Contacts") | {"callback": {"url": "https://x.example", "method": "get"}},
            "INVALID_CALLBACK_METHOD",
        ),
        (asked("Contacts") | {"file_type": "ics"}, "INVALID_REQUEST"),
    ],
)
def test_refusals(zoho, body: dict, code: str) -> None:
    """Statement 12: a job that cannot be done is refused when it is created, with a code of its own."""
    assert zoho.refusal(begin(zoho, body)) == (400, code)


def test_too_many_criteria(zoho) -> None:
    """More than 25 criteria are CRITERIA_LIMIT_EXCEEDED."""
    one = {"field": {"api_name": "Visits"}, "comparator": "equal", "value": 1}
    criteria = {"group_operator": "or", "group": [one] * 26}
    assert (
        zoho.refusal(begin(zoho, asked("Contacts", criteria=criteria)))[1]
        == "CRITERIA_LIMIT_EXCEEDED"
    )


def test_bodies(zoho) -> None:
    """No content type is 415, no body REQUEST_BODY_IS_EMPTY, an unknown job RESOURCE_NOT_FOUND."""
    url = f"{zoho.root}/crm/bulk/v8/read"
    bare = zoho.http.post(url, data=b"{}")
    assert zoho.refusal(bare) == (415, "MEDIA_TYPE_NOT_SUPPORTED")
    json_type = {"Content-Type": "application/json"}
    assert zoho.refusal(zoho.http.post(url, headers=json_type))[1] == "REQUEST_BODY_IS_EMPTY"
    unreadable = zoho.http.post(url, data=b"{", headers=json_type)
    assert zoho.refusal(unreadable)[1] == "REQUEST_BODY_NOT_READABLE"
    assert zoho.refusal(zoho.http.get(f"{url}/1")) == (404, "RESOURCE_NOT_FOUND")


def test_meetings_as_calendar(own_zoho) -> None:
    """Meetings come as iCalendar too."""
    job = finished(own_zoho, asked("Events") | {"file_type": "ics"})
    response = own_zoho.http.get(own_zoho.root + job["result"]["download_url"])
    with zipfile.ZipFile(io.BytesIO(response.content)) as packed:
        text = packed.read(packed.namelist()[0]).decode()
    assert text.startswith("BEGIN:VCALENDAR\r\n")
    assert text.endswith("END:VCALENDAR\r\n")
    assert text.count("BEGIN:VEVENT") == own_zoho.zoho.count("Events")


def test_scopes(own_zoho) -> None:
    """Bulk read needs its own scope and the module's."""
    for scopes in (("ZohoCRM.bulk.READ",), ("ZohoCRM.modules.ALL",)):
        own_zoho.login(*scopes)
        assert own_zoho.refusal(begin(own_zoho, asked("Leads"))) == (401, "OAUTH_SCOPE_MISMATCH")
    own_zoho.login("ZohoCRM.bulk.READ", "ZohoCRM.modules.READ")
    assert begin(own_zoho, asked("Leads")).status_code == 201
