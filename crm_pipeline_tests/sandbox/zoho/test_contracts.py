"""Answers against the vendor's own OpenAPI description of August 2026, where it is at hand.

`besides` names what is known to differ: the description has a few defects, see each test.
"""

from __future__ import annotations

import pytest

from crm_pipeline_tests.contracts import validate

FILE = "oas-v8-2026-08/zoho-crm-{}-openapi.json"
RELATED = "/{parentRecordModule}/{parentRecord}/{relatedList}"
# The description gives tokens no null, which the vendor's own samples have.
TOKENS = tuple(
    f"$.info.{name}" for name in ("previous_page_token", "next_page_token", "page_token_expiry")
)


def check(name: str, method: str, path: str, answer, besides: tuple[str, ...] = ()) -> None:
    body = answer.json() if answer.content else None
    file = FILE.format(name)
    validate("zoho", file, method, path, answer.status_code, body, closed=True, besides=besides)


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
    answer = zoho.http.post(f"{zoho.root}/crm/bulk/v8/read", json={"query": query})
    assert answer.status_code == 400
    # Some refusals fit two of the description's alternatives, of which it wants exactly one.
    besides = ("$",) if answer.json()["code"] in {"FIELD_NOT_SUPPORTED", "INVALID_REQUEST"} else ()
    check("bulk-read", "post", "/read", answer, besides)


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
