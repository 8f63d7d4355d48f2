"""Properties become fields with their path, their labels and the form of their values."""

from typing import Any

import pytest

from crm_pipeline.connectors.hubspot import describe
from crm_pipeline.connectors.hubspot.catalog import (
    LABELS,
    OF_LISTS,
    SNAPSHOTS,
    linked_to,
    scopes_for,
)


def prop(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "label": name.title(), "type": kind, "fieldType": "text", **more}


STAMP = prop("hs_lastmodifieddate", "datetime", hubspotDefined=True)


@pytest.mark.parametrize(
    ("kind", "common", "form"),
    [
        ("string", "string", ""),
        ("number", "decimal", ""),
        ("bool", "boolean", ""),
        ("date", "date", "date_epoch_ms"),
        ("datetime", "timestamp", "epoch_ms"),
        ("enumeration", "string", ""),
        ("phone_number", "string", ""),
        ("json", "json", ""),
        ("object_coordinates", "string", ""),
        ("what_comes_next", "string", ""),
    ],
)
def test_types(kind: str, common: str, form: str) -> None:
    """Known types are cast later; a type that nobody knows yet stays text."""
    [field] = describe.schema_of("deals", "Deals", [prop("x", kind)]).fields[:1]
    assert (field.type, field.common_type, field.form) == (kind, common, form)
    assert field.path == ("properties", "x")


@pytest.mark.parametrize(
    ("name", "own", "is_id"),
    [
        ("hs_object_id", True, True),
        ("hs_updated_by_user_id", True, True),
        ("associatedcompanyid", True, True),
        ("hs_calculated_form_submissions", True, False),
        ("amount_paid", True, False),
        ("machine_id", False, False),
    ],
)
def test_number_ids(name: str, own: bool, is_id: bool) -> None:
    """An id that HubSpot calls a number has no places behind a point; what accounts made is what they say."""
    listed = [prop(name, "number", hubspotDefined=own)]
    [field] = describe.schema_of("deals", "Deals", listed).fields[:1]
    assert (field.is_id, field.common_type) == (is_id, "decimal")


def test_options_keep_value_and_label() -> None:
    """A check box list is text with semicolons; a hidden option is still a value in old records."""
    options = [
        {"label": "E-mail", "value": "email", "hidden": False},
        {"label": "Post", "value": "post", "hidden": True},
    ]
    many = prop("channels", "enumeration", fieldType="checkbox", options=options)
    one = prop("channel", "enumeration", fieldType="select", options=options)
    first, second = describe.schema_of("deals", "Deals", [many, one]).fields[:2]
    assert first.options == (("email", "E-mail"), ("post", "Post"))
    assert (first.multiple, second.multiple) == (";", "")
    assert first.values == ("email", "post")


def test_custom_calculated_and_references() -> None:
    """What the account made itself is custom; owners are referred to by id."""
    owner = prop(
        "hubspot_owner_id", "enumeration", referencedObjectType="OWNER", hubspotDefined=True
    )
    score = prop("score", "number", calculated=True, hubspotDefined=True)
    mine = prop("region_code", "string")
    fields = describe.schema_of("deals", "Deals", [owner, score, mine]).fields
    assert fields[0].reference_to == ("owners",)
    assert [field.calculated for field in fields[:3]] == [False, True, False]
    assert [field.custom for field in fields[:3]] == [False, False, True]


def test_only_properties_are_asked_for() -> None:
    """What every record has beside them comes by itself; archived properties are gone."""
    schema = describe.schema_of("deals", "Deals", [prop("a"), prop("b", archived=True), STAMP])
    assert describe.properties_of(schema) == ("a", "hs_lastmodifieddate")
    assert {"createdAt", "updatedAt", "archivedAt"} <= set(schema.names)
    assert describe.cursor_field(schema) == "hs_lastmodifieddate"


def test_contacts_have_another_stamp() -> None:
    """The usual name is not reliable on contacts."""
    both = [STAMP, prop("lastmodifieddate", "datetime")]
    assert (
        describe.cursor_field(describe.schema_of("contacts", "Contacts", both))
        == "lastmodifieddate"
    )
    assert describe.cursor_field(describe.schema_of("contacts", "Contacts", [STAMP])) is None


@pytest.mark.parametrize("name", sorted(SNAPSHOTS))
def test_objects_that_are_read_whole_have_fixed_fields(name: str) -> None:
    """They have no properties, so nothing is asked for and nothing windows go by."""
    schema = describe.fixed_schema(name)
    assert schema.label == LABELS[name]
    assert schema.names[0] == "listId" if name in OF_LISTS else "id" in schema.names
    assert describe.cursor_field(schema) is None
    assert describe.properties_of(schema) == ()


def test_links_go_to_the_configured_objects() -> None:
    """Owners, pipelines and products are in no association; custom objects are, and records of one object."""
    configured = ["contacts", "deals", "owners", "deal_pipelines", "products", "2-77"]
    assert linked_to("contacts", configured) == ("contacts", "deals", "2-77")
    assert linked_to("2-77", configured) == ("contacts", "deals", "2-77")
    assert linked_to("tasks", [*configured, "tasks"]) == ("contacts", "deals", "2-77")
    assert linked_to("products", configured) == ()
    assert linked_to("owners", configured) == ()


def test_scopes_of_the_configured_objects() -> None:
    """The consent page asks for what is read, once each."""
    found = scopes_for(["contacts", "tasks", "deal_pipelines", "owners", "2-77"])
    assert found == (
        "oauth",
        "crm.objects.contacts.read",
        "crm.objects.deals.read",
        "crm.objects.owners.read",
        "crm.objects.custom.read",
        "crm.schemas.custom.read",
    )


def test_a_property_keeps_its_name_whatever_stands_beside_it() -> None:
    """What every record has gives way to a property of its name, and only to one of exactly that name."""
    schema = describe.schema_of("deals", "Deals", [prop("archived"), prop("id"), prop("createdat")])
    assert schema.names[:3] == describe.properties_of(schema) == ("archived", "id", "createdat")
    beside = {field.name: field.keys for field in schema.fields[3:]}
    assert beside == {
        "id (record)": ("id",),
        "createdAt": ("createdAt",),
        "updatedAt": ("updatedAt",),
        "archived (record)": ("archived",),
        "archivedAt": ("archivedAt",),
    }
