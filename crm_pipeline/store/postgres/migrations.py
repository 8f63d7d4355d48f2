"""Apply the migrations of the schema `crm_state`: the files `migrations/NNNN_name.sql`, in order.

A file that was applied anywhere is never edited; a further change gets the next number.
"""

import hashlib
from importlib import resources

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case

from crm_pipeline.kernel.errors import StoreError

_LOCK = 0x63726D5F7374  # "crm_st"; any number, the same in every process
# A file whose comment was other for a day: databases of that day have the same tables.
_SAME = frozenset({"c26f242090e83cfbd270d962be9e8284f51d6bb6c38fa99621923f23f12f4b7a"})
_BEFORE = """
CREATE SCHEMA IF NOT EXISTS crm_state;
CREATE TABLE IF NOT EXISTS crm_state.migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


def migration_files() -> list[tuple[str, str]]:
    """Return name and text of all migrations of this version, in order."""
    folder = resources.files(__package__) / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(name, (folder / name).read_text(encoding="utf-8")) for name in names]


def apply_migrations(cursor: Cursor, files: list[tuple[str, str]] | None = None) -> list[str]:
    """Apply the migrations that the database lacks in the caller's transaction; return their names.

    Args:
        cursor: of a transaction, which commits all migrations or none.
        files: names and texts; those of the package by default.

    Raises:
        StoreError: a migration fails, or the file of an applied one has changed.
    """
    wanted = migration_files() if files is None else files
    # For two processes that start together; the transaction's end releases the lock.
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    cursor.execute("SELECT to_regclass('crm_state.migrations') IS NULL")
    if cursor.fetchall()[0][0]:
        cursor.execute(_BEFORE)
    cursor.execute("SELECT name, sha256 FROM crm_state.migrations")
    applied: dict[str, str] = dict(cursor.fetchall())
    fresh = []
    for name, text in wanted:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        if name not in applied:
            _apply(cursor, name, text, sha256)
            fresh.append(name)
        elif applied[name] not in {sha256, *_SAME}:
            raise StoreError(
                f"the migration {name} is not the one that this database was made with.",
                cure="Restore the file as it was released, and put changes into a new number.",
            )
    return fresh


def _apply(cursor: Cursor, name: str, text: str, sha256: str) -> None:
    try:
        cursor.execute(text)
    except psycopg2.Error as error:
        words = " ".join(str(error).split())
        raise StoreError(
            f"the migration {name} failed: {words}.",
            cure="Nothing was changed. The user of the database must own the schema crm_state or be"
            " allowed to create it.",
        ) from error
    cursor.execute(
        "INSERT INTO crm_state.migrations (name, sha256) VALUES (%s, %s)", (name, sha256)
    )
