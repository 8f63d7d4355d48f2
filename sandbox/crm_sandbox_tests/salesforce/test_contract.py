"""Answers against those that Salesforce has recorded, where they stand beside the repository.

The vendor publishes no OpenAPI description of these addresses, but a collection of requests with recorded
answers, of API version 64.0. What SOAP answers is compared with the partner WSDL, in `test_wsdl.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.salesforce import credentials, sobject_collections
from crm_sandbox_tests.conftest import NOW, Client
from crm_sandbox_tests.contracts import Difference, described, validate
from crm_sandbox_tests.recordings import Known, Recording, compare, known, recorded

FILE = "oas-v64-postman-derived/salesforce-{}-api-openapi.yml"
# Keys whose values say a state: they have to be the recorded ones.
VALUES = frozenset(
    (
        *("state", "concurrencyMode", "contentType", "lineEnding", "columnDelimiter", "success"),
        *("created", "done", "hasErrors", "statusCode", "httpStatusCode", "referenceId", "active"),
        *("token_type", "user_type"),
    )
)
BROWSERS = known(
    "what only browsers heed: no client of the API reads it",
    *("header Strict-Transport-Security", "header X-Content-Type-Options"),
    *("header X-XSS-Protection", "header X-Robots-Tag", "header Content-Security-Policy"),
    optional=True,
)
TRANSPORT = known(
    "how the bytes travel is the server's: it sends lengths, and compresses what is large",
    *("header Vary", "header Content-Encoding", "header Transfer-Encoding"),
    optional=True,
)
BULK_V1 = known(
    "the recorded job is one of the first Bulk API, which had no line endings and delimiters",
    *("$.records[*].lineEnding", "$.records[*].columnDelimiter"),
)
# The description of these was guessed from examples, with alternatives of which several fit every value.
OVERLAPS = ("$.fields[*].defaultValue", "$.fields[*].picklistValues")


@pytest.fixture(scope="module")
def org() -> Iterator[Client]:
    """A client of an org that the tests of this file write to, at the version of the recordings."""
    with SandboxServer(contacts=60, seed=3, now=NOW, clock=SandboxClock(NOW)) as running:
        client = Client(running, version="64.0")
        yield client
        client.close()


def recording(file: str, method: str, path: str, status: int = 200) -> Recording:
    return recorded("salesforce", FILE.format(file), method, path, status)


def check(recording: Recording, response: requests.Response, *besides: Known) -> None:
    everything = (BROWSERS, TRANSPORT, *besides)
    compare(recording, response, vendor="salesforce", values=VALUES, besides=everything)


def sent(org: Client, method: str, path: str, body: Any = None) -> requests.Response:
    return org.http.request(method, org.base + path, json=body)


def filled(request: Any, **placed: Any) -> Any:
    """Return a recorded request with values of this org in place of the recorded ones."""
    if isinstance(request, list):
        return [filled(one, **placed) for one in request]
    if isinstance(request, dict):
        return {key: placed.get(key) or filled(one, **placed) for key, one in request.items()}
    return request


def test_collections(org) -> None:
    """Records that are created, changed, upserted, read and deleted together are answered as recorded."""
    path = "/data/v64.0/composite/sobjects"
    answer = recording("collections", "POST", path)
    created = sent(org, "POST", "/composite/sobjects", answer.request)
    check(answer, created)
    account, contact = (one["id"] for one in created.json())
    answer = recording("collections", "PATCH", path)
    body = filled(answer.request, id=account)
    check(answer, sent(org, "PATCH", "/composite/sobjects", body))
    answer = recording("collections", "PATCH", f"{path}/{{SOBJECT_API_NAME}}/{{FIELD_NAME}}")
    body = filled(answer.request, Id=account)
    check(answer, sent(org, "PATCH", "/composite/sobjects/Account/Id", body))
    answer = recording("collections", "GET", f"{path}/{{SOBJECT_API_NAME}}")
    check(answer, sent(org, "GET", f"/composite/sobjects/Account?ids={account}&fields=Name,Id"))
    answer = recording("collections", "DELETE", path)
    ids = f"ids={account}&allOrNone=true"
    check(answer, sent(org, "DELETE", f"/composite/sobjects?{ids}"))
    assert sent(org, "DELETE", f"/sobjects/Contact/{contact}").status_code == 204


def test_composite(org) -> None:
    """A composite request, and the creations that it carries, are answered as recorded."""
    response = recording("composite", "POST", "/data/v64.0/composite")
    check(response, sent(org, "POST", "/composite", response.request))
    carried, inner = response.request["compositeRequest"][0], response.body["compositeResponse"][0]
    alone = response.part(inner["body"], inner["httpStatusCode"], inner["httpHeaders"])
    check(alone, sent(org, "POST", "/sobjects/Account", carried["body"]))


def test_batch(org) -> None:
    """A batch, and the queries that it carries, are answered as recorded."""
    response = recording("composite", "POST", "/data/v64.0/composite/batch")
    check(response, sent(org, "POST", "/composite/batch", response.request))
    for carried, inner in zip(
        response.request["batchRequests"], response.body["results"], strict=True
    ):
        query = carried["url"].removeprefix("v64.0")
        check(response.part(inner["result"], inner["statusCode"]), sent(org, "GET", query))


def test_query_all(org) -> None:
    """A query of all rows, deleted ones too, is answered as recorded."""
    answer = recording("data", "GET", "/data/v64.0/queryAll")
    check(answer, sent(org, "GET", "/queryAll?q=SELECT+Name+FROM+Account"))


def test_counts_and_limits(org) -> None:
    """Counts are answered as recorded; limits, too, of what the sandbox has."""
    answer = recording("count", "GET", "/data/v64.0/limits/recordCount")
    check(answer, sent(org, "GET", "/limits/recordCount?sObjects=Account,Contact,Lead"))
    answer = recording("data", "GET", "/data/v64.0/limits")
    response = sent(org, "GET", "/limits")
    lacking = answer.body.keys() - response.json().keys()
    reason = "limits of what the sandbox does not have: reports, events, scratch orgs, mail, ..."
    check(answer, response, known(reason, *(f"$.{name}" for name in lacking)))
    assert not [name for name in lacking if "Bulk" in name or "ApiRequests" in name]


def test_describe(org) -> None:
    """The description of an object has the keys and types of the recorded one, and its headers."""
    path = "/data/v64.0/sobjects/{SOBJECT_API_NAME}/describe"
    answer = recording("describe", "GET", path)
    for name in ("Lead", "Task"):
        response = sent(org, "GET", f"/sobjects/{name}/describe")
        body = response.json()
        check(replace(answer, body=body), response)
        file = FILE.format("describe")
        validate("salesforce", file, "GET", path, 200, body, closed=True, besides=OVERLAPS)


def test_identity(org) -> None:
    """The identity address is answered as recorded."""
    answer = recording("identifiers", "GET", "//")
    address = org.http.get(f"{org.root}/services/oauth2/userinfo").json()["sub"]
    check(answer, org.http.get(address))


def test_introspection(org) -> None:
    """What is said about a token is what was recorded."""
    answer = recording("tokens", "POST", "/services/oauth2/introspect")
    form = {
        "token": org.token(grant_type="client_credentials").json()["access_token"],
        "token_type_hint": "access_token",
        "client_id": credentials.CLIENT_ID,
        "client_secret": credentials.CLIENT_SECRET,
    }
    check(answer, requests.post(f"{org.root}/services/oauth2/introspect", data=form))


def test_query_jobs(org) -> None:
    """Bulk queries are made, listed, polled, aborted and deleted as recorded."""
    answer = recording("jobs", "POST", "/data/v64.0/jobs/query")
    order = filled(
        answer.request,
        query="SELECT Id, Name FROM Account",
        columnDelimiter="COMMA",
        lineEnding="LF",
    )
    response = sent(org, "POST", "/jobs/query", order)
    check(answer, response)
    job = f"/jobs/query/{response.json()['id']}"
    kept = sent(org, "POST", "/jobs/query", order).json()["id"]
    wanted = {"state": "Open", "jobType": "Classic"}
    reason = "the recorded jobs are of the first Bulk API, opened and not yet closed"
    answer = recording("jobs", "GET", "/data/v64.0/jobs/query")
    listing = "/jobs/query?isPkChunkingEnabled=false&jobType=V2Query&concurrencyMode=parallel"
    check(answer, sent(org, "GET", listing), BULK_V1, known(reason, "$.records[*].state"))
    answer = recording("jobs", "GET", "/data/v64.0/jobs/query/")
    assert {key: answer.body[key] for key in wanted} == wanted
    guide = known(
        "the Bulk API 2.0 guide has these for a query job, and none of the processing times",
        *("$.lineEnding", "$.columnDelimiter", "$.numberRecordsProcessed"),
        *("$.isPkChunkingSupported", "$.apiActiveProcessingTime", "$.apexProcessingTime"),
    )
    check(answer, sent(org, "GET", f"/jobs/query/{kept}"), guide, known(reason, "$.state"))
    answer = recording("jobs", "PATCH", "/data/v64.0/jobs/query/")
    check(answer, sent(org, "PATCH", job, answer.request))
    answer = recording("jobs", "DELETE", "/data/v64.0/jobs/query/", 204)
    check(answer, sent(org, "DELETE", job))


def test_result_pages(org) -> None:
    """The list of a job's result pages has the recorded keys; the guide names one of them otherwise."""
    answer = recording("jobs", "GET", "/data/v64.0/jobs/query//resultPages")
    org.sandbox.salesforce.set_bulk(page_rows=5)
    try:
        job = org.finished_job("SELECT Id FROM Contact")
        response = sent(org, "GET", f"/jobs/query/{job}/resultPages")
    finally:
        org.sandbox.salesforce.set_bulk(page_rows=50_000)
    named = known(
        "the developer guide says resultUrl, and this example, without headers, is not recorded but "
        "written: addresses are shortened",
        *("$.resultPages[*].resultUrl", "$.resultPages[*].resultLink", "$.nextRecordsUrl"),
        "header Content-Type",
    )
    check(answer, response, named)


def test_ingest_jobs(org) -> None:
    """Bulk writes are opened, filled, closed, polled, listed and deleted as recorded."""
    answer = recording("jobs", "POST", "/data/v64.0/jobs/ingest")
    order = filled(answer.request, object="Account", operation="insert")
    response = sent(org, "POST", "/jobs/ingest", order)
    check(answer, response)
    job = f"/jobs/ingest/{response.json()['id']}"
    listing = recording("jobs", "GET", "/data/v64.0/jobs/ingest")
    address = known("the address of an open job's upload", "$.records[*].contentUrl")
    check(listing, sent(org, "GET", "/jobs/ingest"), BULK_V1, address)
    answer = recording("jobs", "PUT", "/data/v64.0/jobs/ingest//batches", 201)
    csv = {"Content-Type": "text/csv"}
    check(answer, org.http.put(f"{org.base}{job}/batches", data=b"Name\nOne\n", headers=csv))
    answer = recording("jobs", "PATCH", "/data/v64.0/jobs/ingest/")
    check(answer, sent(org, "PATCH", job, answer.request))
    answer = recording("jobs", "GET", "/data/v64.0/jobs/ingest/")
    sent(org, "GET", job)
    check(answer, sent(org, "GET", job))
    for kind in ("successfulResults", "failedResults", "unprocessedrecords"):
        answer = recording("jobs", "GET", f"/data/v64.0/jobs/ingest//{kind}")
        check(answer, sent(org, "GET", f"{job}/{kind}"))
    answer = recording("jobs", "DELETE", "/data/v64.0/jobs/ingest/", 204)
    check(answer, sent(org, "DELETE", job))


PLACED = {"{{version}}": "64.0", "<SOBJECT_API_NAME>": "Contact", "<FIELD_NAME>": "Id"}
WINDOW = {"start=": "start=2026-10-20T00:00:00Z", "end=": "end=2026-11-01T00:00:00Z"}


@pytest.mark.parametrize(
    "name",
    [
        *("describe_global", "limit", "query", "queryall", "record_count", "resources_by_version"),
        *("sobject_basic_information", "sobject_describe", "sobject_get_deleted"),
        *("sobject_get_updated", "sobject_rows", "sobject_rows_by_external_id"),
    ],
)
def test_requests(org, name: str) -> None:
    """Reads are taken as the vendor's collection of requests writes them: slashes at the end, empty
    parameters, a Content-Type without a body."""
    request = described("salesforce", f"postman-2021-01/rest/{name}.json")
    record = org.sandbox.salesforce.rows("Contact")[0]["Id"]
    url = str(request["url"]).replace("{{_endpoint}}", org.root)
    for word, value in {**PLACED, **WINDOW, "<RECORD_ID>": record, "<FIELD_VALUE>": record}.items():
        url = url.replace(word, value)
    headers = {one["key"]: one["value"] for one in request["headerData"]}
    response = org.http.request(request["method"], url, headers=headers)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (
            lambda made: {key: made[key] for key in ("id", "success")},
            r"\$\[\*\]\.errors: the key is",
        ),
        (lambda made: made | {"id": 7}, r"\$\[\*\]\.id: a number where a text"),
        (lambda made: made | {"id": made["id"][:15]}, r"\$\[\*\]\.id: '\w{15}' where"),
        (lambda made: made | {"created": True}, r"\$\[\*\]\.created: the key was not"),
    ],
)
def test_a_planted_difference(org, broken, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison sees it when the sandbox lacks a key, has one too many, or another type or form."""
    answer = recording("collections", "POST", "/data/v64.0/composite/sobjects")
    right = sobject_collections._result
    monkeypatch.setattr(sobject_collections, "_result", lambda order: broken(right(order)))
    response = sent(org, "POST", "/composite/sobjects", answer.request)
    with pytest.raises(Difference, match=place):
        check(answer, response)
