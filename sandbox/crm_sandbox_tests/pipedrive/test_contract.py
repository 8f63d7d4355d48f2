"""Answers against the vendor's OpenAPI descriptions, where they stand beside the repository."""

from __future__ import annotations

from typing import Any

import pytest

from crm_sandbox_tests.contracts import Difference, described, validate

V2 = "openapi-v2.2026-08.yaml"
V1 = "openapi-v1.2026-08.yaml"
OLD = "openapi-v1.2026-01-before-removal.yaml"

# The description calls these plain strings and numbers; the vendor's own examples, its clients'
# release notes and live answers have nulls there.
NULLS = {
    "/deals": ("person_id", "org_id", "probability", "won_time", "lost_time", "update_time"),
    "/persons": ("org_id", "picture_id", "update_time", "birthday", "notes"),
    "/organizations": ("update_time",),
    "/activities": (
        *("deal_id", "lead_id", "person_id", "org_id", "project_id", "priority", "note"),
        *("marked_as_done_time", "location", "conference_meeting_client", "update_time"),
        *("conference_meeting_url", "conference_meeting_id", "attendees"),
    ),
    "/products": ("unit",),
    "/stages": (),
    "/pipelines": (),
}
FIELDS = ("$.data[*].add_time", "$.data[*].update_time", "$.data[*].field_type")
ADDRESSES = {"/persons": "postal_address", "/organizations": "address", "/activities": "location"}


def besides(path: str, start: str) -> tuple[str, ...]:
    """Return the known nulls of an object below a JSON path."""
    known = [f"{start}.{name}" for name in NULLS[path]]
    if path in ADDRESSES:
        known.append(f"{start}.{ADDRESSES[path]}")
    ends = ("$.additional_data.next_cursor", "$.additional_data")
    return (*known, *ends)


@pytest.mark.parametrize("account", ["main", "second"])
@pytest.mark.parametrize("path", NULLS)
def test_lists(path: str, account: str, request: pytest.FixtureRequest) -> None:
    """v2 lists are what the vendor describes, but for known nulls."""
    client = request.getfixturevalue(account)
    body = client.v2(path, limit=120).json()
    validate("pipedrive", V2, "GET", path, 200, body, besides=besides(path, "$.data[*]"))


@pytest.mark.parametrize("path", ["/deals", "/persons", "/organizations", "/activities"])
def test_everything_that_can_be_asked_for(main, path: str) -> None:
    """What the vendor's description lists for include_fields is taken, each and all."""
    parameters = described("pipedrive", V2)["paths"][path]["get"]["parameters"]
    listed = next(one for one in parameters if one["name"] == "include_fields")["schema"]["enum"]
    [row] = main.data(f"/api/v2{path}", include_fields=",".join(listed), limit=1)
    assert set(listed) <= set(row)


@pytest.mark.parametrize("path", NULLS)
def test_nothing_undescribed(main, path: str) -> None:
    """v2 records have no property that the vendor does not describe or show in its examples."""
    shown = {
        "/deals": tuple(
            f"$.data[*].{name}"
            for name in (
                *("creator_user_id", "archive_time"),
                *("local_won_date", "local_lost_date", "local_close_date"),
            )
        ),
        "/products": ("$.data[*].prices", "$.data[*].billing_frequency"),
    }
    known = (*besides(path, "$.data[*]"), *shown.get(path, ()))
    body = main.v2(path, limit=40).json()
    validate("pipedrive", V2, "GET", path, 200, body, closed=True, besides=known)


@pytest.mark.parametrize("path", NULLS)
def test_records(main, path: str) -> None:
    """v2 records by id are what the vendor describes."""
    record = main.data(f"/api/v2{path}", limit=1)[0]["id"]
    body = main.v2(f"{path}/{record}").json()
    validate("pipedrive", V2, "GET", f"{path}/{{id}}", 200, body, besides=besides(path, "$.data"))


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/dealFields", {"limit": 500}),
        ("/personFields", {"include_fields": "ui_visibility", "limit": 500}),
        ("/organizationFields", {}),
        ("/productFields", {}),
        ("/activityFields", {}),
        ("/deals/archived", {}),
        ("/deals/products", {"deal_ids": "1,2,3,4,5,6"}),
        ("/persons/search", {"term": "an"}),
        ("/organizations/search", {"term": "an"}),
        ("/deals/search", {"term": "an"}),
        ("/leads/search", {"term": "an"}),
        ("/products/search", {"term": "sea"}),
        ("/itemSearch", {"term": "an"}),
    ],
)
def test_other_v2(main, path: str, query: dict[str, Any]) -> None:
    """Field metadata, line items and searches of v2 are what the vendor describes."""
    response = main.v2(path, **query)
    assert response.status_code == 200, response.text
    known = ("$.additional_data.next_cursor",)
    if path == "/deals/archived":
        known = besides("/deals", "$.data[*]")
    if path.endswith("earch"):
        # Amounts and product codes are whole numbers in the description; a record may have no company.
        item = "$.data.items[*].item"
        known += (f"{item}.value", f"{item}.organization", f"{item}.person", f"{item}.address")
        known += (f"{item}.code",)
    validate("pipedrive", V2, "GET", path, 200, response.json(), besides=known)


@pytest.mark.parametrize(
    ("path", "template", "known"),
    [
        ("/v1/leads", "/leads", ()),
        ("/v1/leads/archived", "/leads/archived", ()),
        ("/v1/leadLabels", "/leadLabels", ()),
        ("/v1/leadSources", "/leadSources", ()),
        (
            "/v1/notes",
            "/notes",
            tuple(
                f"$.data[*].{name}"
                for name in (
                    *("deal", "person", "organization", "deal_id", "person_id", "org_id"),
                    *("lead_id", "project_id", "task_id", "user.icon_url"),
                )
            ),
        ),
        ("/v1/users", "/users", ()),
        ("/v1/users/me", "/users/me", ("$.data.company_industry",)),
        # The description wants RFC 3339 here and shows v1's own form in its examples.
        ("/v1/activityTypes", "/activityTypes", ("$.data[*].add_time", "$.data[*].update_time")),
        ("/v1/currencies", "/currencies", ()),
        ("/v1/roles", "/roles", ()),
        ("/v1/legacyTeams", "/legacyTeams", ()),
        ("/v1/deals/3/participants", "/deals/{id}/participants", ()),
        ("/v1/filters", "/filters", ()),
        ("/v1/userSettings", "/userSettings", ()),
        # Types are narrowed to those that can be created, against the examples.
        ("/v1/personFields", "/personFields", FIELDS),
        ("/v1/noteFields", "/noteFields", ("$.data[*].field_type", "$.data[*].options")),
        ("/v1/deals/1/flow", "/deals/{id}/flow", ()),
        ("/v1/deals/1/changelog", "/deals/{id}/changelog", ("$.additional_data.next_cursor",)),
    ],
)
def test_v1(main, path: str, template: str, known: tuple[str, ...]) -> None:
    """What is left of v1 is what the vendor describes."""
    response = main.get(path)
    assert response.status_code == 200, response.text
    validate("pipedrive", V1, "GET", template, 200, response.json(), besides=known)


@pytest.mark.parametrize("name", ["deals", "persons", "organizations", "pipelines", "stages"])
def test_old_v1(main, name: str) -> None:
    """What went out of support is what the vendor described while it was supported."""
    nulls = {
        "persons": ("org_id", "org_name", "label", "update_time"),
        "organizations": (
            *("update_time", "label", "address_route", "address_admin_area_level_1", "address"),
            *("address_street_number", "address_postal_code", "address_formatted_address"),
        ),
        "deals": (
            *("person_id", "org_id", "person_name", "org_name", "won_time", "lost_time"),
            *("update_time", "lost_reason", "close_time", "creator_user_id.has_pic"),
            *("user_id.has_pic",),
        ),
        "stages": ("rotten_days",),
    }.get(name, ())
    known = tuple(f"$.data[*].{one}" for one in nulls)
    body = main.get(f"/v1/{name}", limit=50).json()
    validate("pipedrive", OLD, "GET", f"/{name}", 200, body, besides=known)


def test_refusals(main) -> None:
    """Refusals whose form is described have that form."""
    missing = main.get("/v1/leads/00000000-0000-4000-8000-000000000000").json()
    validate("pipedrive", V1, "GET", "/leads/{id}", 404, missing)
    main.http.headers["x-api-token"] = "nonsense"
    try:
        refused = main.get("/v1/users/me").json()
    finally:
        main.http.headers["x-api-token"] = main.access.api_token
    validate("pipedrive", V1, "GET", "/users/me", 401, refused)


def test_a_planted_difference(main) -> None:
    """The comparison sees it when a record is not what is described."""
    body = main.v2("/persons").json()
    body["data"][3]["owner_id"] = {"id": 1}
    with pytest.raises(Difference, match=r"\$\.data\[3\]\.owner_id"):
        validate(
            *("pipedrive", V2, "GET", "/persons", 200),
            body,
            besides=besides("/persons", "$.data[*]"),
        )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/deals", {"title": "x", "person_id": 1, "org_id": 1}, 200),
        ("/persons", {"name": "x", "emails": [{"value": "a@b.example", "primary": True}]}, 200),
        ("/organizations", {"name": "x", "address": {"value": "Markt 1"}}, 200),
        ("/activities", {"subject": "x", "participants": [{"person_id": 1, "primary": True}]}, 200),
        ("/products", {"name": "x", "prices": [{"price": 5, "currency": "EUR"}]}, 201),
        ("/pipelines", {"name": "x"}, 200),
        ("/stages", {"name": "x", "pipeline_id": 1}, 200),
    ],
)
def test_writes(own, path: str, body: dict[str, Any], status: int) -> None:
    """What v2 answers to a creation, a change and a deletion is what the vendor describes."""
    known = (*besides(path, "$.data"), "$.data.expected_close_date", "$.data.close_time")
    known += tuple(f"$.data.{name}" for name in ("due_date", "code", "description", "category"))
    known += ("$.data.address", "$.data.last_name")
    made = own.post(f"/api/v2{path}", body)
    assert made.status_code == status, made.text
    validate("pipedrive", V2, "POST", path, status, made.json(), besides=known)
    one = f"{path}/{made.json()['data']['id']}"
    changed = own.patch(f"/api/v2{one}", {}).json()
    validate("pipedrive", V2, "PATCH", f"{path}/{{id}}", 200, changed, besides=known)
    gone = own.delete(f"/api/v2{one}").json()
    validate("pipedrive", V2, "DELETE", f"{path}/{{id}}", 200, gone, closed=True)


def test_field_writes(own) -> None:
    """What v2 answers to changes of fields and options is what the vendor describes."""
    body = {"field_name": "x", "field_type": "enum", "options": [{"label": "a"}, {"label": "b"}]}
    made = own.post("/api/v2/dealFields", body).json()
    validate("pipedrive", V2, "POST", "/dealFields", 200, made)
    path = f"/api/v2/dealFields/{made['data']['field_code']}"
    template = "/dealFields/{field_code}"
    renamed = own.patch(path, {"field_name": "y"}).json()
    validate("pipedrive", V2, "PATCH", template, 200, renamed)
    added = own.post(f"{path}/options", [{"label": "c"}]).json()
    validate("pipedrive", V2, "POST", f"{template}/options", 200, added, closed=True)
    gone = own.delete(path).json()
    validate("pipedrive", V2, "DELETE", template, 200, gone)


def test_line_item_writes(own) -> None:
    """What v2 answers to added products and followers of a deal is what the vendor describes."""
    item = {"product_id": own.every("/products")[0]["id"], "item_price": 5, "quantity": 2}
    path = "/api/v2/deals/1/products"
    template = "/deals/{id}/products"
    made = own.post(path, item).json()
    validate("pipedrive", V2, "POST", template, 201, made, closed=True)
    many = own.post(f"{path}/bulk", {"data": [item]}).json()
    validate("pipedrive", V2, "POST", f"{template}/bulk", 201, many, closed=True)
    gone = own.delete(path).json()
    validate("pipedrive", V2, "DELETE", template, 200, gone, closed=True)
    follower = own.post("/api/v2/deals/1/followers", {"user_id": own.truth.companies["main"].admin})
    validate("pipedrive", V2, "POST", "/deals/{id}/followers", 201, follower.json(), closed=True)


def test_conversions_and_merges(own) -> None:
    """What conversions and merges answer is what the vendor describes."""
    lead = own.every_v1("/v1/leads")[0]["id"]
    begun = own.post(f"/api/v2/leads/{lead}/convert/deal").json()
    validate("pipedrive", V2, "POST", "/leads/{id}/convert/deal", 200, begun, closed=True)
    job = begun["data"]["conversion_id"]
    template = "/leads/{id}/convert/status/{conversion_id}"
    for _ in range(3):
        state = own.v2(f"/leads/{lead}/convert/status/{job}").json()
        validate("pipedrive", V2, "GET", template, 200, state, closed=True)
    for name in ("persons", "organizations", "deals"):
        merged = own.put(f"/v1/{name}/1/merge", {"merge_with_id": 2})
        nulls = ("person_id", "org_id", "won_time", "lost_time", "person_name", "org_name")
        known = tuple(f"$.data.{one}" for one in nulls)
        template = f"/{name}/{{id}}/merge"
        validate("pipedrive", V1, "PUT", template, 200, merged.json(), besides=known)


def test_recents(own) -> None:
    """What is recent is what the vendor describes."""
    rows = own.get("/v1/recents", since_timestamp="2026-10-10 00:00:00", limit=500).json()
    assert {row["item"] for row in rows["data"]} >= {"person", "deal", "note"}
    nulls = (
        *("person_id", "org_id", "deal_id", "lead_id", "project_id", "task_id", "person", "deal"),
        *("organization", "user.icon_url", "won_time", "lost_time", "person_name", "org_name"),
        *("label", "note", "location", "marked_as_done_time", "address", "last_name", "code"),
        *("address_route", "address_street_number", "address_admin_area_level_1", "unit"),
        *("address_postal_code", "address_formatted_address", "rotten_days", "visible_to"),
    )
    known = tuple(f"$.data[*].data.{one}" for one in nulls)
    validate("pipedrive", V1, "GET", "/recents", 200, rows, besides=known)
