"""Write links between records, both directions at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_sandbox.http import is_number
from crm_sandbox.hubspot.association_types import LinkType
from crm_sandbox.hubspot.errors import invalid, not_found
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType
from crm_sandbox.hubspot.storage import links_of


@dataclass(frozen=True)
class Link:
    """A link of one kind between two records."""

    from_id: int
    to_id: int
    kind: LinkType


class LinkWriter:
    """Writes links of one portal.

    Args:
        portal: the portal.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def kinds(self, one: ObjectType, other: ObjectType, types: Any) -> list[LinkType]:
        """Return the kinds of links that a body names.

        Raises:
            ApiError: one does not exist between these object types.
        """
        if not isinstance(types, list) or not types:
            raise invalid("types must be an array that is not empty")
        found = []
        for entry in types:
            number = entry.get("associationTypeId") if isinstance(entry, dict) else None
            kind = None
            if isinstance(number, int):
                kind = self._portal.link_types.find(one.name, other.name, number)
            if kind is None or entry.get("associationCategory", kind.category) != kind.category:
                raise invalid(
                    f"Invalid association type {entry} between {one.id} and {other.id}",
                    sub_category="crm.associations.INVALID_ASSOCIATION_TYPE",
                )
            found.append(kind)
        return found

    def from_body(self, one: ObjectType, record: int, associations: Any) -> None:
        """Write the links that come with a new record; the types say to which object type.

        Raises:
            ApiError: a type or a record is not there.
        """
        for entry in associations:
            numbers = {kind.get("associationTypeId") for kind in entry.get("types") or ()}
            other = self._target(one, numbers)
            to_id = str((entry.get("to") or {}).get("id", ""))
            if not is_number(to_id):
                raise invalid("every association needs 'to' with an 'id'")
            kinds = self.kinds(one, other, entry.get("types"))
            self.add(one, other, [Link(record, int(to_id), kind) for kind in kinds])

    def add(self, one: ObjectType, other: ObjectType, links: Sequence[Link]) -> None:
        """Write links; a primary one takes the place of the former, and brings the plain one along.

        Raises:
            ApiError: a record is not there.
        """
        self._must_exist(one, {link.from_id for link in links})
        self._must_exist(other, {link.to_id for link in links})
        whole = list(links)
        plain = self._portal.link_types.plain(one.name, other.name)
        if plain is not None:
            whole += [Link(link.from_id, link.to_id, plain) for link in links if link.kind != plain]
        with self._portal.tables.writing():
            for kind in {link.kind for link in links if link.kind.is_primary}:
                self._leave_primary(one, other, kind, [k.from_id for k in links if k.kind == kind])
            for pair, rows in self._both(one, other, whole).items():
                self._insert(pair, rows)
        self._tell(one, other, links, removed=False)

    def replace(
        self,
        one: ObjectType,
        other: ObjectType,
        from_id: int,
        to_id: int,
        kinds: Iterable[LinkType],
    ) -> None:
        """Let two records have exactly these labels."""
        with self._portal.tables.writing():
            self._delete(one, other, [(from_id, to_id, None)])
            self.add(one, other, [Link(from_id, to_id, kind) for kind in kinds])

    def remove(
        self, one: ObjectType, other: ObjectType, pairs: Sequence[tuple[int, int, LinkType | None]]
    ) -> None:
        """Remove links between pairs of records: one kind of them, or all."""
        if not self._portal.link_types.between(one.name, other.name):
            # Object types that cannot be linked have no links to lose.
            return
        with self._portal.tables.writing():
            self._delete(one, other, pairs)
        kind = self._portal.link_types.plain(one.name, other.name)
        gone = [Link(f, t, k or kind) for f, t, k in pairs if (k or kind) is not None]  # type: ignore[arg-type]
        self._tell(one, other, gone, removed=True)

    def drop_all(self, one: ObjectType, ids: Sequence[int]) -> None:
        """Remove every link of some records."""
        for name in self._portal.link_types.targets(one.name):
            self._portal.tables.remove(links_of(one.name, name), "from_id", list(ids))
            self._portal.tables.remove(links_of(name, one.name), "to_id", list(ids))

    def move_all(self, one: ObjectType, old: int, new: int) -> None:
        """Give every link of a record to another one."""
        with self._portal.tables.writing() as cursor:
            for name in self._portal.link_types.targets(one.name):
                for table, column in (
                    (links_of(one.name, name), "from_id"),
                    (links_of(name, one.name), "to_id"),
                ):
                    cursor.execute(
                        f'UPDATE "{table}" SET {column} = ? WHERE {column} = ?', [new, old]
                    )

    def _target(self, one: ObjectType, numbers: set[Any]) -> ObjectType:
        for name in self._portal.link_types.targets(one.name):
            known = {kind.id for kind in self._portal.link_types.between(one.name, name)}
            if numbers and numbers <= known:
                return self._portal.catalog.known(name)
        raise invalid(f"One or more associations are not valid: {sorted(map(str, numbers))}")

    def _must_exist(self, one: ObjectType, ids: set[int]) -> None:
        rows = self._portal.tables.rows(
            f'SELECT _id FROM "{one.table}" WHERE NOT _archived AND _id IN (SELECT unnest(?::BIGINT[]))',
            [list(ids)],
        )
        if lacking := ids - {row["_id"] for row in rows}:
            listed = [str(record) for record in sorted(lacking)]
            raise not_found(
                f"No {one.singular} with ID {listed[0]} exists", context={"ids": listed}
            )

    def _leave_primary(
        self, one: ObjectType, other: ObjectType, kind: LinkType, ids: Sequence[int]
    ) -> None:
        with self._portal.tables.writing() as cursor:
            # The side that has one primary link is the one with the many records of the other side.
            cursor.execute(
                f'DELETE FROM "{links_of(one.name, other.name)}" WHERE type_id = ? AND '
                "from_id IN (SELECT unnest(?::BIGINT[]))",
                [kind.id, list(ids)],
            )
            cursor.execute(
                f'DELETE FROM "{links_of(other.name, one.name)}" WHERE type_id = ? AND '
                "to_id IN (SELECT unnest(?::BIGINT[]))",
                [kind.inverse, list(ids)],
            )

    def _both(
        self, one: ObjectType, other: ObjectType, links: Iterable[Link]
    ) -> dict[tuple[str, str], list[dict[str, int]]]:
        forth = [{"from_id": k.from_id, "to_id": k.to_id, "type_id": k.kind.id} for k in links]
        back = [{"from_id": k.to_id, "to_id": k.from_id, "type_id": k.kind.inverse} for k in links]
        if one.name == other.name:
            return {(one.name, other.name): [*forth, *back]}
        return {(one.name, other.name): forth, (other.name, one.name): back}

    def _insert(self, pair: tuple[str, str], rows: Sequence[Mapping[str, int]]) -> None:
        name = links_of(*pair)
        known = self._portal.tables.cursor().execute(
            f'SELECT from_id, to_id, type_id FROM "{name}" WHERE from_id IN (SELECT unnest(?::BIGINT[]))',
            [[row["from_id"] for row in rows]],
        )
        seen = set(known.fetchall())
        fresh = {tuple(row.values()): row for row in rows if tuple(row.values()) not in seen}
        self._portal.tables.insert(name, list(fresh.values()))

    def _delete(
        self,
        one: ObjectType,
        other: ObjectType,
        pairs: Sequence[tuple[int, int, LinkType | None]],
    ) -> None:
        with self._portal.tables.writing() as cursor:
            for from_id, to_id, kind in pairs:
                for table, ends, number in (
                    (links_of(one.name, other.name), [from_id, to_id], kind and kind.id),
                    (links_of(other.name, one.name), [to_id, from_id], kind and kind.inverse),
                ):
                    only = " AND type_id = ?" if number else ""
                    cursor.execute(
                        f'DELETE FROM "{table}" WHERE from_id = ? AND to_id = ?{only}',
                        [*ends, number] if number else ends,
                    )

    def _tell(
        self, one: ObjectType, other: ObjectType, links: Iterable[Link], *, removed: bool
    ) -> None:
        """Tell of links in both directions; a primary one tells twice in each."""
        for link in links:
            for primary in (False, True) if link.kind.is_primary else (False,):
                for whose, whom, ends in (
                    (one, other, (link.from_id, link.to_id)),
                    (other, one, (link.to_id, link.from_id)),
                ):
                    more = {
                        "associationType": f"{whose.singular}_TO_{whom.singular}".upper(),
                        "fromObjectId": ends[0],
                        "toObjectId": ends[1],
                        "associationRemoved": removed,
                        "isPrimaryAssociation": primary,
                    }
                    self._portal.events.tell(whose, ends[0], "associationChange", more)
