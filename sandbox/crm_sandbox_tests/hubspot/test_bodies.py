"""Bodies of another shape than the vendor describes: refused as the vendor refuses them."""

from __future__ import annotations

from typing import Any

import pytest

BASE = "/crm/v3/objects/contacts"
READ, SEARCH = f"{BASE}/batch/read", f"{BASE}/search"


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        (BASE, {"associations": [1]}, "$.associations[0]"),
        (BASE, {"properties": {"email": {"a": 1}}}, "$.properties[...]"),
        (f"{BASE}/batch/create", {"inputs": [{"objectWriteTraceId": [1]}]}, "objectWriteTraceId"),
        (READ, {"inputs": [], "properties": 1}, "$.properties"),
        (READ, {"inputs": [], "propertiesWithHistory": 1}, "$.propertiesWithHistory"),
        (f"{BASE}/batch/update", {"inputs": [{"id": "1", "properties": 1}]}, "properties"),
        (SEARCH, {"sorts": 1}, "$.sorts"),
        (SEARCH, {"filterGroups": [{"filters": [1]}]}, "$.filterGroups[0].filters[0]"),
        ("/communication-preferences/v4/statuses/a@b.example", {"subscriptionId": {}}, "$.sub"),
        ("/crm/v3/pipelines/deals", {"label": "x", "stages": 1}, "$.stages"),
        ("/crm/v4/associations/contacts/deals/batch/create", {"inputs": [{"to": 1}]}, "to"),
    ],
)
def test_parts_of_another_type(hubspot, path: str, body: Any, place: str) -> None:
    """A part of another type is refused with 400 in the vendor's form, which names the place."""
    response = hubspot.post(path, body)
    refusal = response.json()
    assert (response.status_code, refusal["category"]) == (400, "VALIDATION_ERROR")
    assert refusal["message"].startswith("Invalid input JSON on line 1, column 1: Expected")
    assert place in refusal["message"]


def test_links_that_cannot_be(hubspot) -> None:
    """Between object types that cannot be linked there is nothing to remove (not confirmed)."""
    path = f"/crm/v4/objects/tickets/{hubspot.first('tickets')}/associations/quotes/1"
    assert hubspot.delete(path).status_code == 204
    assert hubspot.put(path, []).status_code == 400


def test_null_filters(hubspot) -> None:
    """A group whose filters are null has none, as in Java."""
    response = hubspot.post(SEARCH, {"filterGroups": [{"filters": None}]})
    assert (response.status_code, response.json()["total"]) == (
        200,
        hubspot.truth.count("contacts"),
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{BASE}/batch/archive", {"inputs": [{"id": "²"}]}),
        (f"{BASE}/batch/archive", {"inputs": [{"id": "9" * 5_000}]}),
        (SEARCH, {"after": "٣"}),
        (f"{BASE}/merge", {"primaryObjectId": "9" * 25, "objectIdToMerge": "1"}),
        (
            f"{BASE}/batch/upsert",
            {"inputs": [{"id": "1", "idProperty": "hs_object_id", "properties": {}}]},
        ),
    ],
)
def test_numbers_that_are_none(hubspot, path: str, body: Any) -> None:
    """Ids and offsets in other digits, or too large for any record, name nothing."""
    assert hubspot.post(path, body).status_code in {204, 400, 404}
