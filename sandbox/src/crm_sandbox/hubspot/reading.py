"""Read records out of a portal's tables, in the shape in which the API shows them.

A page is cut by the ids, which are kept sorted, so that a query touches only the rows of the page.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crm_sandbox.hubspot.inline import InlineLinks
from crm_sandbox.hubspot.instants import iso_of, iso_sql
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType, Property
from crm_sandbox.hubspot.storage import history_of

_ALWAYS = {"hs_object_id", "createdate", "hs_createdate", "lastmodifieddate", "hs_lastmodifieddate"}
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """What a record shall show.

    Attributes:
        properties: names, in the order of the answer.
        history: names of those whose earlier values are shown.
        links: object types to which the links are shown.
        base_url: where the API stands for the client, which the addresses of more links begin with.
    """

    properties: tuple[str, ...]
    history: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    base_url: str = ""


def shape_of(
    one: ObjectType,
    names: Iterable[str],
    history: Iterable[str] = (),
    links: Iterable[str] = (),
    base_url: str = "",
) -> Shape:
    """Return the shape for asked names: unknown ones are left out, a few always come."""
    # What has its history shown is shown itself too.
    asked = [*names, *history]
    chosen = [name for name in asked if one.find(name) is not None] if asked else one.defaults
    always = [name for name in one.defaults if name in _ALWAYS]
    known = [name for name in dict.fromkeys(history) if one.find(name) is not None]
    shown = tuple(sorted({*chosen, *always}))
    return Shape(shown, tuple(known), tuple(dict.fromkeys(links)), base_url)


def is_fleeting(one: ObjectType, shape: Shape) -> bool:
    """Say whether records in this shape look different at every moment."""
    return any(one.properties[name].calculated for name in shape.history)


class RecordReader:
    """Reads records of one portal.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._lock = threading.Lock()
        self._ids: dict[tuple[str, bool], tuple[int, Ids]] = {}
        self._inline = InlineLinks(portal, self.archived_ids)

    def ids(self, one: ObjectType, *, archived: bool) -> Ids:
        """Return the ids of an object type's live or archived records, ascending."""
        revision = self._portal.tables.revision
        key = (one.name, archived)
        with self._lock:
            kept = self._ids.get(key)
        if kept is not None and kept[0] == revision:
            return kept[1]
        condition = "_archived" if archived else "NOT _archived"
        found = self._portal.tables.cursor().execute(
            f'SELECT _id FROM "{one.table}" WHERE {condition} ORDER BY _id'
        )
        ids: Ids = np.asarray(found.fetchnumpy()["_id"], dtype=np.int64)
        with self._lock:
            self._ids[key] = (revision, ids)
        return ids

    def archived_ids(self, one: ObjectType) -> frozenset[int]:
        """Return the ids of the archived records."""
        return frozenset(self.ids(one, archived=True).tolist())

    def page(
        self, one: ObjectType, after: int, limit: int, *, archived: bool
    ) -> tuple[Ids, int | None]:
        """Return the ids of a page that begins with `after`, and where the next one begins."""
        ids = self.ids(one, archived=archived)
        start = int(np.searchsorted(ids, after))
        cut = ids[start : start + limit]
        following = start + limit
        return cut, (int(ids[following]) if following < len(ids) else None)

    def resolved(self, one: ObjectType, record: int) -> int:
        """Return the id that an old one leads to since a merge, or the id itself."""
        found = self._portal.tables.value(
            "SELECT new_id FROM merged WHERE object = ? AND old_id = ?", [one.name, record]
        )
        return record if found is None else int(found)

    def by_ids(
        self,
        one: ObjectType,
        ids: Sequence[int] | Ids,
        shape: Shape,
        *,
        archived: bool | None = False,
    ) -> dict[int, dict[str, Any]]:
        """Return records by id; those that are not there are missing, archived None takes both.

        A request with many ids is quick when they lie close together.
        """
        hidden = self._portal.oddities.hidden.get(one.name, frozenset())
        wanted = [int(record) for record in ids if record not in hidden]
        if not wanted:
            return {}
        columns = [one.properties[name] for name in shape.properties]
        rows = self._rows(one, wanted, columns, archived)
        records: dict[int, dict[str, Any]] = {}
        for record, created, updated, is_archived, archived_at, *values in rows:
            shown: dict[str, Any] = {
                "id": str(record),
                "properties": dict(zip(shape.properties, values, strict=True)),
                "createdAt": created,
                "updatedAt": updated,
                "archived": is_archived,
            }
            if is_archived:
                shown["archivedAt"] = archived_at
            records[record] = shown
        if shape.history and records:
            self._add_history(one, records, shape.history)
        if shape.links and records:
            self._inline.add(one, records, shape.links, shape.base_url)
        return records

    def _rows(
        self, one: ObjectType, ids: list[int], columns: list[Property], archived: bool | None
    ) -> list[tuple[Any, ...]]:
        selected = "".join(f", {prop.expression}" for prop in columns)
        state = {None: "", True: " AND _archived", False: " AND NOT _archived"}[archived]
        chosen, params = "", []
        if not self._is_gapless(one, ids, archived):
            chosen, params = " AND _id IN (SELECT unnest(?::BIGINT[]))", [ids]
        sql = (
            f"SELECT _id, {iso_sql('_created')}, {iso_sql('_updated')}, _archived, "
            f'{iso_sql("_archived_at")}{selected} FROM "{one.table}" '
            f"WHERE _id BETWEEN {min(ids)} AND {max(ids)}{chosen}{state}"
        )
        return self._portal.tables.cursor().execute(sql, params).fetchall()

    def _is_gapless(self, one: ObjectType, ids: list[int], archived: bool | None) -> bool:
        """Say whether nothing else lies between the lowest and the highest id, as on a page of a list.

        A range is read in half the time that a list of ids takes.
        """
        if archived is None:
            return False
        known = self.ids(one, archived=archived)
        low, high = np.searchsorted(known, [min(ids), max(ids) + 1])
        return np.array_equal(known[low:high], np.unique(ids))

    def _add_history(
        self, one: ObjectType, records: dict[int, dict[str, Any]], names: tuple[str, ...]
    ) -> None:
        """Show earlier values, newest first; what was never written since has one entry."""
        listed = ", ".join("?" for _ in names)
        sql = (
            f'SELECT id, property, value, "at", source, source_id, user_id FROM "{history_of(one.name)}" '
            f"WHERE id BETWEEN {min(records)} AND {max(records)} AND property IN ({listed}) "
            'ORDER BY id, property, "at" DESC, rowid DESC'
        )
        columns = [one.properties[name].column for name in names]
        found: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for record, column, *entry in self._portal.tables.cursor().execute(sql, columns).fetchall():
            found.setdefault((record, column), []).append(_entry(*entry))
        now = iso_of(self._portal.now_ms())
        for record, shown in records.items():
            histories: dict[str, list[dict[str, Any]]] = {}
            for name in names:
                prop = one.properties[name]
                entries = found.get((record, prop.column)) or _first(shown, name, prop)
                if prop.calculated and entries:
                    # The vendor stamps the last value of what it computes with the time of reading.
                    entries[0] = {**entries[0], "timestamp": now}
                histories[name] = entries
            shown["propertiesWithHistory"] = histories


def _entry(value: str | None, at: int, source: str, source_id: str, user: int) -> dict[str, Any]:
    made = {
        "value": "" if value is None else value,
        "timestamp": iso_of(at),
        "sourceType": source,
        "sourceId": source_id,
    }
    return made | ({"updatedByUserId": user} if user else {})


def _first(shown: dict[str, Any], name: str, prop: Property) -> list[dict[str, Any]]:
    value = shown["properties"].get(name)
    if value is None:
        return []
    source = "CALCULATED" if prop.calculated else "CRM_UI"
    return [{"value": value, "timestamp": shown["createdAt"], "sourceType": source}]
