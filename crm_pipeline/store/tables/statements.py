"""Decide whether SQL only reads: one statement that DuckDB itself parses as a query.

Belongs here: the decision. Does not belong here: restricting what DuckDB can reach while it runs a query, which is
in `reading.py`. A query may call any function, so both are needed.
"""

from typing import NamedTuple

import duckdb

from crm_pipeline.kernel.errors import StoreError

CURE = (
    "`--unrestricted` runs any statement with the rights of this user: files and the network, COPY, "
    "ATTACH, SET and extensions."
)
_MAY = (
    "SELECT, FROM, WITH, VALUES, PIVOT, DESCRIBE, SHOW, SUMMARIZE and PRAGMA table_info, and EXPLAIN for "
    "queries only"
)
_QUERIES = frozenset(
    {"(", "desc", "describe", "from", "pivot", "pivot_longer", "pivot_wider", "select", "show"}
    | {"summarize", "table", "unpivot", "values", "with"}
)
_PRAGMAS = frozenset(
    {"collations", "database_list", "database_size", "functions", "metadata_info", "platform"}
    | {"show", "show_databases", "show_tables", "show_tables_expanded", "storage_info"}
    | {"table_info", "version"}
)


class StatementRefused(StoreError):
    """SQL that does more than read; none of it was run."""


def require_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Make sure that SQL is one statement that only reads; empty SQL passes.

    Raises:
        StatementRefused: it does more, or is more than one statement.
        duckdb.Error: DuckDB cannot parse it.
    """
    statements = connection.extract_statements(sql)
    if len(statements) > 1:
        raise StatementRefused(
            f"`query` runs one statement, and these are {len(statements)}; none was run.",
            cure=f"Give them one by one. {CURE}",
        )
    for statement in statements:
        if not _is_reading(connection, sql, _kind(statement)):
            raise StatementRefused(
                f"`query` is read-only and does not run {_words(sql)[0].text.upper()[:20]}; it runs {_MAY}.",
                cure=CURE,
            )


def bare_query(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """Return SQL that is one query without its semicolon; None for any other SQL.

    Raises:
        duckdb.Error: DuckDB cannot parse it.
    """
    if [_kind(statement) for statement in connection.extract_statements(sql)] != ["SELECT"]:
        return None
    words = _words(sql)
    behind = next((word.rest for word in words if word.text == ";"), "")
    return sql[: len(sql) - len(behind)] if words[0].text in _QUERIES else None


def _is_reading(connection: duckdb.DuckDBPyConnection, sql: str, kind: str) -> bool:
    words = _words(sql)
    first = words[0].text
    if kind == "PRAGMA":
        return first == "pragma" and words[1].text.strip('"') in _PRAGMAS
    if first == "explain":
        # EXPLAIN ANALYZE runs the explained statement.
        return any(_is_query(connection, explained) for explained in _explained(sql))
    # DuckDB splits a pivot over unknown values into several statements, and likewise a COPY of one.
    return kind in {"SELECT", "MULTI"} and first in _QUERIES


def _is_query(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        [statement] = connection.extract_statements(sql)
    except (duckdb.Error, ValueError):
        return False
    return _kind(statement) in {"SELECT", "MULTI"} and _words(sql)[0].text in _QUERIES


def _explained(sql: str) -> list[str]:
    """Return the possible statements of an EXPLAIN: a bracket after it holds options, or begins a query."""
    words = _words(sql)[1:]
    if words and words[0].text == "analyze":
        words = words[1:]
    possible = [word.rest for word in words[:1]]
    if words and words[0].text == "(":
        behind = next((n for n, word in enumerate(words, 1) if word.text == ")"), len(words))
        possible.extend(word.rest for word in words[behind : behind + 1])
    return possible


def _kind(statement: duckdb.Statement) -> str:
    try:
        return str(statement.type.name)
    except ValueError:  # a kind that this client has no name for
        return "?"


class _Word(NamedTuple):
    """A token in lower case, and the SQL from there on."""

    text: str
    rest: str


def _words(sql: str) -> list[_Word]:
    """Return the tokens of a statement without comments."""
    text = sql.encode()  # DuckDB counts bytes
    tokens = duckdb.tokenize(sql)
    ends = [at for at, _ in tokens[1:]] + [len(text)]
    return [
        _Word(text[at:end].decode().strip().lower(), text[at:].decode())
        for (at, kind), end in zip(tokens, ends, strict=True)
        if kind != duckdb.token_type.comment
    ]
