"""Which tables a release publishes, and the SQL that unions them over connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.table import Lookup
from crm_pipeline.model.tables import DELETED_SUFFIX, DERIVED, TABLES, custom_table_name
from crm_pipeline.stages.published.finished import FINISHES, Finish
from crm_pipeline.store.tables import Release, Tables, TableVersion

PREFIX = "normalized/"
_LATER = 6
"""Where a field of a version's meta has what few fields have, such as options."""


@dataclass(frozen=True)
class Found:
    """A column whose values are looked up in another table, see `model.table.Lookup`.

    Attributes:
        versions: of the other table.
    """

    column: str
    lookup: Lookup
    versions: tuple[TableVersion, ...]

    @property
    def value(self) -> str:
        """SQL for the value: what the row has itself, else what was found."""
        return f"coalesce(t.{quoted(self.column)}, {self._alias}.value)"

    @property
    def join(self) -> str:
        """SQL that joins what is looked up; at most one row for each of the table's."""
        one = self.lookup
        listed = f"connection, {quoted(one.name)}"
        parts = " UNION ALL BY NAME ".join(
            f"SELECT {listed}, {quoted(one.value)} AS value FROM {Tables.relation(version)}"
            for version in self.versions
        )
        on = (
            f"{self._alias}.connection = t.connection AND "
            f"{self._alias}.{quoted(one.name)} = t.{quoted(one.by)}"
        )
        # Where two stages have one name, nothing is found rather than the wrong one.
        only = "CASE WHEN count(DISTINCT value) = 1 THEN min(value) END"
        grouped = f"SELECT {listed}, {only} AS value FROM ({parts}) GROUP BY ALL"
        return f" LEFT JOIN ({grouped}) {self._alias} ON {on}"

    @property
    def _alias(self) -> str:
        return quoted(f"looked up {self.column}")


@dataclass(frozen=True)
class PublishedTable:
    """One table of schema `crm`: the versions of all connections that have it.

    Attributes:
        columns: name, type and description of each column.
        found: the columns that are looked up in other tables.
        finish: how others are made of several tables, and `needed` those tables.
        accounts: the main currency of each connection whose account tells it.
    """

    name: str
    description: str
    columns: tuple[tuple[str, str, str], ...]
    versions: tuple[TableVersion, ...]
    found: tuple[Found, ...] = ()
    finish: Finish | None = None
    needed: Mapping[str, "PublishedTable"] = field(default_factory=dict)
    accounts: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The key column."""
        return self.columns[3][0]

    @property
    def deleted_name(self) -> str:
        """The table that holds the deleted records."""
        return f"{self.name}{DELETED_SUFFIX}"

    @property
    def identity(self) -> str:
        """A text that changes with anything that the rows are made of."""
        found = [version for one in self.found for version in one.versions]
        needed = [version for table in self.needed.values() for version in table.versions]
        versions = [*self.versions, *found, *needed]
        told = [f"{connection}={currency}" for connection, currency in self.accounts]
        return ",".join((*(version.version for version in versions), *told))

    @property
    def all_rows(self) -> str:
        """SQL for all rows as they were normalized, in the table's columns."""
        return self._union(self.versions)

    @property
    def live_sql(self) -> str:
        """SQL for the live rows, in the table's columns."""
        return self._sql("WHERE NOT is_deleted" if self._has_deleted else "", self.versions)

    @property
    def deleted_sql(self) -> str:
        """SQL for the deleted rows, in the table's columns."""
        return self._sql("WHERE is_deleted", self.versions if self._has_deleted else ())

    @property
    def _has_deleted(self) -> bool:
        return any(version.rows != version.meta["live"] for version in self.versions)

    def _sql(self, condition: str, versions: Sequence[TableVersion]) -> str:
        taken = {one.column: one.value for one in self.found}
        listed = ", ".join(
            f"{taken[name]} AS {quoted(name)}" if name in taken else f"t.{quoted(name)}"
            for name, _, _ in self.columns
        )
        source = f"({self._union(versions)}) t{''.join(one.join for one in self.found)}"
        rows = f"SELECT {listed} FROM {source} {condition.replace('is_deleted', 't.is_deleted')}"
        return rows if self.finish is None else self._finished(rows, self.finish)

    def _finished(self, rows: str, finish: Finish) -> str:
        sources = {name: table.all_rows for name, table in self.needed.items()}
        options = self._options(finish.by) if finish.by else ()
        accounts = _values(("connection", "currency"), self.accounts)
        told = {
            "rows": rows,
            "options": _values(("connection", "object", "value", "label"), options),
            "accounts": accounts,
        }
        return finish.sql({**sources, **told}, [quoted(name) for name, _, _ in self.columns])

    def _union(self, versions: Sequence[TableVersion]) -> str:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(c)}" for c, kind, _ in self.columns)
        parts = [f"SELECT {empty} WHERE false"]
        parts.extend(f"SELECT * FROM {Tables.relation(version)}" for version in versions)
        return " UNION ALL BY NAME ".join(parts)

    def _options(self, column: str) -> list[tuple[str, str, str, str]]:
        """Return what people call the values of the pick list that feeds a column."""
        return [
            (connection_of(version), described["object"], value, label)
            for version in self.versions
            for described in version.meta["objects"]
            for entry in described["fields"]
            if entry[4] == column and len(entry) > _LATER
            for value, label in dict(entry[_LATER].get("options", ())).items()
        ]


def _values(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return SQL for rows of text."""
    if not rows:
        return (
            f"SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS {name}' for name in names)} WHERE false"
        )
    listed = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return f"SELECT * FROM (VALUES {listed}) told({', '.join(names)})"


def connection_of(version: TableVersion) -> str:
    """Return the connection that a normalized version belongs to."""
    return connection_named(version.name)


def connection_named(table: str) -> str:
    """Return the connection in the name of a normalized table."""
    return table.removeprefix(PREFIX).split("/", 1)[0]


def published_tables(
    tables: Tables, release: Release, currencies: Mapping[str, str] | None = None
) -> list[PublishedTable]:
    """Return the tables of a release: all common ones, be they empty, then the custom objects.

    Args:
        tables: where the versions are.
        release: names them.
        currencies: the main currency of each connection whose account tells it.
    """
    versions: dict[str, list[TableVersion]] = {name: [] for name in TABLES}
    for name in tables.names(PREFIX, release):
        version = tables.version(name, release)
        table = _table_of(version, release) if version is not None else None
        if version is not None and table is not None:
            versions.setdefault(table, []).append(version)
    plain = {name: _published(name, found, versions) for name, found in versions.items()}
    accounts = tuple(sorted((currencies or {}).items()))
    return [_finished(table, plain, accounts) for table in plain.values()]


def _table_of(version: TableVersion, release: Release) -> str | None:
    """Return the table of schema `crm` that holds the rows of a version; None where another has taken its place.

    Before there was a table of ours, an object's own table could have its name: it is published under the one that
    the object's table gets when it is built again, until then.
    """
    name = version.name.rsplit("/", 1)[1]
    common = TABLES.get(name)
    if common is not None and version.meta["table"]["singular"] == common.singular:
        return name
    if common is None and name not in DERIVED:
        return name
    renamed = custom_table_name(version.meta["objects"][0]["object"])
    folder = version.name.rsplit("/", 1)[0]
    return None if f"{folder}/{renamed}" in release.tables else renamed


def _finished(
    table: PublishedTable,
    others: Mapping[str, PublishedTable],
    accounts: tuple[tuple[str, str], ...],
) -> PublishedTable:
    finish = FINISHES.get(table.name)
    if finish is None or not table.versions:
        return table
    needed = {name: others[name] for name in finish.needs}
    known = accounts if "exchange_rates" in finish.needs else ()
    return replace(table, finish=finish, needed=needed, accounts=known)


def _published(
    name: str, versions: Sequence[TableVersion], others: Mapping[str, Sequence[TableVersion]]
) -> PublishedTable:
    common = TABLES.get(name)
    if common is not None:
        columns = tuple((c.name, c.type, c.description) for c in common.columns)
        found = tuple(
            Found(c.name, c.lookup, holding)
            for c in common.columns
            if c.lookup and (holding := _holding(c.lookup, others[c.lookup.table]))
        )
        return PublishedTable(name, common.description, columns, tuple(versions), found)
    # Connections may spell a column differently, which to DuckDB is one.
    described: dict[str, tuple[str, str, str]] = {}
    kinds: dict[str, set[str]] = {}
    for version in versions:
        for column in version.meta["columns"]:
            described.setdefault(column["name"].lower(), _column(column))
            kinds.setdefault(column["name"].lower(), set()).add(column["type"])
    columns = tuple(
        # Connections may disagree on the type of a custom field; text holds them all.
        (c, kind if len(kinds[c.lower()]) == 1 else "VARCHAR", about)
        for c, kind, about in described.values()
    )
    return PublishedTable(name, versions[0].meta["table"]["description"], columns, tuple(versions))


def _holding(lookup: Lookup, versions: Sequence[TableVersion]) -> tuple[TableVersion, ...]:
    """Return the versions in which a look-up can find something.

    Those of earlier releases may lack its columns. Where no field feeds the name that it goes by, joining would only
    cost.
    """
    needed = {lookup.name, lookup.value}
    able = (v for v in versions if needed <= {column["name"] for column in v.meta["columns"]})
    return tuple(v for v in able if lookup.name in v.meta.get("fed", ()))


def _column(column: Mapping[str, Any]) -> tuple[str, str, str]:
    return column["name"], column["type"], column["description"]
