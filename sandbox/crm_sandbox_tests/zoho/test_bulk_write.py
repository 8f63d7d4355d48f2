from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from crm_sandbox_tests.zoho.receivers import Receiver

HEADER = ["Last_Name", "Email", "Visits", "Interests", "Newsletter"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def packed(rows: list[list[str]], name: str = "Contacts.csv") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, text.getvalue())
    return made.getvalue()


def upload(client, content: bytes, **headers: str) -> requests.Response:
    zgid = client.zoho.org("main").org_id
    known = {"feature": "bulk-write", "X-CRM-ORG": zgid} | headers
    files = {"file": ("x.zip", content, "application/zip")}
    return client.http.post(f"{client.root}/crm/v8/upload", files=files, headers=known)


def begin(client, rows: list[list[str]], operation: str, **more: Any) -> requests.Response:
    number = upload(client, packed(rows)).json()["details"]["file_id"]
    resource = {"type": "data", "module": {"api_name": "Contacts"}, "file_id": number} | more
    body = {"operation": operation, "resource": [resource]}
    return client.http.post(f"{client.root}/crm/bulk/v8/write", json=body)


def look(client, number: str) -> dict[str, Any]:
    return client.http.get(f"{client.root}/crm/bulk/v8/write/{number}").json()


def finished(client, response: requests.Response) -> dict[str, Any]:
    assert response.status_code == 201, response.text
    number = response.json()["details"]["id"]
    for _ in range(20):
        job = look(client, number)
        if job["status"] == "COMPLETED":
            return job
    raise AssertionError("the job never ended")


def results(client, job: dict[str, Any]) -> list[dict[str, str]]:
    response = client.http.get(job["result"]["download_url"])
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_insert(own_zoho) -> None:
    """An insert adds every good line, in order; the result tells of each line what became of it."""
    rows = [
        HEADER,
        ["a", "a@example.org", "3", "CRM;Support", "true"],
        ["", "b@example.org", "", "", ""],
        ["c, d", "c@example.org", "x", "", ""],
        ["e", "", "", "", "false"],
    ]
    response = begin(own_zoho, rows, "insert")
    states = [look(own_zoho, response.json()["details"]["id"])["status"] for _ in range(2)]
    assert states == ["INPROGRESS", "COMPLETED"]
    job = look(own_zoho, response.json()["details"]["id"])
    file = job["resource"][0]["file"]
    counts = [file[f"{one}_count"] for one in ("added", "updated", "skipped", "total")]
    assert counts == [2, 0, 2, 4]
    lines = results(own_zoho, job)
    assert [one["STATUS"] for one in lines] == ["ADDED", "SKIPPED", "SKIPPED", "ADDED"]
    assert lines[1]["ERRORS"] == "MANDATORY_NOT_FOUND:Last_Name"
    assert lines[2]["ERRORS"] == "INVALID_DATA:Visits"
    assert [one["Last_Name"] for one in lines] == [row[0] for row in rows[1:]]
    made = own_zoho.data(f"/Contacts/{lines[0]['RECORD_ID']}")[0]
    assert (made["Visits"], made["Interests"], made["Newsletter"]) == (3, ["CRM", "Support"], True)


def test_update_and_upsert(own_zoho) -> None:
    """Lines find their records by id or by a unique field; empty cells empty a field unless ignored."""
    first, second = own_zoho.zoho.rows("Contacts")[:2]
    own_zoho.admin("edit", name="Contacts", record=second["id"], fields={"Title": "kept"})
    by_id = [["id", "Title"], [first["id"], "by id"], ["1", "nobody"]]
    mappings = [{"api_name": "id", "index": 0}, {"api_name": "Title", "index": 1}]
    job = finished(
        own_zoho, begin(own_zoho, by_id, "update", find_by="id", field_mappings=mappings)
    )
    assert [one["STATUS"] for one in results(own_zoho, job)] == ["UPDATED", "SKIPPED"]
    assert own_zoho.data(f"/Contacts/{first['id']}")[0]["Title"] == "by id"
    keyed = [
        ["External_Key", "Last_Name", "Title"],
        [second["External_Key"], "changed", ""],
        ["new-key", "new", "T"],
    ]
    job = finished(
        own_zoho, begin(own_zoho, keyed, "upsert", find_by="External_Key", ignore_empty=True)
    )
    assert [one["STATUS"] for one in results(own_zoho, job)] == ["UPDATED", "ADDED"]
    shown = own_zoho.data(f"/Contacts/{second['id']}")[0]
    assert (shown["Last_Name"], shown["Title"]) == ("changed", "kept")
    only = begin(own_zoho, [*keyed[:2], ["none", "x", "y"]], "update", find_by="External_Key")
    job = finished(own_zoho, only)
    assert [one["STATUS"] for one in results(own_zoho, job)] == ["UPDATED", "SKIPPED"]
    assert own_zoho.data(f"/Contacts/{second['id']}")[0]["Title"] is None


def test_default_values_and_many_lines(own_zoho) -> None:
    """An empty cell takes its default; many lines are all written."""
    rows = [["name", "tier"]] + [[f"n{k}", "" if k % 2 else "Gold"] for k in range(250)]
    mappings = [
        {"api_name": "Last_Name", "index": 0},
        {"api_name": "Tier", "index": 1, "default_value": {"value": "Bronze"}},
    ]
    before = own_zoho.zoho.count("Contacts")
    job = finished(own_zoho, begin(own_zoho, rows, "insert", field_mappings=mappings))
    assert job["resource"][0]["file"]["added_count"] == 250
    assert own_zoho.zoho.count("Contacts") == before + 250
    made = {r["Last_Name"]: r["Tier"] for r in own_zoho.zoho.rows("Contacts")}
    assert (made["n0"], made["n1"]) == ("Gold", "Bronze")


def test_price_failure_and_callback(own_zoho, receiver) -> None:
    """Statement 17: a bulk write costs 500 credits; one that fails on order leaves its lines unprocessed."""
    meter = own_zoho.zoho.apis["main"].meter
    before = meter.credits.used
    own_zoho.sandbox.faults.order("fail_job", vendor="zoho", path="/write", after=1)
    job = finished(own_zoho, begin(own_zoho, [["Last_Name"], ["a"], ["b"]], "insert"))
    assert job["resource"][0]["status"] == "FAILED"
    assert [one["STATUS"] for one in results(own_zoho, job)] == ["ADDED", "UNPROCESSED"]
    # The upload, the job and two polls.
    assert meter.credits.used - before == 1 + 500 + 2 + 1
    number = upload(own_zoho, packed([["Last_Name"], ["c"]])).json()["details"]["file_id"]
    resource = {"type": "data", "module": {"api_name": "Contacts"}, "file_id": number}
    body = {"operation": "insert", "resource": [resource]}
    body["callback"] = {"url": receiver.url, "method": "post"}
    own_zoho.http.post(f"{own_zoho.root}/crm/bulk/v8/write", json=body)
    (came,) = receiver.wait_for(1)
    assert came["resource"][0]["file"]["added_count"] == 1


@pytest.mark.parametrize(
    ("headers", "content", "code"),
    [
        ({"feature": "other"}, packed([["a"]]), "MANDATORY_NOT_FOUND"),
        ({"X-CRM-ORG": "1"}, packed([["a"]]), "MANDATORY_NOT_FOUND"),
        ({}, b"no zip", "INVALID_FILE_FORMAT"),
        ({}, packed([["a"]], "x.txt"), "INVALID_FILE_FORMAT"),
    ],
)
def test_refused_uploads(zoho, headers, content: bytes, code: str) -> None:
    """An upload needs its headers and a ZIP of CSV files."""
    assert zoho.refusal(upload(zoho, content, **headers)) == (400, code)


@pytest.mark.parametrize(
    ("rows", "operation", "more", "code"),
    [
        ([["Last_Name"], ["a"]], "delete", {}, "INVALID_DATA"),
        ([["Last_Name"], ["a"]], "insert", {"file_id": "1"}, "FILE_NOT_FOUND"),
        ([["Last_Name"], ["a"]], "insert", {"module": {"api_name": "No"}}, "INVALID_DATA"),
        ([["Last_Name"], ["a"]], "update", {}, "MANDATORY_NOT_FOUND"),
        ([["Last_Name"], ["a"]], "upsert", {"find_by": "Email"}, "INVALID_DATA"),
        ([["Email"], ["a"]], "insert", {}, "MANDATORY_FIELDS_NOT_MAPPED"),
        ([["Nope"], ["a"]], "insert", {}, "INVALID_DATA"),
    ],
)
def test_refused_jobs(shared_zoho, rows, operation: str, more: dict, code: str) -> None:
    """A job that cannot be done is refused when it is created, and costs nothing."""
    before = shared_zoho.zoho.apis["main"].meter.credits.used
    assert shared_zoho.refusal(begin(shared_zoho, rows, operation, **more)) == (400, code)
    assert shared_zoho.zoho.apis["main"].meter.credits.used - before == 1
