"""Answers against the vendor's own OpenAPI description of August 2026, where it is at hand.

`besides` names what is known to differ: the description has a few defects, see each test.
"""

from __future__ import annotations

import pytest

from crm_sandbox_tests.contracts import validate
from crm_sandbox_tests.zoho.test_bulk_write import packed, upload

FILE = "oas-v8-2026-08/zoho-crm-{}-openapi.json"
RELATED = "/{parentRecordModule}/{parentRecord}/{relatedList}"
# The description gives tokens no null, which the vendor's own samples have.
TOKENS = tuple(
    f"$.info.{name}" for name in ("previous_page_token", "next_page_token", "page_token_expiry")
)


def check(name: str, method: str, path: str, response, besides: tuple[str, ...] = ()) -> None:
    body = response.json() if response.content else None
    file = FILE.format(name)
    validate("zoho", file, method, path, response.status_code, body, closed=True, besides=besides)


@pytest.mark.parametrize("module", ["Contacts", "Leads", "Deals", "Tasks", "Service_Contracts"])
def test_records(zoho, module: str) -> None:
    """A page of records and a single one are as described."""
    fields = "Owner,Created_By,Modified_By,Created_Time,Modified_Time"
    page = zoho.get(f"/{module}?fields={fields}&per_page=100")
    check("record", "get", "/{module}", page, TOKENS)
    one = zoho.get(f"/{module}/{page.json()['data'][0]['id']}")
    # The description knows no field but those that every module has.
    check("record", "get", "/{module}/{recordID}", one, ("$.data[*]",))
    assert set(one.json()) == {"data"}


def test_deleted_and_count(zoho) -> None:
    """Deleted records and counts are as described."""
    check("record", "get", "/{module}/deleted", zoho.get("/Contacts/deleted"))
    check(
        "record-count", "get", "/{moduleApiName}/actions/count", zoho.get("/Contacts/actions/count")
    )


@pytest.mark.parametrize(
    "query",
    [
        "select Last_Name, Account_Name from Contacts where id is not null",
        "select COUNT(id) from Contacts where id is not null",
        "select Last_Name from Contacts",
        "select Nope from Contacts where id is not null",
        "select id from Contacts where id is not null limit 2001",
        "select id from Contacts where id is not null order by id, id",
        "select id from Nothings where id is not null",
        "select id from Contacts where id ~ 4",
        "select id as a, Email as a from Contacts where id is not null",
        "select id from Contacts where id is not null order by nope",
        "select COUNT(id), COUNT(id) from Contacts where id is not null",
        "select id from Contacts where Last_Name = 'nobody'",
    ],
)
def test_queries(zoho, query: str) -> None:
    """Statement 11: rows of a query and each of its refusals are as described."""
    check("coql", "post", "/coql", zoho.query(query))


@pytest.mark.parametrize("body", [{}, {"select_query": 4}])
def test_bodies_of_queries(zoho, body: dict) -> None:
    """Statement 11: bodies without a query are refused as described."""
    check("coql", "post", "/coql", zoho.post("/coql", body))


def test_bulk_read(zoho) -> None:
    """Statement 12: a job, its states and an unknown job are as described."""
    url = f"{zoho.root}/crm/bulk/v8/read"
    body = {"query": {"module": {"api_name": "Contacts"}, "fields": ["Last_Name"]}}
    made = zoho.http.post(url, json=body)
    check("bulk-read", "post", "/read", made)
    number = made.json()["data"][0]["details"]["id"]
    for _ in range(3):
        job = zoho.http.get(f"{url}/{number}")
        # The description wants two fields of attachments in every job, which the pages do not know.
        check("bulk-read", "get", "/read/{jobId}", job, ("$.data[*]",))
        known = {"id", "operation", "state", "query", "created_by", "created_time", "file_type"}
        assert set(job.json()["data"][0]) - {"result"} == known
    check("bulk-read", "get", "/read/{jobId}", zoho.http.get(f"{url}/1"))


@pytest.mark.parametrize(
    "query",
    [
        {"module": {"api_name": "Notes"}},
        {"module": {"api_name": "Contacts"}, "fields": ["Nope"]},
        {"module": {"api_name": "Quotes"}, "fields": ["Quoted_Items"]},
        {"module": {"api_name": "Contacts"}, "page": 0},
        {"module": {"api_name": "Contacts"}, "cvid": "1"},
        {"module": {"api_name": "Contacts"}, "criteria": {"group": []}},
        {"module": {"api_name": "Contacts"}, "criteria": {}},
        {"page_token": "x"},
    ],
)
def test_refused_jobs(zoho, query: dict) -> None:
    """Statement 12: a refused job is refused as described."""
    response = zoho.http.post(f"{zoho.root}/crm/bulk/v8/read", json={"query": query})
    assert response.status_code == 400
    # Some refusals fit two of the description's alternatives, of which it wants exactly one.
    besides = (
        ("$",) if response.json()["code"] in {"FIELD_NOT_SUPPORTED", "INVALID_REQUEST"} else ()
    )
    check("bulk-read", "post", "/read", response, besides)


def test_modules(zoho) -> None:
    """Modules are as described."""
    check("modules", "get", "/settings/modules", zoho.get("/settings/modules"))


@pytest.mark.parametrize("module", ["Contacts", "Deals", "Quotes", "Tasks", "Users", "Visits", ""])
def test_fields(zoho, module: str) -> None:
    """Statement 19: fields of a module, or the refusal, are as described."""
    query = f"?module={module}" if module else ""
    check("fields", "get", "/settings/fields", zoho.get(f"/settings/fields{query}"))


def test_layouts(zoho) -> None:
    """Layouts are as described."""
    check("layouts", "get", "/settings/layouts", zoho.get("/settings/layouts?module=Deals"))


def test_org(zoho) -> None:
    """The org is as described."""
    check("org", "get", "/org", zoho.get("/org"))


def test_related_records(zoho) -> None:
    """Stage history is as described, and so is the refusal of a list that there is not."""
    deal = zoho.zoho.rows("Deals")[0]["id"]
    fields = "Stage,Modified_Time,Moved_To__s"
    answer = zoho.get(f"/Deals/{deal}/Stage_History?fields={fields}")
    # The row of the present stage has moved nowhere yet.
    check("related-records", "get", RELATED, answer, ("$.data[*].Moved_To__s", "$.data[*].Stage"))
    check("related-records", "get", RELATED, zoho.get(f"/Deals/{deal}/Nope?fields={fields}"))


# The description of 2026 lacks what upserts say of their match.
UPSERT = ("$.data[*].action", "$.data[*].duplicate_field")


def test_written_records(own_zoho) -> None:
    """Statement 13: what became of written records is as described."""
    good = {"Last_Name": "x", "Email": "x@example.org"}
    made = own_zoho.post("/Contacts", {"data": [good]})
    check("record", "post", "/{module}", made)
    number = made.json()["data"][0]["details"]["id"]
    check("record", "put", "/{module}", own_zoho.put("/Contacts", {"data": [{"id": number}]}))
    one = own_zoho.put(f"/Contacts/{number}", {"data": [{"Title": "T"}]})
    check("record", "put", "/{module}/{recordID}", one)
    upserted = own_zoho.post("/Contacts/upsert", {"data": [good]})
    check("record", "post", "/{module}/upsert", upserted, UPSERT)
    early = {"If-Unmodified-Since": "2026-11-01T11:59:59+00:00"}
    late = own_zoho.put(f"/Contacts/{number}", {"data": [{"Title": "U"}]}, headers=early)
    assert late.status_code == 412
    check("record", "put", "/{module}/{recordID}", late, ("$.data[*].details",))
    gone = own_zoho.delete(f"/Contacts?ids={number},1")
    assert gone.status_code == 207
    check("record", "delete", "/{module}", gone)


@pytest.mark.parametrize(
    "record",
    [
        {"First_Name": "x"},
        {"Last_Name": "x", "External_Key": "C-3"},
        {"Last_Name": "x", "Visits": "a"},
    ],
)
def test_refused_records(shared_zoho, record: dict) -> None:
    """Statement 13: a refused record is refused as described."""
    response = shared_zoho.post("/Contacts", {"data": [record]})
    assert response.status_code == 400
    # Pages name more details than the description does.
    check("record", "post", "/{module}", response, ("$.data[*].details",))


def test_composite_requests(shared_zoho) -> None:
    """Composite requests and their refusals are as described."""
    path, key = "/__composite_requests", "__composite_requests"
    call = {"method": "GET", "uri": "/crm/v8/org"}
    # Details that fit their own alternative always fit the general one too, and one is wanted.
    besides = ("$.details", f"$.{key}[*].details")
    for body in ({key: [call]}, {key: [call] * 6}, {}, {key: [{"method": "GET"}]}):
        check("composite-requests", "post", path, shared_zoho.post(path, body), besides)
    broken = {"method": "GET", "uri": "/crm/v8/Contacts/@{x:$.data[0].id}"}
    check("composite-requests", "post", path, shared_zoho.post(path, {key: [broken]}), besides)


def test_notifications(shared_zoho) -> None:
    """Statement 16: channels are as described."""
    path = "/actions/watch"
    channel = {"channel_id": "1", "events": ["Contacts.all"], "notify_url": "https://example.org"}
    check("notifications", "post", path, shared_zoho.post(path, {"watch": [channel]}))
    check("notifications", "get", path, shared_zoho.get(path))
    refused = shared_zoho.post(path, {"watch": [channel | {"token": "x" * 51}]})
    assert refused.status_code == 400
    check("notifications", "post", path, refused)
    check("notifications", "delete", path, shared_zoho.delete(f"{path}?channel_ids=1"))


def test_bulk_write(shared_zoho) -> None:
    """An upload, a job and its end are as described."""
    uploaded = upload(shared_zoho, packed([["Last_Name"], ["x"]]))
    check("upload", "post", "/upload", uploaded)
    resource = {
        "type": "data",
        "module": {"api_name": "Contacts"},
        "file_id": uploaded.json()["details"]["file_id"],
    }
    url = f"{shared_zoho.root}/crm/bulk/v8/write"
    made = shared_zoho.http.post(url, json={"operation": "insert", "resource": [resource]})
    check("bulk-write", "post", "/write", made)
    for _ in range(2):
        job = shared_zoho.http.get(f"{url}/{made.json()['details']['id']}")
        # The description wants a callback in every job.
        check("bulk-write", "get", "/write/{jobId}", job, ("$",))
        assert {"status", "resource", "id", "created_by", "operation", "created_time"} <= set(
            job.json()
        )
    refused = shared_zoho.http.post(
        url, json={"operation": "insert", "resource": [resource | {"file_id": "1"}]}
    )
    check("bulk-write", "post", "/write", refused)
