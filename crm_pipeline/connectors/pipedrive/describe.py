"""Converts Pipedrive's metadata to schemas: 40-digit keys get names, options get labels.

System fields are listed in `system_fields`; their labels, their options and the custom fields come from
the vendor. Source: https://developers.pipedrive.com/docs/api/v1 (dealFields and so on).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crm_pipeline.connectors.pipedrive.catalog import Item
from crm_pipeline.connectors.pipedrive.field_types import (
    TYPES,
    Options,
    fields_of,
    of_metadata,
)
from crm_pipeline.connectors.pipedrive.system_fields import ALIASES, SYSTEM
from crm_pipeline.model.schema import Field, Schema

_CUSTOM = "custom_fields"
_HASH = re.compile(r"[0-9a-f]{40}")
# v1 lists the parts of composite fields as fields of their own.
_PART = re.compile(r"[0-9a-f]{40}_\w+")


def schema_of(item: Item, entries: Sequence[Mapping[str, Any]]) -> Schema:
    """Return the fields of an object, in the order: system fields, others, custom fields.

    Args:
        item: the object.
        entries: the metadata, of v2 or of v1; empty where the vendor has none.
    """
    is_flat = item.paging == "offset"

    def is_nested(entry: Mapping[str, Any]) -> bool:
        """Return whether the value is below `custom_fields`, so that its key may equal a system field's."""
        return _is_custom(entry) and not is_flat

    by_key = {(is_nested(entry), _key(entry)): entry for entry in entries}
    system = SYSTEM[item.name]
    fields = [
        f for key in system for f in _system_fields(key, system[key], by_key.get((False, key)))
    ]
    taken = {field.name for field in fields}
    for (nested, key), entry in by_key.items():
        if not nested and (key in system or key == _CUSTOM or _PART.fullmatch(key)):
            continue
        for field in _fields(key, entry, is_flat=is_flat):
            if nested or field.name not in taken:
                taken.add(field.name)
                fields.append(field)
    return Schema(object=item.name, label=item.label, fields=tuple(fields))


def optional_of(item: Item, entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the fields that the vendor sends only on request: those of the catalog and of the metadata."""
    listed = [_code(entry) for entry in entries if entry.get("is_optional_response_field")]
    return tuple(dict.fromkeys([*item.optional, *listed])) if item.optional else ()


def _key(entry: Mapping[str, Any]) -> str:
    code = _code(entry)
    return ALIASES.get(code, code)


def _code(entry: Mapping[str, Any]) -> str:
    return str(entry.get("field_code") or entry.get("key") or "")


def _label(entry: Mapping[str, Any]) -> str:
    return str(entry.get("field_name") or entry.get("name") or _code(entry))


def _options(entry: Mapping[str, Any]) -> Options:
    """Return stored values and labels; ids are numbers in most fields and texts in some."""
    options = entry.get("options")
    if not isinstance(options, list):
        return ()
    pairs = [
        (str(option["id"]), str(option.get("label") or option["id"]))
        for option in options
        if isinstance(option, dict) and option.get("id") is not None
    ]
    return tuple(dict(pairs).items())


def _is_custom(entry: Mapping[str, Any]) -> bool:
    flag = entry.get("is_custom_field")
    if flag is not None:
        return bool(flag)
    return _HASH.fullmatch(_code(entry)) is not None


def _system_fields(key: str, kind: str, entry: Mapping[str, Any] | None) -> Iterator[Field]:
    default_label = key.replace("_", " ").capitalize().removesuffix(" ids").removesuffix(" id")
    base = Field(
        name=key,
        label=_label(entry) if entry else default_label,
        type=str(entry.get("field_type") or kind) if entry else kind,
        options=_options(entry) if entry and kind in {"choice", "choices"} else (),
    )
    yield from fields_of(base, TYPES[kind], (key,))


def _fields(key: str, entry: Mapping[str, Any], *, is_flat: bool) -> Iterator[Field]:
    is_custom = _is_custom(entry)
    kind = str(entry.get("field_type") or "")
    base = Field(
        name=key, label=_label(entry), type=kind, custom=is_custom, options=_options(entry)
    )
    path = (_CUSTOM, key) if is_custom and not is_flat else (key,)
    if not is_custom and not is_flat:
        # A system field that `system_fields` does not list keeps its form.
        yield Field(name=key, label=base.label, type=kind, options=base.options)
        return
    yield from fields_of(base, of_metadata(kind), path, flat=is_flat)
