"""Columns that the vendors fill, or the file, and that are not there yet: passed over until they are.

The one place to strike them out. A test fails for each entry that the file answers rightly already.
"""

from collections.abc import Iterable, Iterator, Mapping

_BY_TABLE: Mapping[tuple[str, ...], Mapping[str, str]] = {}
"""Connections, each with the names of columns by table."""


def _listed() -> Iterator[tuple[str, str, str]]:
    for connections, tables in _BY_TABLE.items():
        for connection in connections:
            for table, columns in tables.items():
                yield from ((connection, table, column) for column in columns.split())


PENDING: frozenset[tuple[str, str, str]] = frozenset(_listed())


def pending(connection: str, table: str) -> Iterable[str]:
    """Return the columns of a table that are passed over."""
    return {column for one, other, column in PENDING if (one, other) == (connection, table)}
