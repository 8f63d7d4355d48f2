"""Read links: with their labels, or by the names that the older API has for them."""

from typing import Any

from crm_sandbox.http import is_number
from crm_sandbox.hubspot.association_types import inline_name
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.reading import RecordReader, Shape, shape_of
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.storage import links_of

MOST_IN_BATCH = 500


class LinkReader:
    """Reads links of one portal; those to archived records are not shown.

    Args:
        portal: the portal.
        records: knows which records are archived.
    """

    def __init__(self, portal: Portal, records: RecordReader) -> None:
        self._portal = portal
        self._records = records

    def names(self, one: ObjectType, other: ObjectType) -> dict[int, str]:
        """Return what the older API calls the kinds of links, by their numbers."""
        kinds = self._portal.link_types.between(one.name, other.name)
        has_primary = any(kind.is_primary for kind in kinds)
        return {k.id: inline_name(k, one.singular, other.singular, has_primary) for k in kinds}

    def shape(self, one: ObjectType, other: ObjectType) -> Shape:
        """Return the shape of a record with its links to one object type."""
        return shape_of(one, (), (), (other.name,))

    def labelled(
        self, one: ObjectType, other: ObjectType, from_id: int, after: int, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of a record's links, and where the next one begins."""
        linked = self._linked(one, other, [from_id]).get(from_id, {})
        ids = sorted(to_id for to_id in linked if to_id >= after)
        results = [self._entry(one, other, to_id, linked[to_id]) for to_id in ids[:limit]]
        return results, (str(ids[limit]) if len(ids) > limit else None)

    def named(self, one: ObjectType, other: ObjectType, from_id: int) -> list[dict[str, str]]:
        """Return a record's links as the older API lists them: once for each name."""
        names = self.names(one, other)
        linked = self._linked(one, other, [from_id]).get(from_id, {})
        return [
            {"id": str(to_id), "type": names[kind]}
            for to_id in sorted(linked)
            for kind in sorted(linked[to_id])
        ]

    def many_labelled(
        self, one: ObjectType, other: ObjectType, asked: list[str], after: dict[str, int]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the links of many records, and which have none."""
        found = self._linked(one, other, [int(name) for name in asked if is_number(name)])
        results, lacking = [], []
        for name in asked:
            linked = found.get(int(name), {}) if is_number(name) else {}
            ids = sorted(to_id for to_id in linked if to_id >= after.get(name, 0))
            if not ids:
                lacking.append(name)
                continue
            entry: dict[str, Any] = {
                "from": {"id": name},
                "to": [self._entry(one, other, k, linked[k]) for k in ids[:MOST_IN_BATCH]],
            }
            if len(ids) > MOST_IN_BATCH:
                entry["paging"] = {"next": {"after": str(ids[MOST_IN_BATCH])}}
            results.append(entry)
        return results, lacking

    def many_named(
        self, one: ObjectType, other: ObjectType, asked: list[str]
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the same as the older API lists it."""
        names = self.names(one, other)
        found = self._linked(one, other, [int(name) for name in asked if is_number(name)])
        results: list[dict[str, Any]] = []
        for name in asked:
            linked = found.get(int(name), {}) if is_number(name) else {}
            to = [
                {"id": str(to_id), "type": names[kind]}
                for to_id in sorted(linked)
                for kind in sorted(linked[to_id])
            ]
            if to:
                results.append({"from": {"id": name}, "to": to})
        there = {str(entry["from"]["id"]) for entry in results}
        return results, [name for name in asked if name not in there]

    def _linked(
        self, one: ObjectType, other: ObjectType, ids: list[int]
    ) -> dict[int, dict[int, list[int]]]:
        if not ids or not self._portal.link_types.between(one.name, other.name):
            return {}
        # Asked first: it uses the same cursor, on which an answer not yet fetched would be lost.
        gone = self._records.archived_ids(other)
        rows = self._portal.tables.cursor().execute(
            f'SELECT from_id, to_id, type_id FROM "{links_of(one.name, other.name)}" '
            f"WHERE from_id BETWEEN {min(ids)} AND {max(ids)} AND from_id IN (SELECT unnest(?::BIGINT[]))",
            [ids],
        )
        found: dict[int, dict[int, list[int]]] = {}
        for from_id, to_id, kind in rows.fetchall():
            if to_id not in gone:
                found.setdefault(from_id, {}).setdefault(to_id, []).append(kind)
        return found

    def _entry(
        self, one: ObjectType, other: ObjectType, to_id: int, numbers: list[int]
    ) -> dict[str, Any]:
        """Return one link; its id is a number here, although the description says text."""
        types = []
        for number in sorted(numbers):
            kind = self._portal.link_types.find(one.name, other.name, number)
            if kind is not None:
                types.append({"category": kind.category, "typeId": kind.id, "label": kind.label})
        return {"toObjectId": to_id, "associationTypes": types}
