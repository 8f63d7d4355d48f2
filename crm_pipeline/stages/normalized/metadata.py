"""What a version says of the objects that it is made of: for the views that show them field by field."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from crm_pipeline.model.names import shown
from crm_pipeline.model.schema import Field
from crm_pipeline.model.tables import first_column, view_name
from crm_pipeline.model.view_names import Named, ViewNames
from crm_pipeline.stages.normalized.feed import Feed, called_now, called_then, owners_in
from crm_pipeline.store.tables import TableVersion

_LATER = frozenset({"options", "multiple", "form", "is_id", "nothing", "reference_to"})
_NAMED = frozenset({"users", "pipelines"})
"""Tables of which people want the name beside an id: small ones, which a view joins for nothing."""
_log = structlog.get_logger("crm_pipeline.normalized")


def described(
    feeds: Sequence[Feed], objects: Sequence[str], parent: TableVersion | None
) -> list[dict[str, Any]]:
    """Describe the objects whose records are rows.

    Args:
        feeds: what feeds the table.
        objects: all objects of the connection.
        parent: the version before, whose columns keep their names.
    """
    return [_object(feed, objects, parent) for feed in feeds if feed.entry.is_own]


def _object(feed: Feed, objects: Sequence[str], parent: TableVersion | None) -> dict[str, Any]:
    one = feed.one
    told = _told(feed)
    points = _points(feed)
    names = _names(feed, parent)
    listed = names.listed
    _say_newcomers(feed, dict(zip((f.name for f in one.fields), listed, strict=True)), parent)
    return {
        "object": one.object,
        "label": one.newest.label,
        "view": view_name(one.object, objects),
        "fields": [
            [f.name, f.label, f.type, f.common_type, told.get(f.name), f.scale, *_later(f)]
            for f in one.fields
        ],
        "names": listed,
        "beside": {field: [name, *points[field]] for field, name in names.beside.items()},
        "shown": dict(names.owners),
        "columns": dict(feed.owners),
        "time_zone": feed.account.zone,
        "schemas": [schema.fingerprint for schema in one.schemas],
    }


def _names(feed: Feed, parent: TableVersion | None) -> ViewNames:
    """Name the columns of the view, schema by schema: what came first keeps its name."""
    one = feed.one
    owners = owners_in(parent, one, "shown")
    for each in feed.earlier:
        then = _named(each, called_then(owners, each.one, one))
        owners = called_now(then.owners, one)
    return _named(feed, owners)


def _named(feed: Feed, owners: Mapping[str, str]) -> ViewNames:
    since = {linked.name: linked.since[0] for linked in feed.one.linked.all}
    points = _points(feed)
    named = (Named(f.name, f.label, since[f.name], f.name in points) for f in feed.one.fields)
    return ViewNames(named, owners)


def _points(feed: Feed) -> dict[str, tuple[str, str]]:
    """Return what the fields of ids point to whose names stand beside them."""
    told = _told(feed)
    return {f.name: to for f in feed.one.fields if (to := _points_to(feed, f, told.get(f.name)))}


def _told(feed: Feed) -> dict[str, str]:
    """Return the columns that tell the texts of fields."""
    return {f.source: f.column for f in reversed(feed.mapped) if feed.is_stated(f)}


def _points_to(feed: Feed, field: Field, column: str | None) -> tuple[str, str] | None:
    """Return the table whose names stand beside a field's ids, and the object; None where none do."""
    body = feed.table.by_name
    key = body.get(f"{column.removesuffix('_source_id')}_key") if column else None
    if key is not None and column != key.name and key.refers_to in _NAMED:
        return key.refers_to, ""
    obj = field.reference_to[0] if len(field.reference_to) == 1 else ""
    table = feed.tables.get(obj, "")
    return (table, obj) if table in _NAMED and obj != feed.one.object else None


def _later(field: Field) -> list[dict[str, Any]]:
    """Return what a view has to know of some fields only."""
    stored = field.to_dict()
    known = {name: value for name, value in stored.items() if name in _LATER and value}
    return [known] if known else []


def _say_newcomers(feed: Feed, names: Mapping[str, str], parent: TableVersion | None) -> None:
    """Say which new fields have another name than their own, because an older field has that."""
    stored = parent.meta.get("objects", ()) if parent else ()
    fields = [o["fields"] for o in stored if o["object"] == feed.one.object]
    if not fields:
        return
    known = {feed.one.linked.former(name) for name, *_ in fields[0]}
    columns = {owner: column for column, owner in feed.owners.items()}
    before = owners_in(parent, feed.one), owners_in(parent, feed.one, "shown")
    for field in feed.one.fields:
        wanted = first_column(field), shown(field.label or field.name).lower()
        taken = (owners.get(name, field.name) for owners, name in zip(before, wanted, strict=True))
        if field.name in known or all(owner == field.name for owner in taken):
            continue
        _log.warning(
            "a new field has a name beside its own, which another field had before",
            object=feed.one.object,
            field=field.name,
            column=columns.get(field.name),
            view_column=names[field.name],
        )
