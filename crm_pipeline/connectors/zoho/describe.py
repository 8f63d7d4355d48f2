"""Modules and fields: what `settings/modules` and `settings/fields` say, as a `Schema`.

Sources: zoho.com/crm/developer/docs/api/v8/modules-api.html, field-meta.html. Users, Pipelines and Currencies
are no modules but settings; `setup` describes those.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_pipeline.connectors.zoho import meter
from crm_pipeline.connectors.zoho.api import Api
from crm_pipeline.kernel.errors import NotPermitted
from crm_pipeline.model.schema import CommonType, Field, Schema

STAMP = "Modified_Time"
ID = "id"
RICH = "rich_text"
CONVERTED = "Converted__s"
# Which module a look-up of any module points to; metadata lists only the look-up.
ANY_MODULE = "$se_module"
# Only the answer with a single record has these; their rows are modules of their own.
ELSEWHERE = frozenset({"subform", "multiselectlookup", "multiuserlookup"})
# What queries refuse although metadata lists it: by type, and by name as peers met them.
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


def modules(api: Api) -> list[Module]:
    """List the modules that the API answers for."""
    listed = api.entries(api.ask("/settings/modules", meter.METADATA), "modules")
    return [
        Module(
            str(one["api_name"]),
            str(one.get("plural_label") or one["api_name"]),
            str(one.get("generated_type") or "default"),
        )
        for one in listed
        if one.get("api_supported") and one.get("api_name")
    ]


def fields(api: Api, module: str) -> list[dict[str, Any]]:
    """Return what metadata says of a module's fields.

    Raises:
        NotPermitted: the module is listed, but has no fields to show (204).
    """
    params = {"module": module, "type": "all"}
    response = api.ask("/settings/fields", meter.METADATA, params)
    found = [one for one in api.entries(response, "fields") if one.get("api_name")]
    if not found:
        raise NotPermitted(
            f"{api.connection.name}: {module} is listed as a module, but shows no fields.",
            status=response.status_code,
            cure="Take it out of connections.yaml; the vendor has no records of it for the API.",
        )
    return found


def schema_of(module: Module, listed: list[dict[str, Any]]) -> Schema:
    """Return the fields that lists of records have, in the vendor's order."""
    shown = [one for one in listed if is_shown(one) and one["data_type"] not in ELSEWHERE]
    found = tuple(_field(one) for one in shown)
    if all(one.name != ID for one in found):
        found = (Field(ID, "Record Id", "bigint", nullable=False), *found)
    if any(_points_anywhere(one) for one in shown):
        found = (*found, Field(ANY_MODULE, "Related module", "text"))
    return Schema(object=module.name, label=module.label, fields=found)


def is_shown(raw: Mapping[str, Any]) -> bool:
    """Say whether records have a field; those that begin with $ are the vendor's bookkeeping."""
    return raw.get("visible") is not False and not str(raw["api_name"]).startswith("$")


def stamp_field(schema: Schema) -> str | None:
    """Return the field that says when a record changed; None where there is none."""
    return STAMP if STAMP in schema.by_name else None


def refused_by_queries(api: Api, schema: Schema) -> tuple[str, ...]:
    """Return the fields that queries do not take, in the schema's order."""
    names = _REFUSED.get(schema.object, frozenset()) | api.refused.get(schema.object, set())
    return tuple(
        field.name
        for field in schema.fields
        if field.name in names or field.type in _NOT_IN_QUERIES
    )


def never_in_exports(schema: Schema) -> tuple[str, ...]:
    """Return the fields that exports do not have, or not whole: of a lawful basis they tell a word."""
    names = _REFUSED.get(schema.object, frozenset())
    return tuple(
        field.name for field in schema.fields if field.name in names or field.type == _CONSENT
    )


def rich_texts(schema: Schema) -> tuple[str, ...]:
    """Return the fields that lists cut after 500 characters."""
    return tuple(field.name for field in schema.fields if field.type == RICH)


def _field(raw: Mapping[str, Any]) -> Field:
    name, kind = str(raw["api_name"]), str(raw["data_type"])
    is_rich = (raw.get("textarea") or {}).get("type") == RICH
    choices = raw.get("pick_list_values") or ()
    pairs = [(str(one["actual_value"]), str(one["display_value"])) for one in choices]
    return Field(
        name=name,
        label=str(raw.get("field_label") or name),
        type=RICH if is_rich else kind,
        common_type=_common_type(raw),
        nullable=name != ID and not raw.get("system_mandatory"),
        custom=bool(raw.get("custom_field")),
        calculated=kind in {"formula", "rollup_summary"},
        length=int(raw.get("length") or 0),
        scale=int(raw.get("decimal_place") or 0),
        reference_to=_target(raw),
        values=tuple(value for value, _ in pairs),
        options=tuple(pair for pair in pairs if pair[0] != pair[1]),
        path=(name, "id") if kind in _LOOKUPS else (),
        multiple="json" if kind == "multiselectpicklist" else "",
    )


def _common_type(raw: Mapping[str, Any]) -> CommonType:
    kind = str(raw["data_type"])
    if raw["api_name"] == ID or kind in _LOOKUPS or kind == "multiselectpicklist":
        return "string"
    if kind == "formula":
        kind = str((raw.get("formula") or {}).get("return_type") or "string")
    if kind == "rollup_summary":
        kind = str((raw.get("rollup_summary") or {}).get("return_type") or "double")
    if kind in _TYPES:
        return _TYPES[kind]
    return "json" if raw.get("json_type") in {"jsonobject", "jsonarray"} else "string"


def _points_anywhere(raw: Mapping[str, Any]) -> bool:
    return ((raw.get("lookup") or {}).get("module") or {}).get("api_name") == "se_module"


def _target(raw: Mapping[str, Any]) -> tuple[str, ...]:
    kind = raw["data_type"]
    if kind in {"ownerlookup", "userlookup"}:
        return ("Users",)
    module = (raw.get("lookup") or {}).get("module") or {}
    target = module.get("api_name")
    return (str(target),) if kind == "lookup" and target and not _points_anywhere(raw) else ()


def module_behind(raw: Mapping[str, Any]) -> str:
    """Return the module that holds the rows of a field that only single records show, or ""."""
    kind = raw["data_type"]
    if kind == "subform":
        found = (raw.get("associated_module") or {}).get("module")
        return str(found or (raw.get("subform") or {}).get("module") or raw["api_name"])
    linking = (raw.get(kind) or {}).get("linking_details") or {}
    return str((linking.get("module") or {}).get("api_name") or "")
