"""Erase a subject from tables, from the published Parquet files, and from every kept snapshot.

Files are immutable, so each is written again without the subject. Versions and releases that are not current go, because
they hold the same rows. A DuckDB file keeps the bytes of removed rows in its free blocks, so snapshots are built anew.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store import files
from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.rows import RowEraser
from crm_pipeline.store.erasing.subject import Erased, Subject
from crm_pipeline.store.files import permissions
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.tables.engine import Engine, parquet_files
from crm_pipeline.store.tables.erasing_verdicts import VerdictRows, order, verdicts_without
from crm_pipeline.store.tables.published import (
    COPIED_FROM,
    STORAGE_VERSION,
    Snapshots,
    made_of,
    record_of,
)
from crm_pipeline.store.tables.published_files import PublishedFiles
from crm_pipeline.store.tables.release import Part, TableVersion
from crm_pipeline.store.tables.tables import Tables

_ROWS = 20_000
_OLD, _NEW, _SCHEMA = "old_file", "new_file", "new_schema"
_FAR = timedelta(days=2)


class TablesStore:
    """The tables of all stages, with all versions and releases, as a store of personal data.

    Args:
        data: the data folder.
        but: tables that are not rewritten here, because they are built anew from the others.
    """

    name = "tables"
    covers = ("tables",)
    subject_keys = (
        "connection, object and source_id",
        "keys of records",
        "e-mail addresses in any text, also as keys",
    )

    def __init__(self, data: Path, but: Collection[str] = ()) -> None:
        self._data = data
        self._tables = Tables(data)
        self._but = but

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        eraser = RowEraser(subject)
        for name in self._tables.names():
            if name in self._but:
                continue
            version = self._tables.version(name)
            assert version is not None
            found = {path: _counted(eraser, path, version.key) for path in version.paths}
            for path, (removed, changed) in found.items():
                done.add(path, removed, changed)
            meta = _without(subject, version.meta)
            if apply and (any(map(any, found.values())) or meta != version.meta):
                self._rewrite(version, eraser, meta)
        if apply:
            collect_all(self._tables)
        return done

    def _rewrite(self, version: TableVersion, eraser: RowEraser, meta: Mapping[str, Any]) -> None:
        """Commit a version without the subject, file by file, so that live and deleted rows stay apart."""
        parts: dict[Part, Sequence[Path]] = {
            "base": version.base,
            "delta": version.delta,
            "tombstones": version.tombstones,
        }
        with (
            Engine(self._data / "tmp", threads=1) as engine,
            self._tables.stage(version.name, version.key) as staged,
        ):
            written: dict[Part, list[Path]] = {}
            for part, paths in parts.items():
                for path in paths:
                    fresh = staged.path(part)
                    _write(engine, eraser, path, fresh, version.key)
                    written.setdefault(part, []).append(fresh)
            base, delta, tombstones = (tuple(written.get(part, ())) for part in parts)
            fresh_version = replace(version, base=base, delta=delta, tombstones=tombstones)
            relation = Tables.relation(fresh_version)
            [rows] = engine.row(f"SELECT count(*) FROM {relation}")
            counts = _live(engine, relation, meta, rows)
            staged.commit(version, rows, {**meta, **counts})


class PublishedStore:
    """The published Parquet files, as a store of personal data.

    Args:
        data: the data folder.
    """

    name = "published files"
    covers = ("published",)
    subject_keys = TablesStore.subject_keys

    def __init__(self, data: Path) -> None:
        self._data = data

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        eraser, keys = RowEraser(subject), keys_by_table(self._data)
        published = PublishedFiles(self._data / "published", Verifier())
        paths = {path.stem: path for path in published.folder.glob("*.parquet")}
        with Engine(self._data / "tmp", threads=1) as engine:
            for table in order(paths):
                path, key = paths[table], keys.get(table, ())
                rows = verdicts_without(subject, table, lambda name: _file(paths.get(name)))
                removed, changed = (
                    held(eraser, engine.connection, parquet_files([path]), rows, key)
                    if rows
                    else _counted(eraser, path, key)
                )
                done.add(path, removed, changed)
                if not apply or not (removed or changed):
                    continue
                published.forget([path.name])
                with files.replacing(path, "parquet") as temporary:
                    _write(engine, eraser, path, temporary, key, rows.rest if rows else "")
                    permissions.follow(published.folder, temporary)
                    written = published.taken(temporary)
                published.record({**published.recorded(), path.name: written})
        if apply:
            files.discard(*published.folder.glob(f".*{files.TEMPORARY_SUFFIX}"))
        return done


class SnapshotsStore:
    """All kept snapshots, as a store of personal data.

    Args:
        data: the data folder.
    """

    name = "snapshots"
    covers = ("snapshots", "crm.duckdb")
    subject_keys = TablesStore.subject_keys

    def __init__(self, data: Path) -> None:
        self._data = data
        self._snapshots = Snapshots(data)

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        eraser, keys = RowEraser(subject), keys_by_table(self._data)
        if apply:
            files.discard(*self._snapshots.folder.glob(f".*{files.TEMPORARY_SUFFIX}*"))
        for path in sorted(self._snapshots.kept()):
            rows = values = 0
            with closing(duckdb.connect(str(path), read_only=True)) as connection:
                listed = _tables_in(connection)
                for schema, table in listed:
                    relation = f"{quoted(schema)}.{quoted(table)}"
                    verdicts = _verdicts(subject, listed, schema, table)
                    removed, changed = held(
                        eraser, connection, relation, verdicts, keys.get(table, ())
                    )
                    rows, values = rows + removed, values + changed
            done.add(path, rows, values)
            if apply and (rows or values or _may_keep_former(path)):
                self._rebuild(path, subject, eraser, keys)
        return done

    def _rebuild(
        self, path: Path, subject: Subject, eraser: RowEraser, keys: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Build a snapshot anew under its name; whoever has the old file open goes on reading it."""
        record = record_of(path)
        with files.replacing(path, "snapshot") as temporary:
            with closing(duckdb.connect(":memory:", config={"threads": 1})) as connection:
                connection.execute("SET TimeZone = 'UTC'")
                connection.execute(f"ATTACH {literal(str(path))} AS {_OLD} (READ_ONLY)")
                connection.execute(
                    f"ATTACH {literal(str(temporary))} AS {_NEW} (STORAGE_VERSION '{STORAGE_VERSION}')"
                )
                connection.execute(f"COPY FROM DATABASE {_OLD} TO {_NEW} (SCHEMA)")
                connection.execute(f"USE {_OLD}")
                listed = _tables_in(connection)
                connection.execute("USE memory")
                for schema, table in listed:
                    name = f"{quoted(schema)}.{quoted(table)}"
                    verdicts = _verdicts(subject, listed, schema, table, f"{_OLD}.")
                    source = verdicts.rest if verdicts else f"{_OLD}.{name}"
                    _insert(connection, eraser, source, name, keys.get(table, ()))
                connection.execute(f"CHECKPOINT {_NEW}")
                connection.execute(f"DETACH {_NEW}")
            permissions.follow(self._snapshots.folder, temporary)
            written = FileSum.of(temporary)
            # Without a record the file counts as unproven and not as damaged, should this process die now.
            record.unlink(missing_ok=True)
        files.write_json(record, written.to_dict(), "snapshot_sum")


def _may_keep_former(path: Path) -> bool:
    """Say whether a snapshot may hold bytes of rows that it has no more: it is a changed copy of another one."""
    return not record_of(path).exists() or COPIED_FROM in made_of(path)


def collect_all(tables: Tables) -> None:
    """Remove all versions that are not current: they hold the same rows; so do those that a dead process left."""
    tables.collect(datetime.now(UTC) + _FAR, timedelta(0))


def keys_by_table(data: Path) -> dict[str, tuple[str, ...]]:
    """Return the key columns of published tables by the table's name."""
    tables = Tables(data)
    keys: dict[str, tuple[str, ...]] = {}
    for name in tables.names():
        version = tables.version(name)
        if version is not None:
            table = name.rpartition("/")[2]
            keys[table] = keys[f"{table}_deleted"] = version.key
    return keys


def _without(subject: Subject, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the notes of a version without the subject: results name the keys of some rows."""
    redaction = Redaction(subject.addresses | subject.keys)
    value: dict[str, Any] = redaction.value(dict(meta)) if redaction else dict(meta)
    return value


def _live(engine: Engine, relation: str, meta: Mapping[str, Any], rows: int) -> dict[str, int]:
    if "live" not in meta:
        return {}
    if "is_deleted" not in engine.columns(relation):
        return {"live": rows}
    [live] = engine.row(f"SELECT count(*) FROM {relation} WHERE is_deleted IS NOT TRUE")
    return {"live": live}


def _counted(eraser: RowEraser, path: Path, key: Sequence[str]) -> tuple[int, int]:
    removed = changed = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
            erased = eraser.table(batch, key)
            removed += erased.removed
            changed += erased.changed
    return removed, changed


def _write(  # noqa: PLR0917 - each argument is plain at the call
    engine: Engine,
    eraser: RowEraser,
    source: Path,
    target: Path,
    key: Sequence[str],
    rows: str = "",
) -> None:
    """Write a Parquet file without the subject, with the types and the metadata of the file that it comes from.

    Args:
        engine: runs the SQL.
        eraser: erases the subject from the rows.
        source: the file as it is.
        target: the new file.
        key: of its rows.
        rows: SQL for its rows where it is not all of them.

    Raises:
        StoreError: a column would get another type.
    """
    metadata = _metadata_of(source)
    kinds = engine.columns(parquet_files([source]))
    # A cursor of its own, because the rows are read while they are written.
    reader = (
        engine.connection.cursor()
        .sql(f"FROM {rows or parquet_files([source])}")
        .to_arrow_reader(_ROWS)
    )
    parts = (_rest(eraser, tuple(key), batch) for batch in reader)
    engine.connection.register("_rows", pa.RecordBatchReader.from_batches(reader.schema, parts))
    try:
        casts = ", ".join(
            f"{quoted(name)}::{kind} AS {quoted(name)}" for name, kind in kinds.items()
        )
        engine.copy_to(f"SELECT {casts} FROM _rows", target, metadata=metadata)
    finally:
        engine.connection.unregister("_rows")
    if engine.columns(parquet_files([target])) != kinds:
        raise StoreError(f"{source} cannot be rewritten: a column would get another type.")


def _metadata_of(path: Path) -> dict[str, str]:
    """Return our own metadata of a Parquet file."""
    with pq.ParquetFile(path) as file:
        stored = file.metadata.metadata or {}
    return {
        name.decode(): text.decode() for name, text in stored.items() if name.startswith(b"crm_")
    }


def _tables_in(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Return the tables of the current database that have rows, by schema and name."""
    return connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() "
        "WHERE NOT internal AND database_name = current_database() AND estimated_size > 0 ORDER BY ALL"
    ).fetchall()


def _file(path: Path | None) -> str | None:
    return None if path is None else parquet_files([path])


def _verdicts(
    subject: Subject, listed: Collection[tuple[str, str]], schema: str, table: str, of: str = ""
) -> VerdictRows | None:
    """Return the rows of a table of verdicts in a DuckDB file without the subject; None for another table."""

    def relation_of(name: str) -> str | None:
        return f"{of}{quoted(schema)}.{quoted(name)}" if (schema, name) in listed else None

    return verdicts_without(subject, table, relation_of)


def held(
    eraser: RowEraser,
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    verdicts: VerdictRows | None,
    key: Sequence[str],
) -> tuple[int, int]:
    """Return how many rows of a relation would be removed and changed."""
    removed = changed = 0
    if verdicts is not None:
        relation = verdicts.rest
        [(removed,)], [(changed,)] = (
            connection.execute(sql).fetchall() for sql in (verdicts.removed, verdicts.changed)
        )
    for batch in connection.sql(f"FROM {relation}").to_arrow_reader(_ROWS):
        erased = eraser.table(batch, key)
        removed += erased.removed
        changed += erased.changed
    return removed, changed


def _insert(
    connection: duckdb.DuckDBPyConnection,
    eraser: RowEraser,
    source: str,
    relation: str,
    key: Sequence[str],
) -> None:
    """Insert the rows of a table of the old file, without the subject, into the new one."""
    # A cursor of its own, because the rows are read while they are written.
    reader = connection.cursor().sql(f"FROM {source}").to_arrow_reader(_ROWS)
    parts = map(partial(_rest, eraser, tuple(key)), reader)
    connection.register("_rows", pa.RecordBatchReader.from_batches(reader.schema, parts))
    try:
        connection.execute(f"INSERT INTO {_NEW}.{relation} SELECT * FROM _rows")
    finally:
        connection.unregister("_rows")


def _rest(eraser: RowEraser, key: tuple[str, ...], batch: pa.RecordBatch) -> pa.RecordBatch:
    return eraser.table(batch, key).batch
