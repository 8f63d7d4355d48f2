"""Lookups for the writes of one request: owners of unique values, and records that are not deleted."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.schema import Field, Module


class WritePlan:
    """The state of one request; looks everything up at once, at its beginning.

    Args:
        org: holds the records.
        module: where they are written.
        records: the records of the request.
        fields: the fields that tell records apart.
    """

    def __init__(
        self, org: Org, module: Module, records: Sequence[Any], fields: Iterable[Field]
    ) -> None:
        self._org = org
        self.module = module
        self._new: set[int] = set()
        given = [one for one in records if isinstance(one, Mapping)]
        # The owner of each value by column; a value that nobody has is not in it.
        self._owners: dict[tuple[str, str], int] = {}
        for one in dict.fromkeys(fields):
            self._look_up(one, [str(record[one.name]) for record in given if record.get(one.name)])
        ids = [id_of(record["id"]) for record in given if record.get("id")]
        self._locked = self._alive([one for one in ids if one is not None])

    def lives(self, number: int) -> bool:
        """Whether there is a living record of this id."""
        if number not in self._locked and number not in self._new:
            self._locked |= self._alive([number])
        return number in self._new or number in self._locked

    def is_locked(self, number: int) -> bool:
        """Whether the record is locked."""
        return self._locked.get(number, False)

    def owner_of(self, one: Field, value: Any) -> int | None:
        """Return the record that has a value, in this request or in the table."""
        return self._owners.get((one.stored, str(value).lower()))

    def match(self, fields: Sequence[Field], record: Mapping[str, Any]) -> tuple[int, str] | None:
        """Return the record that a request's record stands for, and by which field."""
        for one in fields:
            value = record.get(one.name)
            if value not in (None, ""):
                owner = self.owner_of(one, value)
                if owner is not None:
                    return owner, one.name
        return None

    def take(self, number: int, values: Mapping[str, Any]) -> None:
        """Remember which values a record of this request has."""
        self._new.add(number)
        for column, value in values.items():
            if value is not None:
                self._owners.setdefault((column, str(value).lower()), number)

    def _look_up(self, one: Field, values: list[str]) -> None:
        if not values:
            return
        sql = (
            f'SELECT lower("{one.stored}"::VARCHAR), min(id) FROM "{self.module.stored}" '
            f'WHERE _ended IS NULL AND lower("{one.stored}"::VARCHAR) IN '
            "(SELECT unnest(?::VARCHAR[])) GROUP BY 1"
        )
        lowered = [value.lower() for value in values]
        found = self._org.tables.cursor().execute(sql, [lowered]).fetchall()
        self._owners |= {(one.stored, value): number for value, number in found}

    def _alive(self, ids: list[int]) -> dict[int, bool]:
        """Return for living records whether they are locked."""
        if not ids:
            return {}
        locked = '"Locked__s"' if self.module.has("Locked__s") else "false"
        sql = (
            f'SELECT id, {locked} FROM "{self.module.stored}" '
            "WHERE _ended IS NULL AND id IN (SELECT unnest(?::BIGINT[]))"
        )
        return dict(self._org.tables.cursor().execute(sql, [ids]).fetchall())
