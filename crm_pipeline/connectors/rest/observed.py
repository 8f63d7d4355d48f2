"""The fields of a source's records: those that its file names, and those that came.

An API without a description of itself shows its fields in its records only. A field that was seen once stays known, by
the notes of the last commit.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from crm_pipeline.connectors.rest.source import Resource, keys_of
from crm_pipeline.model.schema import CommonType, Field, Form, Schema
from crm_pipeline.model.tables import TABLES

NOTE = "fields"
_MOST = 2_000
_WORDS: Mapping[type, CommonType] = {
    bool: "boolean",
    int: "integer",
    float: "double",
    str: "string",
}
_BY_SQL: tuple[tuple[str, CommonType], ...] = (
    ("TIMESTAMP", "timestamp"),
    ("DATE", "date"),
    ("BOOLEAN", "boolean"),
    ("BIGINT", "integer"),
    ("DECIMAL", "decimal"),
    ("DOUBLE", "double"),
)


def seen_in(texts: Iterable[bytes | memoryview], resource: Resource) -> dict[str, str]:
    """Return the type of each field in records, by its path: of `custom_fields` and of the record itself."""
    found: dict[str, str] = {}
    prefix = resource.custom_fields.prefix
    below = keys_of(resource.custom_fields.source)
    parents = {one.keys[0] for one in _declared(resource) if len(one.keys) > 1}
    for text in texts:
        record = msgspec.json.decode(text, type=dict[str, Any])
        for key, value in record.items():
            if below and key == below[0]:
                continue
            if key in parents and isinstance(value, dict):
                # Its declared parts are fields, so the others are fields too.
                for part, inside in value.items():
                    _note(found, f"{key}.{part}", inside)
            else:
                _note(found, key, value)
        inner: object = record
        for key in below:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if below and isinstance(inner, dict):
            for key, value in inner.items():
                if key.startswith(prefix):
                    _note(found, ".".join((*below, key)), value)
        if len(found) > _MOST:
            break
    return found


def merged(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the types of both; texts where they differ."""
    both = dict(before)
    for name, kind in now.items():
        both[name] = kind if both.get(name, kind) == kind else _common(both[name], kind)
    return both


def schema_of(obj: str, resource: Resource, seen: Mapping[str, str]) -> Schema:
    """Return the fields of a resource."""
    fields = _declared(resource)
    tops = {one.keys for one in fields}
    parents = {keys[0] for keys in tops if len(keys) > 1}
    below = keys_of(resource.custom_fields.source)
    for name, kind in seen.items():
        is_custom = bool(below) and name.startswith(".".join(below) + ".")
        path = (*below, name.removeprefix(".".join(below) + ".")) if is_custom else (name,)
        if not is_custom and name.partition(".")[0] in parents:
            path = tuple(name.split(".", 1))
        if path in tops or any(keys[: len(path)] == path for keys in tops):
            continue
        fields.append(
            Field(
                name,
                name.rpartition(".")[2] if is_custom else name,
                kind,
                _known(kind),
                custom=is_custom
                or bool(
                    resource.custom_fields.prefix and name.startswith(resource.custom_fields.prefix)
                ),
                path=() if path == (name,) else path,
            )
        )
    return Schema(obj, resource.label or obj, tuple(fields))


def _declared(resource: Resource) -> list[Field]:
    columns = {c.name: c.type for c in TABLES[resource.table].columns} if resource.table else {}
    fields: dict[str, Field] = {}
    key = resource.primary_key
    fields[key] = Field(key, key, "id", "string", nullable=False, path=_path(key), is_id=True)
    incremental = resource.incremental
    if incremental is not None:
        form: Form = "epoch_ms" if incremental.format == "epoch_ms" else ""
        if incremental.time_zone and incremental.format == "iso8601":
            form = "local"
        fields[incremental.field] = Field(
            incremental.field,
            incremental.field,
            "timestamp",
            "timestamp",
            path=_path(incremental.field),
            form=form,
        )
    for column, entry in resource.fields.items():
        if entry.source in fields:
            continue
        kind = entry.type or _by_sql(columns.get(column, "VARCHAR"))
        fields[entry.source] = Field(
            entry.source,
            entry.source,
            kind,
            "string" if kind == "id" else kind,
            path=_path(entry.source),
            form=entry.format,
            is_id=kind == "id" or column.endswith("_source_id"),
        )
    return list(fields.values())


def _known(kind: str) -> CommonType:
    """Return a type of a note, which an older version may have written."""
    return next((one for one in (*_WORDS.values(), "json") if one == kind), "string")


def _path(name: str) -> tuple[str, ...]:
    keys = keys_of(name)
    return () if keys == (name,) else keys


def _by_sql(kind: str) -> CommonType:
    return next((common for word, common in _BY_SQL if kind.startswith(word)), "string")


def _note(found: dict[str, str], name: str, value: object) -> None:
    if value is None:
        found.setdefault(name, "string")
        return
    kind = _WORDS.get(type(value), "json")
    if name in found and found[name] != kind:
        kind = _common(found[name], kind)
    found[name] = kind


def _common(one: str, other: str) -> CommonType:
    if {one, other} <= {"integer", "double"}:
        return "double"
    return "json" if "json" in {one, other} else "string"
