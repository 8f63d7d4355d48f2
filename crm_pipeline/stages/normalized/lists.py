"""SQL for JSON lists of objects in a record: the value of one element, all texts, or all contact points."""

from collections.abc import Iterable

from crm_pipeline.model.json_paths import as_json, list_of
from crm_pipeline.model.mapping import FieldMap, Pick, Points
from crm_pipeline.model.names import inner, literal, quoted
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.reading import raw


def parsed_lists(feed: Feed) -> list[str]:
    """Return columns with the lists that a mapping reads, each parsed once."""
    lists = {f.source for f in feed.mapped if f.is_list}
    return [
        f"{as_json(raw(name), _structure(feed, name))} AS {parsed_list(name)}"
        for name in sorted(lists)
    ]


def picked(entry: FieldMap, pick: Pick) -> str:
    """Return SQL for the text that `pick` takes from a list."""
    value = quoted(pick.key)
    keys = [quoted(key) for key in (pick.key, *pick.filled)]
    filled = [f"x.{key} IS NOT NULL AND x.{key} <> ''" for key in keys]
    wanted = [*filled, *_equal(pick.only)]
    kept = f"list_filter({parsed_list(entry.source)}, lambda x: {' AND '.join(wanted)})"
    first = f"{kept}[1].{value}"
    if not pick.prefer:
        return first
    preferred = f"list_filter({kept}, lambda x: {' AND '.join(_equal(pick.prefer))})"
    return f"coalesce({preferred}[1].{value}, {first})"


def listed_texts(entry: FieldMap) -> str:
    """Return SQL for the texts that `listed` takes from a list; NULL where there are none."""
    value = f"x.{quoted(entry.listed)}"
    kept = (
        f"list_filter({parsed_list(entry.source)}, lambda x: {value} IS NOT NULL AND {value} <> '')"
    )
    if entry.pick and entry.pick.prefer:
        is_first = f"coalesce({' AND '.join(_equal(entry.pick.prefer))}, false)"
        first, rest = (
            f"list_filter({kept}, lambda x: {condition})"
            for condition in (is_first, f"NOT {is_first}")
        )
        kept = f"list_concat({first}, {rest})"
    texts = f"list_transform({kept}, lambda x: {value})"
    return f"CASE WHEN len({kept}) > 0 THEN {texts} END"


def contact_points(entry: FieldMap, points: Points, derived: str) -> str:
    """Return SQL for a list of contact points, the primary one first.

    Args:
        entry: the field map of the list.
        points: the keys of the points.
        derived: SQL for the points that the row has without the list.
    """
    if points.separator:
        parts = f"string_split({raw(entry.source)}, {literal(points.separator)})"
        known = f"list_transform({derived}, lambda p: p.value)"
        is_new = f"NOT list_contains({known}, trim(x))"
        kept = f"list_filter({parts}, lambda x: trim(x) <> '' AND {is_new})"
        point = f"{{'value': trim(x), 'label': {literal(points.label)}, 'is_primary': false}}"
        return f"list_concat({derived}, list_transform({kept}, lambda x: {point}))"
    value = f"x.{quoted(points.value)}"
    kept = (
        f"list_filter({parsed_list(entry.source)}, lambda x: {value} IS NOT NULL AND {value} <> '')"
    )
    flags = ", ".join(f"lower(x.{quoted(key)})" for key in points.primary)
    is_primary = f"coalesce({flags}, '') IN ('true', '1')"
    ordered = (
        f"list_concat(list_filter({kept}, lambda x: {is_primary}), "
        f"list_filter({kept}, lambda x: NOT ({is_primary})))"
    )
    point = f"{{'value': {value}, 'label': x.{quoted(points.label)}, 'is_primary': i = 1}}"
    return f"coalesce(list_transform({ordered}, lambda x, i: {point}), {derived})"


def parsed_list(source: str) -> str:
    """Return the quoted column that carries a source's parsed list."""
    return quoted(f"list.{inner(source)}")


def _structure(feed: Feed, source: str) -> str:
    return list_of(sorted({key for f in feed.mapped if f.source == source for key in _keys(f)}))


def _keys(entry: FieldMap) -> Iterable[str]:
    if entry.listed:
        yield entry.listed
    if entry.pick:
        yield from (entry.pick.key, *entry.pick.filled)
        yield from (key for key, _ in (*entry.pick.only, *entry.pick.prefer))
    if entry.points and not entry.points.separator:
        yield from (entry.points.value, entry.points.label, *entry.points.primary)


def _equal(wanted: Iterable[tuple[str, str]]) -> list[str]:
    return [f"x.{quoted(key)} = {literal(text)}" for key, text in wanted]
