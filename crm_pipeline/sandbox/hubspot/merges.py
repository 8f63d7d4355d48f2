"""Merge two records: both ids go, a new one comes, and the old ones lead to it for ever.

Source: https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies
"""

from typing import Any

from crm_pipeline.sandbox.hubspot.association_writes import LinkWriter
from crm_pipeline.sandbox.hubspot.errors import ApiError, invalid, not_found
from crm_pipeline.sandbox.hubspot.portal import Portal
from crm_pipeline.sandbox.hubspot.schema import ObjectType
from crm_pipeline.sandbox.hubspot.search_index import SearchIndex
from crm_pipeline.sandbox.hubspot.storage import SYSTEM
from crm_pipeline.sandbox.hubspot.writes import Writer

MOST = 250
_IDS, _VIDS = "hs_merged_object_ids", "hs_calculated_merged_vids"


class Merger:
    """Merges records of one portal.

    Args:
        portal: whose.
        writer: makes the new record and removes the old ones.
        links: moves what was linked to them.
        index: what search sees.
    """

    def __init__(
        self, portal: Portal, writer: Writer, links: LinkWriter, index: SearchIndex
    ) -> None:
        self._portal = portal
        self._writer = writer
        self._links = links
        self._index = index

    def merge(self, one: ObjectType, primary: int, other: int) -> int:
        """Merge `other` into `primary` and return the id of what came out.

        Raises:
            ApiError: they cannot be merged.
        """
        if not one.mergeable:
            raise invalid(f"Merging is not supported for {one.name}")
        if primary == other:
            raise invalid("A record cannot be merged with itself")
        tables = self._portal.tables
        with tables.writing(), self._portal.events.held():
            rows = self._rows(one, [primary, other])
            now = self._portal.now_ms()
            before = self._merged_before(rows)
            if len(before) >= MOST:
                raise ApiError(414, "VALIDATION_ERROR", f"More than {MOST} merges into one record")
            values = {k: v for k, v in rows[other].items() if k not in SYSTEM}
            values |= {k: v for k, v in rows[primary].items() if k not in SYSTEM and v is not None}
            made = self._writer.new_ids(one, 1)[0]
            gone = [*before, primary, other]
            for name, text in self._trace(one, rows, gone, now).items():
                values[name] = text
            self._index.before(one, [primary, other, made])
            tables.insert(
                one.table,
                [
                    {
                        **values,
                        "_id": made,
                        "_created": min(row["_created"] for row in rows.values()),
                        "_updated": now,
                        "_archived": False,
                    }
                ],
            )
            for old in (primary, other):
                self._links.move_all(one, old, made)
            tables.remove(one.table, "_id", [primary, other])
            tables.insert(
                "merged",
                [{"object": one.name, "old_id": old, "new_id": made, "at": now} for old in gone],
            )
            # What led to one of the two leads to the new one, too.
            with tables.writing() as cursor:
                cursor.execute(
                    "UPDATE merged SET new_id = ? WHERE object = ? AND new_id IN (?, ?)",
                    [made, one.name, primary, other],
                )
            more = {
                "primaryObjectId": primary,
                "mergedObjectIds": [primary, other],
                "newObjectId": made,
                "numberOfPropertiesMoved": len(values),
            }
            self._portal.events.tell(one, made, "merge", more, "CRM_UI")
        return made

    def _rows(self, one: ObjectType, ids: list[int]) -> dict[int, dict[str, Any]]:
        try:
            rows = self._writer.current(one, ids)
        except KeyError as missing:
            raise not_found(str(missing.args[0])) from missing
        for record, row in rows.items():
            if row["_archived"]:
                raise not_found(f"{one.singular} {record} is archived")
        return rows

    def _merged_before(self, rows: dict[int, dict[str, Any]]) -> list[int]:
        listed = ";".join(str(row.get(_IDS) or "") for row in rows.values())
        return [int(part) for part in listed.split(";") if part]

    def _trace(
        self, one: ObjectType, rows: dict[int, dict[str, Any]], gone: list[int], now: int
    ) -> dict[str, str]:
        made: dict[str, str] = {}
        if _IDS in one.properties:
            made[_IDS] = ";".join(dict.fromkeys(str(old) for old in gone))
        if _VIDS in one.properties:
            former = [str(row[_VIDS]) for row in rows.values() if row.get(_VIDS)]
            made[_VIDS] = ";".join([*former, *(f"{old}:{now}" for old in rows)])
        return made
