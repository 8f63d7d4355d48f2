"""Back up and restore the state that exists only in PostgreSQL: one ZIP file of our schema's tables.

Tokens stay encrypted with the state key, which is not in the file. Tables without meaning later are left out: the
rate limiter's permits, which expire by themselves, the history of probes, and the list of migrations, which the product
has. Dagster's runs and events are left out as well. The tombstones of erased persons, a file of keyed hashes, are included.

A file holds `manifest.json` and, for each table, `<table>.copy` in PostgreSQL's text format with the columns that the
manifest names. Tables that later versions add are included without further work.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case
from psycopg2.sql import SQL, Composable, Identifier, Literal

from crm_pipeline.kernel.errors import ConfigError, CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.landing.tombstones import FILE as TOMBSTONES
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.migrations import migration_files
from crm_pipeline.store.tokens.state_key import StateKey

FORMAT = 1
_SCHEMA = "crm_state"
_TRANSIENT = frozenset({"dns_answers", "gate", "migrations", "probes"})
_MANIFEST = "manifest.json"
_PROOF = b"crm_pipeline backup"
_CONTEXT = "proof of the key"


class _Table(msgspec.Struct):
    columns: list[str]
    rows: int


class _Format(msgspec.Struct):
    format: int


class _Manifest(_Format):
    made_at: datetime
    migrations: list[str]
    tables: dict[str, _Table]
    key: bytes  # a constant, encrypted with the state key


_COLUMNS = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = %s AND table_type = 'BASE TABLE' GROUP BY table_name ORDER BY table_name
"""
_SEQUENCES = """
SELECT column_name, pg_get_serial_sequence(quote_ident(table_schema) || '.' || quote_ident(table_name), column_name)
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s
"""


@dataclass(frozen=True)
class Backup:
    """The contents of a backup.

    Attributes:
        rows: by table.
        migrations: names of the schema's migrations when it was made.
    """

    path: Path
    made_at: datetime
    rows: Mapping[str, int]
    migrations: tuple[str, ...]


def backup(
    database: Database, key: StateKey, path: Path, now: datetime, data: Path | None = None
) -> Backup:
    """Write a consistent backup, readable for this user only; return its contents.

    Args:
        database: migrated.
        key: that the tokens are encrypted with.
        path: of the new file.
        now: when it is made.
        data: the data folder with the tombstones of erased persons; None leaves them out.

    Raises:
        StoreError: the file cannot be written; an existing one stays.
    """
    rows: dict[str, int] = {}
    with database.transaction() as cursor, files.replacing(path) as temporary:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        temporary.touch(mode=0o600)
        columns = _columns(cursor)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for table, names in columns.items():
                with archive.open(f"{table}.copy", "w", force_zip64=True) as entry:
                    cursor.copy_expert(_copy(cursor, table, names, "TO STDOUT"), entry)
                rows[table] = cursor.rowcount
            migrations = _migrations(cursor)
            manifest = _Manifest(
                format=FORMAT,
                made_at=now,
                migrations=migrations,
                tables={table: _Table(columns[table], rows[table]) for table in columns},
                key=key.seal(_PROOF, context=_CONTEXT),
            )
            if data is not None and (tombstones := Tombstones.at(data)):
                archive.writestr(TOMBSTONES, json.dumps(tombstones.to_dict(), indent=1))
            archive.writestr(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return Backup(path, now, rows, tuple(migrations))


def restore(
    database: Database,
    key: StateKey,
    path: Path,
    *,
    is_replacing: bool = False,
    without_tokens: bool = False,
    data: Path | None = None,
) -> Backup:
    """Restore a backup, all of it or nothing; return its contents.

    Args:
        database: migrated.
        key: the state key as configured now; the tokens must be encrypted with it.
        path: of a file that `backup` wrote.
        is_replacing: empty the tables first; otherwise they must be empty.
        without_tokens: leave the tokens in the database as they are, because the key is lost.
        data: the data folder, whose tombstones of erased persons get those of the backup; none is removed.

    Raises:
        ConfigError: the tables are not empty, or another key is needed.
        CorruptFile: the file is not a backup, or is damaged.
        StoreError: the file does not exist, or a newer version made it.
    """
    _check_whole(path)
    with zipfile.ZipFile(path) as archive:
        manifest = _manifest(archive, path)
        _check_migrations(manifest, path)
        if not without_tokens:
            _check_key(manifest, key, path)
        wanted = [t for t in manifest.tables if not (without_tokens and t == "tokens")]
        with database.transaction() as cursor:
            for table in wanted:
                _refill(cursor, archive, table, manifest.tables[table], is_replacing)
            if data is not None and TOMBSTONES in archive.namelist():
                saved = Tombstones.from_dict(json.loads(archive.read(TOMBSTONES)))
                Tombstones.at(data).merged(saved).write(data)
    return Backup(
        path,
        manifest.made_at,
        {table: manifest.tables[table].rows for table in wanted},
        tuple(manifest.migrations),
    )


def _columns(cursor: Cursor) -> dict[str, list[str]]:
    cursor.execute(_COLUMNS, (_SCHEMA,))
    return {table: names for table, names in cursor.fetchall() if table not in _TRANSIENT}


def _migrations(cursor: Cursor) -> list[str]:
    cursor.execute(f"SELECT name FROM {_SCHEMA}.migrations ORDER BY name")
    return [name for (name,) in cursor.fetchall()]


def _copy(cursor: Cursor, table: str, columns: list[str], direction: str) -> str:
    listed = SQL(", ").join(map(Identifier, columns))
    statement: Composable = SQL("COPY {}.{} ({}) " + direction).format(
        Identifier(_SCHEMA), Identifier(table), listed
    )
    return str(statement.as_string(cursor))


def _refill(
    cursor: Cursor,
    archive: zipfile.ZipFile,
    table: str,
    content: _Table,
    is_replacing: bool,
) -> None:
    name = SQL("{}.{}").format(Identifier(_SCHEMA), Identifier(table))
    cursor.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(name))
    cursor.execute(SQL("SELECT EXISTS (SELECT FROM {})").format(name))
    if cursor.fetchall()[0][0] and not is_replacing:
        raise ConfigError(
            f"the table {table} already holds rows, and nothing is overwritten unasked.",
            cure="Restore with --replace to put the backup in their place; make a backup of them "
            "first. Nothing was changed.",
        )
    cursor.execute(SQL("DELETE FROM {}").format(name))
    with archive.open(f"{table}.copy") as entry:
        try:
            cursor.copy_expert(_copy(cursor, table, content.columns, "FROM STDIN"), entry)
        except psycopg2.DataError as error:
            raise _damaged(archive.filename, f"table {table} has rows that do not fit") from error
    if cursor.rowcount != content.rows:
        raise _damaged(
            archive.filename, f"table {table} has {cursor.rowcount} of {content.rows} rows"
        )
    _advance_sequences(cursor, table, name)


def _advance_sequences(cursor: Cursor, table: str, name: Composable) -> None:
    """Let generated keys continue after the restored ones."""
    cursor.execute(_SEQUENCES, (_SCHEMA, table))
    for column, sequence in cursor.fetchall():
        if sequence is not None:
            cursor.execute(
                SQL("SELECT setval({}, max({})) FROM {} HAVING max({}) IS NOT NULL").format(
                    Literal(sequence), Identifier(column), name, Identifier(column)
                )
            )


def _check_whole(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except FileNotFoundError as error:
        raise StoreError(f"there is no backup {path}.", cure="Check the name.") from error
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
        # The errors of zipfile for flipped bits: an unknown version, a password, a name that is not UTF-8.
        raise _damaged(path, str(error)) from error
    if damaged is not None:
        raise _damaged(path, f"{damaged} fails its checksum")


def _manifest(archive: zipfile.ZipFile, path: Path) -> _Manifest:
    try:
        content = archive.read(_MANIFEST)
        form = msgspec.json.decode(content, type=_Format).format
        if form != FORMAT:
            raise StoreError(
                f"{path} is a backup of format {form}, and this version reads format {FORMAT}.",
                cure="Restore it with the version of crm-pipeline that made it, or a newer one.",
            )
        manifest = msgspec.json.decode(content, type=_Manifest)
        for table in manifest.tables:
            archive.getinfo(f"{table}.copy")
    except (KeyError, msgspec.DecodeError) as error:
        raise _damaged(path, "its manifest does not fit") from error
    return manifest


def _check_migrations(manifest: _Manifest, path: Path) -> None:
    known = {name for name, _ in migration_files()}
    newer = [name for name in manifest.migrations if name not in known]
    if newer:
        raise StoreError(
            f"{path} was made by a newer version of crm-pipeline (it knows {', '.join(newer)}).",
            cure="Install that version or a newer one, then restore.",
        )


def _check_key(manifest: _Manifest, key: StateKey, path: Path) -> None:
    try:
        key.opened(manifest.key, context=_CONTEXT)
    except StoreError as error:
        raise ConfigError(
            f"the tokens in {path} were sealed under another key than {key.origin}.",
            cure="Put the key back that was in use when the backup was made (CRM_STATE_KEY, or "
            "state.key in the data folder); if it is lost, restore with --without-tokens and log in "
            "again with `crm-pipeline login`. Nothing was changed.",
        ) from error


def _damaged(path: object, why: str) -> CorruptFile:
    return CorruptFile(
        f"{path} is no backup of ours or is damaged: {why}.",
        cure="Take another backup. Nothing was changed.",
    )
