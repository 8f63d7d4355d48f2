"""Reads modules and fields from `settings/modules` and `settings/fields`, as schemas.

Sources: zoho.com/crm/developer/docs/api/v8/modules-api.html, field-meta.html. Users, Pipelines and Currencies
are settings and no modules: see `setup`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Required, TypedDict

import msgspec
import requests

from crm_pipeline.connectors.description import Whole, entries, whole
from crm_pipeline.connectors.zoho import meter
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.connectors.zoho.documents import NO_BODY
from crm_pipeline.kernel.errors import NotPermitted
from crm_pipeline.model.schema import CommonType, Field, Schema

MODIFIED = "Modified_Time"
ID = "id"
RICH = "rich_text"
CONVERTED = "Converted__s"
# The field with the target module of a look-up to any module; metadata does not list it.
ANY_MODULE = "$se_module"
# Types that only responses with a single record contain; their rows are modules of their own.
NOT_LISTED = frozenset({"subform", "multiselectlookup", "multiuserlookup"})
# Fields that queries refuse although metadata lists them: by type, and by name as reported publicly.
_NOT_IN_QUERIES = frozenset({"fileupload", "imageupload", "profileimage"})
_REFUSED: Mapping[str, frozenset[str]] = {
    "Calls": frozenset({"CTI_Entry"}),
    "Cases": frozenset({"Comments"}),
    "Events": frozenset({"Participants"}),
    "Price_Books": frozenset({"Pricing_Details"}),
    "Solutions": frozenset({"Comments"}),
}
_TYPES: Mapping[str, CommonType] = {
    "boolean": "boolean",
    "integer": "integer",
    "bigint": "integer",
    "double": "double",
    "percent": "double",
    "decimal": "decimal",
    "currency": "decimal",
    "date": "date",
    "datetime": "timestamp",
}
_CONSENT = "consent_lookup"
_LOOKUPS = frozenset({"lookup", "ownerlookup", "userlookup"})


@dataclass(frozen=True)
class Module:
    """One module as the vendor lists it.

    Attributes:
        kind: `generated_type`: default, custom, subform, linking, ...
    """

    name: str
    label: str
    kind: str


class ModuleEntry(TypedDict, total=False):
    """One entry of the list of modules."""

    api_name: Required[str]
    plural_label: str | None
    generated_type: str | None
    api_supported: bool | None


class _Modules(msgspec.Struct):
    modules: list[msgspec.Raw]


class _Choice(TypedDict, total=False):
    actual_value: Required[str | int | float | bool]
    display_value: str | int | float | bool | None


# Parts that only some fields have; a part of another form counts as absent.
class _Named(msgspec.Struct):
    api_name: str | None = None


class _Typed(msgspec.Struct):
    type: str | None = None


class _Computed(msgspec.Struct):
    return_type: str | None = None


class _Pointer(msgspec.Struct):
    module: _Named | None = None


class _Link(msgspec.Struct):
    linking_details: _Pointer | None = None


class _Money(msgspec.Struct):
    precision: Whole = None


class _Rows(msgspec.Struct):
    module: str | None = None


class FieldEntry(TypedDict, total=False):
    """One entry of the metadata of fields."""

    api_name: Required[str]
    data_type: Required[str]
    field_label: str | None
    json_type: str | None
    visible: bool | None
    custom_field: bool | None
    system_mandatory: bool | None
    length: Whole
    decimal_place: Whole
    currency: _Money | None
    textarea: _Typed | None
    formula: _Computed | None
    rollup_summary: _Computed | None
    pick_list_values: list[_Choice] | None
    lookup: _Pointer | None
    multiselectlookup: _Link | None
    multiuserlookup: _Link | None
    subform: _Rows | None
    associated_module: _Rows | None


class _Fields(msgspec.Struct):
    fields: list[msgspec.Raw]


def modules(api: Api) -> list[Module]:
    """Return the modules that the API supports."""

    def read(response: requests.Response) -> list[ModuleEntry]:
        body, owner = response.content, api.connection.name
        if response.status_code in NO_BODY:
            return []
        what = "the list of modules"
        return entries(
            body, _Modules, ModuleEntry, list_name="modules", owner=owner, what=what
        ).rows

    return [
        Module(
            name := entry["api_name"],
            entry.get("plural_label") or name,
            entry.get("generated_type") or "default",
        )
        for entry in api.ask("/settings/modules", meter.METADATA, read)
        if entry.get("api_supported") and entry["api_name"]
    ]


def fields(api: Api, module: str) -> list[FieldEntry]:
    """Return the metadata of a module's fields.

    Raises:
        NotPermitted: the module is listed, but has no fields (204).
    """

    def read(response: requests.Response) -> list[FieldEntry]:
        if response.status_code in NO_BODY:
            return []
        return entries(
            response.content,
            _Fields,
            FieldEntry,
            list_name="fields",
            owner=api.connection.name,
            what=f"the fields of {module}",
            must_have=(ID, MODIFIED, CONVERTED),
        ).rows

    params = {"module": module, "type": "all"}
    listed = api.ask("/settings/fields", meter.METADATA, read, params)
    named = [entry for entry in listed if entry["api_name"]]
    if not named:
        raise NotPermitted(
            f"{api.connection.name}: {module} is listed as a module, but shows no fields.",
            cure="Take it out of connections.yaml; the vendor has no records of it for the API.",
        )
    return named


def schema_of(module: Module, entries: list[FieldEntry]) -> Schema:
    """Return the fields that lists of records contain, in the vendor's order."""
    shown = [entry for entry in entries if is_shown(entry) and entry["data_type"] not in NOT_LISTED]
    fields = tuple(_field(entry) for entry in shown)
    if all(field.name != ID for field in fields):
        fields = (Field(ID, "Record Id", "bigint", nullable=False), *fields)
    if any(_points_to_any_module(entry) for entry in shown):
        fields = (*fields, Field(ANY_MODULE, "Related module", "text"))
    return Schema(object=module.name, label=module.label, fields=fields)


def is_shown(raw: FieldEntry) -> bool:
    """Return whether records contain a field; names with $ are internal to the vendor."""
    return raw.get("visible") is not False and not raw["api_name"].startswith("$")


def keys_of(schema: Schema, further: Collection[str] = ()) -> Schema:
    """Return a schema with the fields of a record's id and time of change, the one that queries for leads need, and others."""
    names = {ID, MODIFIED, CONVERTED, *further}
    return replace(schema, fields=tuple(field for field in schema.fields if field.name in names))


def cursor_field(schema: Schema) -> str | None:
    """Return the field with a record's time of change; None where there is none."""
    return MODIFIED if MODIFIED in schema.by_name else None


def refused_by_queries(api: Api, schema: Schema) -> tuple[str, ...]:
    """Return the fields that queries refuse, in the schema's order."""
    names = _REFUSED.get(schema.object, frozenset()) | api.refused_columns.get(schema.object, set())
    return tuple(
        field.name
        for field in schema.fields
        if field.name in names or field.type in _NOT_IN_QUERIES
    )


def never_in_exports(schema: Schema) -> tuple[str, ...]:
    """Return the fields that exports lack or shorten, such as a lawful basis, of which they have one word."""
    names = _REFUSED.get(schema.object, frozenset())
    return tuple(
        field.name for field in schema.fields if field.name in names or field.type == _CONSENT
    )


def rich_texts(schema: Schema) -> tuple[str, ...]:
    """Return the fields that lists truncate after 500 characters."""
    return tuple(field.name for field in schema.fields if field.type == RICH)


def _field(raw: FieldEntry) -> Field:
    name, kind = raw["api_name"], raw["data_type"]
    is_rich = (raw.get("textarea") or _Typed()).type == RICH
    pairs = [_pair(choice) for choice in raw.get("pick_list_values") or ()]
    return Field(
        name=name,
        label=raw.get("field_label") or name,
        type=RICH if is_rich else kind,
        common_type=_common_type(raw),
        nullable=name != ID and not raw.get("system_mandatory"),
        custom=bool(raw.get("custom_field")),
        calculated=kind in {"formula", "rollup_summary"},
        length=whole(raw.get("length")),
        scale=_scale(raw),
        reference_to=_target(raw),
        values=tuple(value for value, _ in pairs),
        options=tuple(pair for pair in pairs if pair[0] != pair[1]),
        path=(name, "id") if kind in _LOOKUPS else (),
        multiple="json" if kind == "multiselectpicklist" else "",
    )


def _scale(raw: FieldEntry) -> int:
    """Return the decimal places of a number; for amounts either entry may have them, up to nine."""
    money = raw.get("currency") or _Money()
    return max(whole(raw.get("decimal_place")), whole(money.precision))


def _pair(choice: _Choice) -> tuple[str, str]:
    value, label = choice["actual_value"], choice.get("display_value")
    return str(value), str(value if label is None else label)


def _common_type(raw: FieldEntry) -> CommonType:
    kind = raw["data_type"]
    if raw["api_name"] == ID or kind in _LOOKUPS or kind == "multiselectpicklist":
        return "string"
    if kind == "formula":
        kind = (raw.get("formula") or _Computed()).return_type or "string"
    if kind == "rollup_summary":
        kind = (raw.get("rollup_summary") or _Computed()).return_type or "double"
    if kind in _TYPES:
        return _TYPES[kind]
    return "json" if raw.get("json_type") in {"jsonobject", "jsonarray"} else "string"


def _points_to_any_module(raw: FieldEntry) -> bool:
    return _lookup_module(raw) == "se_module"


def _lookup_module(raw: FieldEntry) -> str:
    module = (raw.get("lookup") or _Pointer()).module
    return (module.api_name if module is not None else None) or ""


def _target(raw: FieldEntry) -> tuple[str, ...]:
    if raw["data_type"] in {"ownerlookup", "userlookup"}:
        return ("Users",)
    target = _lookup_module(raw)
    return (
        (target,)
        if raw["data_type"] == "lookup" and target and not _points_to_any_module(raw)
        else ()
    )


def module_of_rows(raw: FieldEntry) -> str:
    """Return the module with the rows of a field that lists lack; "" where it is not known."""
    if raw["data_type"] == "subform":
        parts = (raw.get("associated_module"), raw.get("subform"))
        modules = (part.module for part in parts if part is not None)
        return next(filter(None, modules), raw["api_name"])
    links = {
        "multiselectlookup": raw.get("multiselectlookup"),
        "multiuserlookup": raw.get("multiuserlookup"),
    }
    link = links.get(raw["data_type"])
    linking = link.linking_details if link is not None else None
    module = linking.module if linking is not None else None
    return (module.api_name if module is not None else None) or ""
