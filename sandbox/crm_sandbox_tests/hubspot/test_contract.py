"""Answers against the vendor's OpenAPI descriptions, where they stand beside the repository."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from crm_sandbox_tests.contracts import Difference, validate

READS = (
    ("contacts.v3.json", "/crm/v3/objects/contacts", "?limit=50&associations=companies,deals"),
    ("contacts.v3.json", "/crm/v3/objects/contacts", "?limit=20&archived=true"),
    ("contacts.v3.json", "/crm/v3/objects/contacts", "?limit=20&propertiesWithHistory=email,city"),
    ("contacts.2026-03.json", "/crm/objects/2026-03/contacts", "?limit=50&associations=companies"),
    ("companies.v3.json", "/crm/v3/objects/companies", "?limit=30"),
    ("companies.2026-03.json", "/crm/objects/2026-03/companies", "?limit=30"),
    ("deals.v3.json", "/crm/v3/objects/0-3", "?limit=50&propertiesWithHistory=dealstage,amount"),
    ("deals.2026-03.json", "/crm/objects/2026-03/0-3", "?limit=30"),
    ("tickets.v3.json", "/crm/v3/objects/tickets", "?limit=30&associations=contacts"),
    ("tickets.2026-03.json", "/crm/objects/2026-03/tickets", "?limit=30"),
    ("owners.v3.json", "/crm/v3/owners", "?limit=3"),
    ("owners.v3.json", "/crm/v3/owners", "?archived=true"),
    ("owners.2026-03.json", "/crm/owners/2026-03", ""),
    ("owners.2026-09.json", "/crm/owners/2026-09", "?archived=true"),
    ("account-info.v3.json", "/account-info/v3/details", ""),
    ("account-info.v3.json", "/account-info/v3/api-usage/daily/private-apps", ""),
    ("account-info.2026-03.json", "/account-info/2026-03/details", ""),
    ("account-info.2026-09.json", "/account-info/2026-09/details", ""),
    ("account-info.2026-09.json", "/account-info/2026-09/api-usage/daily/private-apps", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/records", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/custom-properties", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/pipelines", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/associations/records/from", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/associations/labels", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/calculated-properties", ""),
    ("limits-tracking.2026-09.json", "/crm/limits/2026-09/custom-object-types", ""),
)
BY_TYPE = (
    ("objects.v3.json", "/crm/v3/objects/{objectType}", "?limit=30"),
    ("objects.2026-09.json", "/crm/objects/2026-09/{objectType}", "?limit=30"),
    ("properties.v3.json", "/crm/v3/properties/{objectType}", ""),
    ("properties.v3.json", "/crm/v3/properties/{objectType}/groups", ""),
    ("properties.2026-03.json", "/crm/properties/2026-03/{objectType}", ""),
    ("properties.2026-09.json", "/crm/properties/2026-09/{objectType}", ""),
    ("pipelines.v3.json", "/crm/v3/pipelines/{objectType}", ""),
    ("pipelines.2026-03.json", "/crm/pipelines/2026-03/{objectType}", ""),
    ("pipelines.2026-09.json", "/crm/pipelines/2026-09/{objectType}", ""),
)
TYPES = [
    "contacts",
    "companies",
    "deals",
    "tickets",
    "leads",
    "products",
    "line_items",
    "quotes",
    "tasks",
    "machines",
]


# A property without a value is null in live answers, and a refusal says `status`.
KNOWN = (
    *("$.results[*].properties", "$.properties"),
    *("$.status", "$.errors[*].status"),
)


def check(
    file: str, template: str, response: requests.Response, besides: tuple[str, ...] = ()
) -> None:
    body = response.json() if response.content else None
    method = str(response.request.method)
    status, known = response.status_code, KNOWN + besides
    validate("hubspot", file, method, template, status, body, closed=True, besides=known)


@pytest.mark.parametrize(("file", "path", "query"), READS)
def test_reads(hubspot, file: str, path: str, query: str) -> None:
    """What is read is what the vendor describes, and nothing more."""
    response = hubspot.get(path + query)
    assert response.status_code == 200
    check(file, path, response)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(("file", "template", "query"), BY_TYPE)
def test_reads_of_every_type(hubspot, name: str, file: str, template: str, query: str) -> None:
    """Records, properties and pipelines of every object type are what the vendor describes."""
    check(file, template, hubspot.get(template.format(objectType=name) + query))


# Numbers in the vendor's guides and in live answers, text in its description.
NUMBERS = ("$.results[*].toObjectId", "$.results[*].to[*].toObjectId")
NO_LABEL = (
    "$.results[*].associationTypes[*].label",
    "$.results[*].to[*].associationTypes[*].label",
    "$.results[*].label",
)


@pytest.mark.parametrize("version", ["v4", "2026-03", "2026-09"])
def test_links(hubspot, version: str) -> None:
    """Links of one record and of many are what the vendor describes, but for the type of an id."""
    record = hubspot.first()
    known = NUMBERS + NO_LABEL
    dated = version != "v4"
    area = f"/crm/associations/{version}" if dated else "/crm/v4/associations"
    inputs = {"inputs": [{"id": record}, {"id": hubspot.first(number=1)}]}
    answer = hubspot.post(f"{area}/contacts/companies/batch/read", inputs)
    template = f"{area}/{{fromObjectType}}/{{toObjectType}}/batch/read"
    check(f"associations.{version}.json", template, answer, besides=known)
    if version != "2026-09":
        objects = f"/crm/objects/{version}" if dated else "/crm/v4/objects"
        answer = hubspot.get(f"{objects}/contacts/{record}/associations/companies")
        template = f"{objects}/{{objectType}}/{{objectId}}/associations/{{toObjectType}}"
        check(f"associations.{version}.json", template, answer, besides=known)
    labels = hubspot.get(f"/crm/associations/{version}/contacts/companies/labels")
    template = f"/crm/associations/{version}/{{fromObjectType}}/{{toObjectType}}/labels"
    check(f"associations-schema.{version}.json", template, labels, besides=known)


@pytest.mark.parametrize("file", ["objects.v3.json", "objects.2026-09.json"])
def test_batches_and_search(hubspot, file: str) -> None:
    """Batches, whole and partial, and searches are what the vendor describes."""
    dated = "2026-09" in file
    base = "/crm/objects/2026-09" if dated else "/crm/v3/objects"
    record = hubspot.first("deals")
    whole = hubspot.post(
        f"{base}/deals/batch/read", {"inputs": [{"id": record}], "properties": ["amount"]}
    )
    check(file, f"{base}/{{objectType}}/batch/read", whole)
    if not dated:
        part = hubspot.post(f"{base}/deals/batch/read", {"inputs": [{"id": record}, {"id": "5"}]})
        assert part.status_code == 207
        check(file, f"{base}/{{objectType}}/batch/read", part)
    found = hubspot.post(f"{base}/deals/search", {"limit": 3})
    check(file, f"{base}/{{objectType}}/search", found)


def test_writes(own) -> None:
    """Creates, changes, upserts, merges and deletions answer what the vendor describes."""
    file, base = "contacts.v3.json", "/crm/v3/objects/contacts"
    made = own.create("contacts", email="a@example.org", lastname="A")
    check(file, base, made)
    one = made.json()["id"]
    check(file, f"{base}/{{contactId}}", own.patch(f"{base}/{one}", city="Bonn"))
    check(file, f"{base}/{{contactId}}", own.get(f"{base}/{one}"))
    many = own.batch("contacts", "create", [{"properties": {"lastname": "B"}}])
    check(file, f"{base}/batch/create", many)
    two = many.json()["results"][0]["id"]
    inputs = [{"id": two, "properties": {"city": "Ulm"}}]
    check(file, f"{base}/batch/update", own.batch("contacts", "update", inputs))
    inputs = [{"id": "c@example.org", "idProperty": "email", "properties": {}}]
    check(file, f"{base}/batch/upsert", own.batch("contacts", "upsert", inputs))
    merged = own.post(f"{base}/merge", {"primaryObjectId": one, "objectIdToMerge": two})
    check(file, f"{base}/merge", merged)
    gone = own.batch("contacts", "archive", [{"id": own.first()}])
    check(file, f"{base}/batch/archive", gone)
    erased = own.post(f"{base}/gdpr-delete", {"objectId": own.first()})
    check(file, f"{base}/gdpr-delete", erased)
    check(file, f"{base}/{{contactId}}", own.delete(f"{base}/{own.first()}"))


@pytest.mark.parametrize("version", ["v4", "2026-03", "2026-09"])
def test_writing_links(own, version: str) -> None:
    """Links are made and removed as the vendor describes for each version."""
    file, dated = f"associations.{version}.json", version != "v4"
    record, company = own.create("contacts", lastname="A").json()["id"], own.first("companies")
    pair = {"from": {"id": record}, "to": {"id": company}}
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 1}
    base = f"/crm/associations/{version}" if dated else "/crm/v4/associations"
    template = f"{base}/{{fromObjectType}}/{{toObjectType}}/batch"
    for action, entry in (
        ("associate/default", pair),
        ("create", pair | {"types": [kind]}),
        ("labels/archive", pair | {"types": [kind]}),
        ("archive", {"from": pair["from"], "to": [pair["to"]]}),
    ):
        answer = own.post(f"{base}/contacts/companies/batch/{action}", {"inputs": [entry]})
        known = tuple(f"$.results[*].{side}ObjectId" for side in ("from", "to"))
        check(file, f"{template}/{action}", answer, besides=known)
    objects = f"/crm/objects/{version}" if dated else "/crm/v4/objects"
    path = f"{objects}/contacts/{record}/associations"
    plain = own.put(f"{path}/default/companies/{company}")
    at = f"{objects}/{{fromObjectType}}/{{fromObjectId}}/associations/default"
    check(file, f"{at}/{{toObjectType}}/{{toObjectId}}", plain)
    at = f"{objects}/{{objectType}}/{{objectId}}/associations/{{toObjectType}}/{{toObjectId}}"
    labelled = own.put(f"{path}/companies/{company}", [kind])
    check(file, at, labelled, besides=("$.fromObjectId", "$.toObjectId"))
    check(file, at, own.delete(f"{path}/companies/{company}"))


def test_writing_definitions(own) -> None:
    """Properties, groups, pipelines and stages are made and changed as the vendor describes."""
    file, base = "properties.v3.json", "/crm/v3/properties"
    at = f"{base}/{{objectType}}"
    body = {
        "name": "shoe_size",
        "label": "Shoe size",
        "type": "enumeration",
        "fieldType": "select",
        "groupName": "contactinformation",
        "options": [{"label": "Big", "value": "b", "displayOrder": 0, "hidden": False}],
    }
    check(file, at, own.post(f"{base}/contacts", body))
    path = f"{base}/contacts/shoe_size"
    changed = own.http.patch(own.root + path, json={"label": "Size"})
    check(file, f"{at}/{{propertyName}}", changed)
    read = own.post(
        f"{base}/contacts/batch/read", {"inputs": [{"name": "shoe_size"}, {"name": "x"}]}
    )
    check(file, f"{at}/batch/read", read)
    check(file, f"{at}/{{propertyName}}", own.delete(path))
    group = own.post(f"{base}/contacts/groups", {"name": "shoes", "label": "Shoes"})
    check(file, f"{at}/groups", group)
    file, base = "pipelines.v3.json", "/crm/v3/pipelines"
    at = f"{base}/{{objectType}}"
    stage = {"label": "One", "displayOrder": 0, "metadata": {"probability": "0.5"}}
    made = own.post(f"{base}/deals", {"label": "New", "displayOrder": 2, "stages": [stage]})
    check(file, at, made)
    path = f"{base}/deals/{made.json()['id']}"
    check(file, f"{at}/{{pipelineId}}", own.get(path))
    check(file, f"{at}/{{pipelineId}}/stages", own.post(f"{path}/stages", stage))
    check(file, f"{at}/{{pipelineId}}/stages", own.get(f"{path}/stages"))
    check(file, f"{at}/{{pipelineId}}", own.delete(path))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/crm/v3/objects/contacts?limit=101", None),
        ("POST", "/crm/v3/objects/contacts", {"properties": {"nope": "1"}}),
        ("POST", "/crm/v3/objects/contacts/search", {"limit": 1000}),
        ("POST", "/crm/v3/objects/contacts/merge", {}),
    ],
)
def test_refusals(hubspot, method: str, path: str, body: Any) -> None:
    """A refusal has the form that the vendor describes for all of them."""
    response = hubspot.http.request(method, hubspot.root + path, json=body)
    assert response.status_code == 400
    check("contacts.v3.json", path.partition("?")[0], response)


def test_tokens(hubspot) -> None:
    """Token answers are what the vendor describes for each version."""
    form = {"grant_type": "refresh_token", "refresh_token": hubspot.facts.refresh_token}
    for version in ("v1", "v3", "2026-03"):
        template = f"/oauth/{version}/token"
        check(f"oauth.{version}.json", template, hubspot.token(version, **form))
    token = hubspot.token("v1", **form).json()["access_token"]
    path = "/oauth/v1/access-tokens"
    check("oauth.v1.json", f"{path}/{{token}}", hubspot.get(f"{path}/{token}"))


def test_a_planted_difference_is_found(hubspot) -> None:
    """The comparison fails where a number stands for text, or a key that nobody described."""
    body = hubspot.get("/crm/v3/objects/contacts", limit=1).json()
    path = "/crm/v3/objects/contacts"
    body["results"][0]["id"] = int(body["results"][0]["id"])
    with pytest.raises(Difference, match=r"results\[0\]\.id"):
        validate("hubspot", "contacts.v3.json", "GET", path, 200, body)
    body = hubspot.get(path, limit=1).json() | {"surprise": 1}
    with pytest.raises(Difference, match="surprise"):
        validate("hubspot", "contacts.v3.json", "GET", path, 200, body, closed=True)
