"""HubSpot's properties as fields; owners, pipelines and lists, which have no properties, by the documentation.

Source: https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_pipeline.connectors.hubspot.catalog import LABELS, LIST_MEMBERS, LISTS, OWNERS, type_of
from crm_pipeline.model.schema import CommonType, Field, Form, Multiple, Schema

# Other types (phone_number, object_coordinates, future ones) are kept as text.
_TYPES: Mapping[str, CommonType] = {
    "bool": "boolean",
    "date": "date",
    "datetime": "timestamp",
    "number": "decimal",
    "json": "json",
}
_FORMS: Mapping[str, Form] = {"date": "date_epoch_ms", "datetime": "epoch_ms"}
_OWNER_TYPE = "OWNER"
# HubSpot declares ids as numbers: `hs_object_id`, `hs_updated_by_user_id`, `associatedcompanyid`.
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

MORE = "additionalProperties"
"""The key of a list that holds what a search adds to it."""
_LIST = (
    Field("listId", "List ID", "string", is_id=True),
    Field("name", "Name", "string"),
    Field("objectTypeId", "Type of records", "string"),
    Field(
        "processingType", "Processing type", "enumeration", values=("MANUAL", "DYNAMIC", "SNAPSHOT")
    ),
    Field("processingStatus", "Processing status", "string"),
    Field("listVersion", "Version", "number", "integer"),
    Field("createdAt", "Created at", "datetime", "timestamp"),
    Field("createdById", "Created by", "string", is_id=True),
    Field("updatedAt", "Updated at", "datetime", "timestamp"),
    Field("updatedById", "Updated by", "string", is_id=True),
    Field("filtersUpdatedAt", "Filters updated at", "datetime", "timestamp"),
    Field("deletedAt", "Deleted at", "datetime", "timestamp"),
    Field("hs_list_size", "Size", "number", "integer", path=(MORE, "hs_list_size")),
    Field(
        "hs_last_record_added_at",
        "Last record added at",
        "datetime",
        "timestamp",
        path=(MORE, "hs_last_record_added_at"),
        form="epoch_ms",
    ),
    Field(
        "hs_last_record_removed_at",
        "Last record removed at",
        "datetime",
        "timestamp",
        path=(MORE, "hs_last_record_removed_at"),
        form="epoch_ms",
    ),
    Field("hs_folder_name", "Folder", "string", path=(MORE, "hs_folder_name")),
    Field(
        "hs_list_reference_count",
        "References",
        "number",
        "integer",
        path=(MORE, "hs_list_reference_count"),
    ),
)
_LIST_MEMBER = (
    Field("listId", "List ID", "string", is_id=True, reference_to=(LISTS,)),
    Field("recordId", "Record ID", "string", is_id=True),
    Field("objectTypeId", "Type of records", "string"),
    Field("object", "Object", "string"),
    Field("membershipTimestamp", "Member since", "datetime", "timestamp"),
)
_OF_LISTS = {LISTS: _LIST, LIST_MEMBERS: _LIST_MEMBER}


def schema_of(name: str, label: str, properties: Sequence[Mapping[str, Any]]) -> Schema:
    """Return the fields of a type: its properties in the account's order, then the other keys of a record.

    A property may have the name of one of those keys, and keeps it.
    """
    fields = (_field(listed) for listed in properties if not listed.get("archived"))
    return Schema(object=name, label=label, fields=(*fields, *_RECORD))


def fixed_schema(name: str) -> Schema:
    """Return the fields of owners, of pipelines, of lists or of their members."""
    if name in _OF_LISTS:
        return Schema(object=name, label=LABELS[name], fields=_OF_LISTS[name])
    fields = _OWNER if name == OWNERS else _PIPELINE
    return Schema(object=name, label=LABELS[name], fields=(*fields, *_RECORD))


def properties_of(schema: Schema) -> tuple[str, ...]:
    """Return the names of a schema's properties, without the other keys of a record."""
    return tuple(field.path[1] for field in schema.fields if field.path[:1] == ("properties",))


def keys_of(schema: Schema, further: Collection[str] = ()) -> Schema:
    """Return a schema with the fields of a record's id and modification time, and some further ones."""
    names = {"hs_object_id", cursor_field(schema), *further}
    kept = (field for field in schema.fields if field.name in names or not field.path)
    return replace(schema, fields=tuple(kept))


def cursor_field(schema: Schema) -> str | None:
    """Return the property with the time of the last change; None where records have none."""
    name = type_of(schema.object).cursor_field
    field = schema.by_name.get(name)
    return name if field is not None and field.path else None


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
        # Calculated properties of HubSpot are always read-only.
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
