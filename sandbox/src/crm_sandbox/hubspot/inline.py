"""The links that the record APIs show inside a record: each id once for each label."""

from collections.abc import Callable
from typing import Any

from crm_sandbox.hubspot.association_types import inline_name
from crm_sandbox.hubspot.errors import invalid
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.storage import links_of

# A record with more links to one object type continues them behind an address of their own.
MOST_INLINE = 100


class InlineLinks:
    """Adds links to records.

    Args:
        portal: holds the records.
        archived_ids: tells which records of an object type are archived; links to them are not shown.
    """

    def __init__(
        self, portal: Portal, archived_ids: Callable[[ObjectType], frozenset[int]]
    ) -> None:
        self._portal = portal
        self._archived_ids = archived_ids

    def add(
        self,
        one: ObjectType,
        records: dict[int, dict[str, Any]],
        links: tuple[str, ...],
        base_url: str,
    ) -> None:
        """Add the links to some object types; without any there is no key."""
        for name in links:
            other = self._portal.catalog.named(name)
            if other is None:
                raise invalid(f"Unable to infer object type from: {name}")
            for record, entries in self._found(one, other, records).items():
                shown: dict[str, Any] = {"results": entries[:MOST_INLINE]}
                if len(entries) > MOST_INLINE:
                    after = entries[MOST_INLINE]["id"]
                    path = f"/crm/v3/objects/{one.name}/{record}/associations/{other.name}"
                    link = f"{base_url}{path}?after={after}"
                    shown["paging"] = {"next": {"after": after, "link": link}}
                listed = records[record].setdefault("associations", {})
                listed[_key_of(other)] = shown

    def of_one(self, one: ObjectType, other: ObjectType, record: int) -> list[dict[str, str]]:
        """Return the links of one record, as the v3 API lists them."""
        return self._found(one, other, {record: {}}).get(record, [])

    def _found(
        self, one: ObjectType, other: ObjectType, records: dict[int, dict[str, Any]]
    ) -> dict[int, list[dict[str, str]]]:
        kinds = self._portal.link_types.between(one.name, other.name)
        if not kinds:
            return {}
        has_primary = any(kind.is_primary for kind in kinds)
        names = {
            kind.id: inline_name(kind, one.singular, other.singular, has_primary) for kind in kinds
        }
        gone = self._archived_ids(other)
        rows = self._portal.tables.cursor().execute(
            f'SELECT from_id, to_id, type_id FROM "{links_of(one.name, other.name)}" WHERE from_id '
            f"BETWEEN {min(records)} AND {max(records)} ORDER BY from_id, to_id, type_id"
        )
        found: dict[int, list[dict[str, str]]] = {}
        for from_id, to_id, kind in rows.fetchall():
            if from_id in records and to_id not in gone:
                found.setdefault(from_id, []).append({"id": str(to_id), "type": names[kind]})
        return found


def _key_of(other: ObjectType) -> str:
    """Return the key under which links stand: full names of own objects, and a space in line items."""
    return other.full_name or other.name.replace("_", " ")
