"""`ops.changes`: the number of records that are new, changed, deleted and restored since earlier publishes.

Only tables with another version are compared. A record counts as changed if it was read again and differs: another
mapping of the same records is no change of the CRM.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import structlog

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.tables import DERIVED
from crm_pipeline.stages.published.added import SOURCES
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.stages.published.past import Snapshot
from crm_pipeline.stages.published.relations import PublishedTable, connection_of
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.changes import changes_since
from crm_pipeline.store.tables.engine import Engine

_TEXT = pa.string()
_WHOLE = pa.int64()
_BEFORE = "published_before"
_NONE = (0, 0, 0, 0)
_NOT_COMPARED = frozenset({"batch_id", "url", *SOURCES})
"""Columns about how a record was read, about the account's web address, and verdicts on the record's values."""
_log = structlog.get_logger("crm_pipeline.published")
Counts = tuple[int, int, int, int]
_Names = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Changes:
    """Compares a file that is about to be published with earlier ones.

    Args:
        engine: the engine that has the new file attached.
        tables: the store; it knows which keys changed.
        database: the name under which it is attached.
        published: the tables of the file.
    """

    engine: Engine
    tables: Tables
    database: str
    published: Sequence[PublishedTable]

    def table(self, since: Mapping[str, Snapshot | None]) -> OpsTable:
        """Return `ops.changes` for the snapshots in `since`; a snapshot that occurs twice is read once."""
        rows_of: dict[Snapshot, list[tuple[Any, ...]]] = {}
        rows: list[tuple[Any, ...]] = []
        for name, snapshot in since.items():
            if snapshot is None:
                continue
            if snapshot not in rows_of:
                rows_of[snapshot] = self._rows(snapshot)
            rows.extend((name, snapshot.published_at, *row) for row in rows_of[snapshot])
        columns = {
            "since": (_TEXT, "last publish; yesterday: the last publish before today, UTC."),
            "since_at": (pa.timestamp("us", "UTC"), "When that was published."),
            "connection": (_TEXT, "Name of the connection."),
            "table_name": (_TEXT, "Table of schema crm."),
            "new": (
                _WHOLE,
                "Live records that did not exist then. NULL: the earlier file cannot be read.",
            ),
            "changed": (_WHOLE, "Live records that were read again and differ from then."),
            "deleted": (_WHOLE, "Records that were live, and are deleted or gone."),
            "restored": (_WHOLE, "Live records that were deleted."),
        }
        about = "How many records of each table have changed since earlier publishes."
        return OpsTable("changes", about, columns, rows)

    def _rows(self, snapshot: Snapshot) -> list[tuple[Any, ...]]:
        try:
            if snapshot.corruption is not None:
                raise snapshot.corruption
            with self._attached(snapshot):
                return [(*pair, *counts) for pair, counts in self._compared()]
        except (CorruptFile, StoreError) as error:
            # A damaged earlier file must not stop the publish of the new one.
            _log.warning(
                "an earlier publish cannot be compared", file=str(snapshot.path), why=str(error)
            )
            pairs = ((connection_of(v), t.name) for t in self.published for v in t.versions)
            return [(*pair, None, None, None, None) for pair in pairs]

    @contextmanager
    def _attached(self, snapshot: Snapshot) -> Iterator[None]:
        self.engine.run(f"ATTACH {literal(str(snapshot.path))} AS {_BEFORE} (READ_ONLY)")
        try:
            yield
        finally:
            self.engine.run(f"DETACH {_BEFORE}")

    def _compared(self) -> Iterator[tuple[tuple[str, str], Counts]]:
        versions = {
            (connection, table): version
            for connection, table, version in self.engine.rows(
                # Tables over all connections have no record of their own.
                f"SELECT connection, table_name, version FROM {_BEFORE}.ops.tables "
                "WHERE connection IS NOT NULL"
            )
        }
        earlier = self._tables_before()
        for table in self.published:
            connections = {connection_of(version): version for version in table.versions}
            changed = {
                name: (version, versions.get((name, table.name)))
                for name, version in connections.items()
                if versions.get((name, table.name)) != version.version
            }
            counts = self._counted(table, changed, earlier) if changed else {}
            for name in connections:
                yield (name, table.name), counts.get(name, _NONE)
                versions.pop((name, table.name), None)
        for name, table_name in sorted(versions):
            if table_name not in DERIVED:
                yield (name, table_name), (0, 0, self._live_before(name, table_name, earlier), 0)

    def _live_before(self, connection: str, table: str, earlier: _Names) -> int:
        """Return the number of live rows that a connection had in a table that it no longer has."""
        if ("crm", table) not in earlier:
            return 0
        sql = f"SELECT count(*) FROM {_BEFORE}.crm.{quoted(table)} WHERE connection = $connection"
        return int(self.engine.rows(sql, {"connection": connection})[0][0])

    def _counted(
        self,
        table: PublishedTable,
        changed: Mapping[str, tuple[TableVersion, str | None]],
        earlier: _Names,
    ) -> dict[str, Counts]:
        key, listed = quoted(table.key), ", ".join(map(literal, changed))
        new, old = (f"{name}.crm.{quoted(table.name)}" for name in (self.database, _BEFORE))
        gone = f"{_BEFORE}.crm.{quoted(table.deleted_name)}"
        if ("crm", table.name) not in earlier:
            rows = self.engine.rows(
                f"SELECT connection, count(*) FROM {new} WHERE connection IN ({listed}) GROUP BY ALL"
            )
            return {connection: (count, 0, 0, 0) for connection, count in rows}
        only = self._only(table, changed.values())
        columns = f"connection, {key} AS key, batch_id, modified_at"
        moved = self.engine.table(
            f"moved {table.name}",
            f"""
            SELECT coalesce(n.connection, o.connection) AS connection, key,
                o.connection IS NULL AS is_new, n.connection IS NULL AS is_gone,
                n.modified_at IS DISTINCT FROM o.modified_at AS is_later
            FROM (SELECT {columns} FROM {new} {only} WHERE connection IN ({listed})) n
            FULL JOIN (SELECT {columns} FROM {old} {only} WHERE connection IN ({listed})) o USING (key)
            WHERE n.batch_id IS DISTINCT FROM o.batch_id OR n.modified_at IS DISTINCT FROM o.modified_at
            """,
        )
        self._compare_rows(table, moved, changed, earlier)
        counted = self.engine.rows(
            f"""
            WITH restored AS (
                SELECT m.key FROM {moved} m JOIN {gone} g ON g.{key} = m.key WHERE m.is_new
            )
            SELECT m.connection,
                count(*) FILTER (WHERE m.is_new AND r.key IS NULL),
                count(*) FILTER (WHERE NOT m.is_new AND NOT m.is_gone AND m.is_later),
                count(*) FILTER (WHERE m.is_gone),
                count(r.key)
            FROM {moved} m LEFT JOIN restored r USING (key)
            GROUP BY m.connection
            """
        )
        self.engine.run(f"DROP TABLE {moved}")
        return {connection: (a, b, c, d) for connection, a, b, c, d in counted}

    def _only(
        self, table: PublishedTable, versions: Iterable[tuple[TableVersion, str | None]]
    ) -> str:
        """Return SQL that limits a table to the keys that changed between versions; "" where any may have."""
        relations = []
        for version, before in versions:
            if before is None or version.key != (table.key,):
                return ""
            changes = changes_since(self.tables, version, before)
            if changes.is_all:
                return ""
            if not changes.is_none:
                relations.append(f"SELECT {quoted(table.key)} FROM {changes.relation}")
        if not relations:
            return ""
        keys = self.engine.table(f"changed {table.name}", " UNION ".join(relations))
        return f"SEMI JOIN {keys} USING ({quoted(table.key)})"

    def _compare_rows(
        self,
        table: PublishedTable,
        moved: str,
        connections: Collection[str],
        earlier: _Names,
    ) -> None:
        """Note in `moved` which rows that were read again with the same time differ; a later time is a difference."""
        if not self.engine.rows(
            f"SELECT 1 FROM {moved} WHERE NOT is_new AND NOT is_gone AND NOT is_later LIMIT 1"
        ):
            return
        key = quoted(table.key)
        new, old = (f"{name}.crm.{quoted(table.name)}" for name in (self.database, _BEFORE))
        now, was = self.engine.columns(new), self.engine.columns(old)
        same = [n for n, kind in now.items() if was.get(n) == kind and n not in _NOT_COMPARED]
        rezoned = ", ".join(map(literal, self._rezoned(connections, earlier)))
        differs = " OR ".join(
            f"(n.{quoted(name)} IS DISTINCT FROM o.{quoted(name)}"
            + (f" AND n.connection NOT IN ({rezoned}))" if rezoned and now[name] == "DATE" else ")")
            for name in same
        )
        self.engine.run(
            f"""
            UPDATE {moved} SET is_later = true WHERE key IN (
                SELECT m.key
                FROM {moved} m JOIN {new} n ON n.{key} = m.key JOIN {old} o ON o.{key} = m.key
                WHERE NOT m.is_new AND NOT m.is_gone AND NOT m.is_later AND ({differs})
            )
            """
        )

    def _rezoned(self, connections: Collection[str], earlier: _Names) -> list[str]:
        """Return the connections whose days are in another time zone than before, so that days cannot be compared."""
        new, old = (f"{name}.ops.connections" for name in (self.database, _BEFORE))
        if ("ops", "connections") not in earlier or "time_zone" not in self.engine.columns(old):
            return []
        now, was = (
            dict(self.engine.rows(f"SELECT connection, time_zone FROM {table}"))
            for table in (new, old)
        )
        return [name for name in connections if was.get(name) != now.get(name)]

    def _tables_before(self) -> _Names:
        """Return schema and name of the tables of the earlier file; to list them takes longer than to describe one."""
        rows = self.engine.rows(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            f"WHERE database_name = {literal(_BEFORE)}"
        )
        return frozenset((schema, name) for schema, name in rows)
