"""What a version says of the objects that it is made of: for the views that show them field by field."""

from collections.abc import Sequence
from typing import Any

from crm_pipeline.model.schema import Field
from crm_pipeline.model.tables import view_name
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.store.tables import TableVersion

_LATER = frozenset({"options", "multiple", "form", "is_id", "nothing", "reference_to"})


def described(
    feeds: Sequence[Feed], objects: Sequence[str], parent: TableVersion | None
) -> list[dict[str, Any]]:
    """Describe the objects whose records are rows.

    Args:
        feeds: what feeds the table.
        objects: all objects of the connection.
        parent: the version before, whose columns keep their names.
    """
    return [_object(feed, objects) for feed in feeds if feed.entry.is_own]


def _object(feed: Feed, objects: Sequence[str]) -> dict[str, Any]:
    one = feed.one
    told = {f.source: f.column for f in reversed(feed.mapped) if feed.is_stated(f)}
    return {
        "object": one.object,
        "label": one.newest.label,
        "view": view_name(one.object, objects),
        "fields": [
            [f.name, f.label, f.type, f.common_type, told.get(f.name), f.scale, *_later(feed, f)]
            for f in one.fields
        ],
    }


def _later(feed: Feed, field: Field) -> list[dict[str, Any]]:
    """Return what a view has to know of some fields only."""
    stored = field.to_dict()
    known = {name: value for name, value in stored.items() if name in _LATER and value}
    return [known] if known else []
