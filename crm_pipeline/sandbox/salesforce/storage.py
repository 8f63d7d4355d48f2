"""Write many rows of one object at once; what the values are has been checked before."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from crm_pipeline.sandbox.salesforce.org import Org
from crm_pipeline.sandbox.salesforce.schema import SObject

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMPS = ("LastModifiedDate", "SystemModstamp")
_ARROW = {
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR": pa.string(),
}
_BATCH = "written_batch"


class RowStore:
    """Insert, update, bin and remove rows; stamps come from the sandbox's clock.

    Args:
        org: whose tables.
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
            with _registered(cursor, sobject, whole):
                cursor.execute(f'INSERT INTO "{sobject.name}" BY NAME SELECT * FROM {_BATCH}')
            self._name_people(cursor, sobject, ids)
        return ids

    def update(self, sobject: SObject, changes: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Change rows, given as id and new values; for one id the later change wins."""
        merged: dict[str, dict[str, Any]] = defaultdict(dict)
        for record, values in changes:
            merged[record] |= values
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        stored = {one.stored for one in sobject.fields}
        fixed: dict[str, Any] = dict.fromkeys(STAMPS, self._org.clock.stamp())
        fixed["LastModifiedById"] = self._org.user_id
        fixed = {name: value for name, value in fixed.items() if name in stored}
        for record, values in merged.items():
            row = values | fixed
            groups[tuple(sorted(row))].append(row | {"Id": record})
        with self._org.writing() as cursor:
            for columns, rows in groups.items():
                sets = ", ".join(f'"{name}" = b."{name}"' for name in columns)
                if not sets:
                    continue
                with _registered(cursor, sobject, rows):
                    cursor.execute(
                        f'UPDATE "{sobject.name}" SET {sets} FROM {_BATCH} b '
                        f'WHERE "{sobject.name}"."Id" = b."Id"'
                    )
            self._name_people(cursor, sobject, list(merged))

    def bin(self, sobject: SObject, ids: Sequence[str]) -> None:
        """Put rows into the recycle bin."""
        self.update(sobject, ((record, {"IsDeleted": True}) for record in ids))

    def remove(self, sobject: SObject, ids: Sequence[str]) -> None:
        """Take rows away so that no API shows them any more."""
        with self._org.writing() as cursor:
            cursor.execute(
                f'DELETE FROM "{sobject.name}" WHERE "Id" IN (SELECT unnest(?::VARCHAR[]))',
                [list(ids)],
            )

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


@contextmanager
def _registered(
    cursor: duckdb.DuckDBPyConnection, sobject: SObject, rows: Sequence[dict[str, Any]]
) -> "Iterator[None]":
    types = {one.stored: _ARROW[one.column_type] for one in sobject.fields}
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name) for row in rows], types[name]) for name in names}
    cursor.register(_BATCH, pa.table(columns))
    try:
        yield
    finally:
        cursor.unregister(_BATCH)
