"""The metadata of the objects in a version, for the views that show them field by field."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from crm_pipeline.model.names import shown
from crm_pipeline.model.schema import Field
from crm_pipeline.model.tables import first_column, view_name
from crm_pipeline.model.view_names import Named, ViewNames
from crm_pipeline.stages.normalized.feed import (
    Feed,
    owners_in,
    with_current_names,
    with_former_names,
)
from crm_pipeline.store.tables import TableVersion

_RARE = frozenset({"options", "multiple", "form", "is_id", "nothing", "reference_to"})
_NAMED = frozenset({"users", "pipelines"})
"""Tables whose records' names views show beside ids: small tables, so that the join costs nothing."""
_log = structlog.get_logger("crm_pipeline.normalized")


def object_metadata(
    feeds: Sequence[Feed], objects: Sequence[str], parent: TableVersion | None
) -> list[dict[str, Any]]:
    """Return the metadata of the objects whose records are rows.

    Args:
        feeds: the feeds of the table.
        objects: all objects of the connection.
        parent: the version before, whose columns keep their names.
    """
    return [_object(feed, objects, parent) for feed in feeds if feed.entry.is_own]


def _object(feed: Feed, objects: Sequence[str], parent: TableVersion | None) -> dict[str, Any]:
    landed = feed.landed
    columns_of = _recoverable_columns(feed)
    references = _named_references(feed)
    names = _names(feed, parent)
    listed = names.listed
    _warn_of_taken_names(
        feed, dict(zip((f.name for f in landed.fields), listed, strict=True)), parent
    )
    return {
        "object": landed.object,
        "label": landed.latest_schema.label,
        "view": view_name(landed.object, objects),
        "fields": [
            [
                f.name,
                f.label,
                f.type,
                f.common_type,
                columns_of.get(f.name),
                f.scale,
                *_rare_properties(f),
            ]
            for f in landed.fields
        ],
        "names": listed,
        "beside": {field: [name, *references[field]] for field, name in names.beside.items()},
        "shown": dict(names.owners),
        "columns": dict(feed.owners),
        "time_zone": feed.account.zone,
        "schemas": [schema.fingerprint for schema in landed.schemas],
        **({"kept_out": list(landed.kept_out)} if landed.kept_out else {}),
    }


def _names(feed: Feed, parent: TableVersion | None) -> ViewNames:
    """Return the names of the view's columns, given schema by schema: the first field keeps its name."""
    landed = feed.landed
    owners = owners_in(parent, landed, "shown")
    for each in feed.earlier:
        then = _named(each, with_former_names(owners, each.landed, landed))
        owners = with_current_names(then.owners, landed)
    return _named(feed, owners)


def _named(feed: Feed, owners: Mapping[str, str]) -> ViewNames:
    since = {linked.name: linked.since[0] for linked in feed.landed.linked.all}
    references = _named_references(feed)
    named = (
        Named(f.name, f.label, since[f.name], f.name in references) for f in feed.landed.fields
    )
    return ViewNames(named, owners)


def _named_references(feed: Feed) -> dict[str, tuple[str, str]]:
    """Return the table and object of the fields of ids beside which the view shows names."""
    columns_of = _recoverable_columns(feed)
    return {
        f.name: to
        for f in feed.landed.fields
        if (to := _named_reference(feed, f, columns_of.get(f.name)))
    }


def _recoverable_columns(feed: Feed) -> dict[str, str]:
    """Return, by field, the column from which its text can be recovered."""
    return {f.source: f.column for f in reversed(feed.mapped) if feed.is_recoverable(f)}


def _named_reference(feed: Feed, field: Field, column: str | None) -> tuple[str, str] | None:
    """Return the table and the object whose names a view shows beside a field's ids; None where it shows none."""
    body = feed.table.by_name
    key = body.get(f"{column.removesuffix('_source_id')}_key") if column else None
    if key is not None and column != key.name and key.refers_to in _NAMED:
        return key.refers_to, ""
    obj = field.reference_to[0] if len(field.reference_to) == 1 else ""
    table = feed.tables.get(obj, "")
    return (table, obj) if table in _NAMED and obj != feed.landed.object else None


def _rare_properties(field: Field) -> list[dict[str, Any]]:
    """Return the properties that a view needs and few fields have."""
    stored = field.to_dict()
    rare = {name: value for name, value in stored.items() if name in _RARE and value}
    return [rare] if rare else []


def _warn_of_taken_names(feed: Feed, names: Mapping[str, str], parent: TableVersion | None) -> None:
    """Log which new fields do not get their own name because an earlier field has or had it."""
    stored = parent.meta.get("objects", ()) if parent else ()
    fields = [o["fields"] for o in stored if o["object"] == feed.landed.object]
    if not fields:
        return
    known = {feed.landed.linked.current_name(name) for name, *_ in fields[0]}
    columns = {owner: column for column, owner in feed.owners.items()}
    before = owners_in(parent, feed.landed), owners_in(parent, feed.landed, "shown")
    for field in feed.landed.fields:
        wanted = first_column(field), shown(field.label or field.name).lower()
        taken = (owners.get(name, field.name) for owners, name in zip(before, wanted, strict=True))
        if field.name in known or all(owner == field.name for owner in taken):
            continue
        _log.warning(
            "a new field has a name beside its own, which another field had before",
            object=feed.landed.object,
            field=field.name,
            column=columns.get(field.name),
            view_column=names[field.name],
        )
