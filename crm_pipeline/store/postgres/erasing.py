"""Erase a subject from PostgreSQL: Dagster's runs, events and ticks, and our own state.

None of it should hold a person's value: metadata is masked, and error texts quote no data. So this is a search of all
texts first. Where a value is found it is replaced, the table is rewritten, and the transaction log of before is
overwritten.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg2.sql import SQL, Composed, Identifier

from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.subject import Erased, Subject
from crm_pipeline.store.postgres.database import Database

_COLUMNS = """
SELECT n.nspname, c.relname, a.attname, a.atttypid::regtype::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_toast%'
  AND a.atttypid::regtype::text IN ('text', 'character varying', 'json', 'jsonb', 'bytea')
ORDER BY 1, 2, 3
"""
_SEGMENTS = "SELECT count(*) FROM pg_ls_waldir()"


class DatabaseStore:
    """All tables of the database, as a store of personal data.

    Args:
        database: the open database; None where it does not run, and nothing can be said of it.
    """

    name = "PostgreSQL"
    covers = ("postgres",)
    subject_keys = ("e-mail addresses in any text",)

    def __init__(self, database: Database | None) -> None:
        self._database = database

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`."""
        done = Erased(self.name)
        redaction = Redaction(subject.addresses)
        if self._database is None or not redaction:
            return done
        touched = set()
        with self._database.transaction() as cursor:
            cursor.execute(_COLUMNS)
            for schema, table, column, kind in cursor.fetchall():
                found = list(_holding(cursor, (schema, table, column), kind, subject, redaction))
                if not found:
                    continue
                done.add(Path(f"{schema}.{table}.{column}"), 0, len(found))
                touched.add((schema, table))
                for row, value in found if apply else ():
                    _update(cursor, (schema, table, column), kind, row, redaction.text(value))
        if apply and touched:
            rewrite_tables(self._database, touched)
        return done


def rewrite_tables(database: Database, tables: set[tuple[str, str]]) -> None:
    """Write tables anew, so that no old row is left in their files, and overwrite the transaction log."""
    with database.autocommit() as cursor:
        for schema, table in sorted(tables):
            name = SQL("{}.{}").format(Identifier(schema), Identifier(table))
            cursor.execute(SQL("VACUUM FULL {}").format(name))
        # The checkpoint gives segments with old rows new names, under which they are written again: so the
        # log moves on through all of them.
        _switch(cursor)
        cursor.execute("CHECKPOINT")
        cursor.execute(_SEGMENTS)
        [segments] = cursor.fetchone() or (0,)
        for _ in range(int(segments) + 1):
            _switch(cursor)
        cursor.execute("CHECKPOINT")


def _switch(cursor: Any) -> None:
    """Let the transaction log go on in its next segment; the rest of this one is filled with zeros."""
    cursor.execute("SELECT pg_logical_emit_message(false, 'crm', 'erased')")
    cursor.execute("SELECT pg_switch_wal()")


def _holding(
    cursor: Any,
    where: tuple[str, str, str],
    kind: str,
    subject: Subject,
    redaction: Redaction,
) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of each row of a column that holds an address."""
    schema, table, column = map(Identifier, where)
    text = _as_text(column, kind)
    for address in sorted(subject.addresses):
        query = SQL("SELECT ctid::text, {} FROM {}.{} WHERE strpos(lower({}), %s) > 0")
        cursor.execute(query.format(text, schema, table, text), (address,))
        for row, value in cursor.fetchall():
            if redaction.text(value) != value:
                yield row, value


def _as_text(column: Identifier, kind: str) -> Composed:
    form = "encode({}, 'escape')" if kind == "bytea" else "{}::text"
    return SQL(form).format(column)


def _update(cursor: Any, where: tuple[str, str, str], kind: str, row: str, text: str) -> None:
    schema, table, column = map(Identifier, where)
    form = "decode(%s, 'escape')" if kind == "bytea" else f"%s::{kind}"
    query = SQL("UPDATE {}.{} SET {} = " + form + " WHERE ctid = %s::tid")
    cursor.execute(query.format(schema, table, column), (text, row))
