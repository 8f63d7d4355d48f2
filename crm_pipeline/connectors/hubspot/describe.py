"""HubSpot's properties as our fields; owners and pipelines, which have none, as they are documented.

Source: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from crm_pipeline.connectors.hubspot.catalog import LABELS, OWNERS, type_of
from crm_pipeline.model.schema import CommonType, Field, Form, Multiple, Schema

# Types that are not named here (phone_number, object_coordinates, whatever comes) are kept as text.
_TYPES: Mapping[str, CommonType] = {
    "bool": "boolean",
    "date": "date",
    "datetime": "timestamp",
    "number": "decimal",
    "json": "json",
}
_FORMS: Mapping[str, Form] = {"date": "date_epoch_ms", "datetime": "epoch_ms"}
_OWNER_TYPE = "OWNER"
# Ids are numbers to HubSpot, and to nobody else: `hs_object_id`, `hs_updated_by_user_id`, `associatedcompanyid`.
_ID = re.compile(r".+_(id|vid)|associatedcompanyid")
_RECORD = (
    Field("id", "Record ID", "string"),
    Field("createdAt", "Created at", "datetime", "timestamp"),
    Field("updatedAt", "Updated at", "datetime", "timestamp"),
    Field("archived", "Archived", "bool", "boolean"),
    Field("archivedAt", "Archived at", "datetime", "timestamp"),
)
_OWNER = (
    Field("email", "E-mail", "string"),
    Field("type", "Type", "enumeration", values=("PERSON", "QUEUE")),
    Field("firstName", "First name", "string"),
    Field("lastName", "Last name", "string"),
    Field("userId", "User ID", "number", "integer"),
    Field("userIdIncludingInactive", "User ID, of inactive users too", "number", "integer"),
    Field("teams", "Teams", "json", "json"),
)
_PIPELINE = (
    Field("label", "Name", "string"),
    Field("displayOrder", "Place", "number", "integer"),
    Field("stages", "Stages", "json", "json"),
)


def schema_of(name: str, label: str, properties: Sequence[Mapping[str, Any]]) -> Schema:
    """Return the fields of records of a type, in the account's order, those of the record behind them.

    A property may be called as something that stands beside the properties: it keeps its name.
    """
    fields = (_field(one) for one in properties if not one.get("archived"))
    return Schema(object=name, label=label, fields=(*fields, *_RECORD))


def fixed_schema(name: str) -> Schema:
    """Return the fields of owners or of pipelines."""
    fields = _OWNER if name == OWNERS else _PIPELINE
    return Schema(object=name, label=LABELS[name], fields=(*fields, *_RECORD))


def properties_of(schema: Schema) -> tuple[str, ...]:
    """Return the properties that a schema names, without what every record has beside them."""
    return tuple(field.path[1] for field in schema.fields if field.path[:1] == ("properties",))


def cursor_field(schema: Schema) -> str | None:
    """Return the property that changes with each edit; None where records have none."""
    stamp = type_of(schema.object).stamp
    found = schema.by_name.get(stamp)
    return stamp if found is not None and found.path else None


def _field(raw: Mapping[str, Any]) -> Field:
    name, kind = str(raw["name"]), str(raw.get("type") or "string")
    options = tuple(
        (str(option["value"]), str(option.get("label") or option["value"]))
        for option in raw.get("options") or ()
        if option.get("value") is not None
    )
    metadata = raw.get("modificationMetadata") or {}
    return Field(
        name=name,
        label=str(raw.get("label") or name),
        type=kind,
        common_type=_TYPES.get(kind, "string"),
        nullable=True,
        custom=not raw.get("hubspotDefined", False),
        # A calculated property of HubSpot's own is read-only too.
        calculated=bool(raw.get("calculated")) and bool(metadata.get("readOnlyValue", True)),
        reference_to=_refers_to(raw),
        values=tuple(value for value, _ in options) if kind == "enumeration" else (),
        path=("properties", name),
        options=options if kind == "enumeration" else (),
        multiple=_multiple(raw),
        form=_FORMS.get(kind, ""),
        is_id=kind == "number" and bool(raw.get("hubspotDefined")) and bool(_ID.fullmatch(name)),
    )


def _multiple(raw: Mapping[str, Any]) -> Multiple:
    is_list = raw.get("type") == "enumeration" and raw.get("fieldType") == "checkbox"
    return ";" if is_list else ""


def _refers_to(raw: Mapping[str, Any]) -> tuple[str, ...]:
    referenced = str(raw.get("referencedObjectType") or "")
    return (OWNERS,) if referenced == _OWNER_TYPE else ()
