"""Write many rows of one object at once; what the values are has been checked before."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import duckdb

from crm_sandbox.salesforce.org import Org
from crm_sandbox.salesforce.schema import SObject

STAMPS = ("LastModifiedDate", "SystemModstamp")


class RowStore:
    """Insert, update, bin and remove rows; stamps come from the sandbox's clock.

    Args:
        org: holds the tables.
    """

    def __init__(self, org: Org) -> None:
        self._org = org

    def insert(self, sobject: SObject, rows: Sequence[dict[str, Any]]) -> list[str]:
        """Add rows and return their new ids in order."""
        if not rows:
            return []
        stored = {one.stored: one for one in sobject.fields}
        defaults: dict[str, Any] = {
            name: False for name, one in stored.items() if one.type == "boolean"
        }
        people = ("OwnerId", "CreatedById", "LastModifiedById")
        defaults |= {name: self._org.user_id for name in people if name in stored}
        now = self._org.clock.stamp()
        defaults |= {name: now for name in ("CreatedDate", *STAMPS) if name in stored}
        with self._org.writing() as cursor:
            ids = [self._org.new_id(sobject) for _ in rows]
            whole = [defaults | row | {"Id": made} for row, made in zip(rows, ids, strict=True)]
            self._org.insert(sobject.name, whole)
            self._name_people(cursor, sobject, ids)
        return ids

    def update(self, sobject: SObject, changes: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Change rows, given as id and new values; for one id the later change wins."""
        merged: dict[str, dict[str, Any]] = defaultdict(dict)
        for record, values in changes:
            merged[record] |= values
        stored = {one.stored for one in sobject.fields}
        fixed: dict[str, Any] = dict.fromkeys(STAMPS, self._org.clock.stamp())
        fixed["LastModifiedById"] = self._org.user_id
        fixed = {name: value for name, value in fixed.items() if name in stored}
        with self._org.writing() as cursor:
            rows = {record: values | fixed for record, values in merged.items()}
            self._org.update(sobject.name, "Id", rows)
            self._name_people(cursor, sobject, list(merged))

    def bin(self, sobject: SObject, ids: Sequence[str]) -> None:
        """Put rows into the recycle bin."""
        self.update(sobject, ((record, {"IsDeleted": True}) for record in ids))

    def remove(self, sobject: SObject, ids: Sequence[str]) -> None:
        """Take rows away so that no API shows them any more."""
        self._org.remove(sobject.name, "Id", ids)

    def _name_people(
        self, cursor: duckdb.DuckDBPyConnection, sobject: SObject, ids: list[str]
    ) -> None:
        stored = {one.stored for one in sobject.fields}
        if ids and {"FirstName", "LastName", "Name"} <= stored:
            cursor.execute(
                f'UPDATE "{sobject.name}" SET "Name" = '
                "trim(coalesce(\"FirstName\", '') || ' ' || coalesce(\"LastName\", '')) "
                'WHERE "Id" IN (SELECT unnest(?::VARCHAR[]))',
                [ids],
            )
