"""The tables that a release publishes, and the SQL that unions them over connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.stages import with_added
from crm_pipeline.model.table import Lookup
from crm_pipeline.model.tables import DELETED_SUFFIX, NOT_OF_OBJECTS, TABLES, custom_table_name
from crm_pipeline.stages.published.added import Added, added_to
from crm_pipeline.stages.published.finished import FINISHES, Finish
from crm_pipeline.store.tables import Release, Tables, TableVersion

PREFIX = "normalized/"
_KEY = "_key"
_NOT_FOLLOWING = frozenset({"deal_stage_history", "merges"})
"""Tables whose references stay: a deal's history is not that of the deal that it was merged into."""
_MORE_INDEX = 6
"""Index in a field of a version's meta at which rare properties follow, such as options."""


@dataclass(frozen=True)
class LookedUp:
    """A column whose values are looked up in another table, see `model.table.Lookup`.

    Attributes:
        versions: of the other table.
    """

    column: str
    lookup: Lookup
    versions: tuple[TableVersion, ...]

    @property
    def value(self) -> str:
        """SQL for the value: the row's own value, else the one looked up."""
        return f"coalesce(t.{quoted(self.column)}, {self._alias}.value)"

    @property
    def found(self) -> str:
        """SQL for the values that can be looked up: connection, name and value."""
        lookup = self.lookup
        listed = f"connection, {quoted(lookup.name)}"
        parts = " UNION ALL BY NAME ".join(
            f"SELECT {listed}, {quoted(lookup.value)} AS value FROM {Tables.relation(version)}"
            for version in self.versions
        )
        # Where two stages with one name have different values, either could be wrong: the value stays NULL.
        only = "CASE WHEN count(DISTINCT value) = 1 THEN min(value) END"
        return f"SELECT {listed}, {only} AS value FROM ({parts}) GROUP BY ALL"

    @property
    def join(self) -> str:
        """SQL that joins the looked-up value; it gives at most one row for each row of the table."""
        on = (
            f"{self._alias}.connection = t.connection AND "
            f"{self._alias}.{quoted(self.lookup.name)} = t.{quoted(self.lookup.by)}"
        )
        return f" LEFT JOIN ({self.found}) {self._alias} ON {on}"

    @property
    def _alias(self) -> str:
        return quoted(f"looked up {self.column}")


@dataclass(frozen=True)
class Followed:
    """The merges that references follow: the keys of records that were merged away, each with its survivor's.

    Attributes:
        relation: has `old_key` and `new_key`, each old key once.
        identity: a text that changes with its rows.
    """

    relation: str
    identity: str


@dataclass(frozen=True)
class PublishedTable:
    """One table of schema `crm`: the versions of all connections that have it.

    Attributes:
        columns: name, type and description of each column.
        looked_up: the columns that are looked up in other tables.
        added: the columns that live rows get from tables of stages across connections.
        finish: how further columns are computed from several tables.
        needed: the tables that `finish` needs.
        accounts: the main currency of each connection whose account states it.
        given: a relation with those rows of the versions that count; "" counts all.
        followed: the merges that its references follow; None where nothing was merged.
    """

    name: str
    description: str
    columns: tuple[tuple[str, str, str], ...]
    versions: tuple[TableVersion, ...]
    looked_up: tuple[LookedUp, ...] = ()
    added: tuple[Added, ...] = ()
    finish: Finish | None = None
    needed: Mapping[str, "PublishedTable"] = field(default_factory=dict)
    accounts: tuple[tuple[str, str], ...] = ()
    given: str = ""
    followed: Followed | None = None

    @property
    def key(self) -> str:
        """The key column."""
        return self.columns[3][0]

    @property
    def references(self) -> tuple[str, ...]:
        """The columns with keys of other records that follow merges; beside each stands the id as the CRM has it."""
        if self.name in _NOT_FOLLOWING:
            return ()
        names = {name for name, _, _ in self.columns} - {column.column for column in self.looked_up}
        return tuple(
            name
            for name, _, _ in self.columns
            if name.endswith(_KEY)
            and name in names
            and f"{name.removesuffix(_KEY)}_source_id" in names
        )

    @property
    def deleted_name(self) -> str:
        """The table that holds the deleted records."""
        return f"{self.name}{DELETED_SUFFIX}"

    @property
    def identity(self) -> str:
        """A text that changes when any source of the rows changes."""
        others = [version for column in self.looked_up for version in column.versions]
        needed = [version for table in self.needed.values() for version in table.versions]
        made = [column.version for column in self.added]
        versions = [*self.versions, *others, *made, *needed]
        currencies = [f"{connection}={currency}" for connection, currency in self.accounts]
        merges = [self.followed.identity] if self.followed else []
        return ",".join((*(version.version for version in versions), *currencies, *merges))

    @property
    def all_rows(self) -> str:
        """SQL for all rows as they were normalized, in the table's columns."""
        return self._union(self.versions)

    def published_rows(self, crm: str) -> str:
        """Return SQL for all rows as a file has them, the deleted ones included; `crm` is its schema."""
        names = (self.name, self.deleted_name)
        return " UNION ALL BY NAME ".join(f"FROM {crm}.{quoted(name)}" for name in names)

    @property
    def live_sql(self) -> str:
        """SQL for the live rows, in the table's columns."""
        condition = "WHERE NOT is_deleted" if self.has_deleted else ""
        return self._sql(condition, self.versions, self.added)

    def parts(self, at_once: int) -> list["PublishedTable"]:
        """Return tables that have its rows together, each about so many; one if nothing is joined to them by record."""
        count = -(-sum(version.rows for version in self.versions) // at_once)
        if count <= 1 or not self.added:
            return [self] if self.versions else []
        return [self._part(number, count) for number in range(count)]

    def _part(self, number: int, count: int) -> "PublishedTable":
        def of_part(rows: str, key: str) -> str:
            return f"(SELECT * FROM {rows} WHERE hash({quoted(key)}) % {count} = {number})"

        points = (
            replace(columns, given=of_part(Tables.relation(columns.version), "record_key"))
            for columns in self.added
        )
        rows = of_part(f"({self._union(self.versions)})", self.key)
        return replace(self, given=rows, added=tuple(points))

    @property
    def deleted_sql(self) -> str:
        """SQL for the deleted rows, in the table's columns."""
        return self._sql("WHERE is_deleted", self.versions if self.has_deleted else ())

    @property
    def has_deleted(self) -> bool:
        """Whether there are deleted rows."""
        return any(version.rows != version.meta["live"] for version in self.versions)

    def _sql(
        self, condition: str, versions: Sequence[TableVersion], added: Sequence[Added] = ()
    ) -> str:
        if not versions:  # joins with other tables would only take time
            return self._no_rows
        values = {column.column: column.value for column in self.looked_up}
        for columns in added:
            values |= columns.values
        followed = ""
        for name in self.references if self.followed else ():
            assert self.followed is not None
            alias = quoted(f"survivor of {name}")
            values[name] = f"coalesce({alias}.new_key, t.{quoted(name)})"
            followed += (
                f" LEFT JOIN {self.followed.relation} {alias} ON {alias}.old_key = t.{quoted(name)}"
            )
        listed = ", ".join(
            f"{values[name]} AS {quoted(name)}" if name in values else f"t.{quoted(name)}"
            for name, _, _ in self.columns
        )
        joins = "".join([*(c.join for c in self.looked_up), *(c.join for c in added)])
        source = f"({self._union(versions)}) t{joins}{followed}"
        rows = f"SELECT {listed} FROM {source} {condition.replace('is_deleted', 't.is_deleted')}"
        return rows if self.finish is None else self._finished(rows, self.finish)

    def _finished(self, rows: str, finish: Finish) -> str:
        sources = {name: table.all_rows for name, table in self.needed.items()}
        options = self.options(finish.by) if finish.by else ()
        own = {
            "rows": rows,
            "options": _values(("connection", "object", "value", "label"), options),
            "accounts": _values(("connection", "currency"), self.accounts),
        }
        return finish.sql({**sources, **own}, [quoted(name) for name, _, _ in self.columns])

    def _union(self, versions: Sequence[TableVersion]) -> str:
        parts = [self._no_rows]
        if self.given and versions:
            parts.append(f"SELECT * FROM {self.given}")
        else:
            parts.extend(f"SELECT * FROM {Tables.relation(version)}" for version in versions)
        return " UNION ALL BY NAME ".join(parts)

    @property
    def _no_rows(self) -> str:
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(c)}" for c, kind, _ in self.columns)
        return f"SELECT {empty} WHERE false"

    def options(self, column: str) -> list[tuple[str, str, str, str]]:
        """Return connection, object, value and label of the pick lists that feed a column."""
        return [
            (connection_of(version), described["object"], value, label)
            for version in self.versions
            for described in version.meta["objects"]
            for entry in described["fields"]
            if entry[4] == column and len(entry) > _MORE_INDEX
            for value, label in dict(entry[_MORE_INDEX].get("options", ())).items()
        ]


def _values(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> str:
    """Return SQL for rows of text."""
    if not rows:
        return (
            f"SELECT {', '.join(f'CAST(NULL AS VARCHAR) AS {name}' for name in names)} WHERE false"
        )
    listed = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
    return f"SELECT * FROM (VALUES {listed}) listed({', '.join(names)})"


def connection_of(version: TableVersion) -> str:
    """Return the connection that a normalized version belongs to."""
    return version.name.removeprefix(PREFIX).split("/", 1)[0]


def connections_of(release: Release) -> set[str]:
    """Return the connections of a release's normalized tables; tables of later stages belong to no single one."""
    names = (name for name in release.tables if name.startswith(PREFIX))
    return {name.removeprefix(PREFIX).split("/", 1)[0] for name in names}


def published_tables(
    tables: Tables, release: Release, currencies: Mapping[str, str] | None = None
) -> list[PublishedTable]:
    """Return the tables of a release: all common ones, even if empty, then those of custom objects.

    Args:
        tables: with the versions.
        release: names the versions.
        currencies: the main currency of each connection whose account states it.
    """
    versions: dict[str, list[TableVersion]] = {name: [] for name in TABLES}
    for name in tables.names(PREFIX, release):
        version = tables.version(name, release)
        table = _table_of(version, release) if version is not None else None
        if version is not None and table is not None:
            versions.setdefault(table, []).append(version)
    plain = {name: _published(name, own, versions) for name, own in versions.items()}
    for name, own in versions.items():
        if own:
            plain[name] = replace(plain[name], added=added_to(name, tables, release))
    accounts = tuple(sorted((currencies or {}).items()))
    return [_finished(table, plain, accounts) for table in plain.values()]


def _table_of(version: TableVersion, release: Release) -> str | None:
    """Return the table of schema `crm` that holds the rows of a version; None where a newer version replaces it.

    Versions from before a common table existed may have its name, though they are of a custom object. Until such an
    object is built again, it is published under the name that its table will get then.
    """
    name = version.name.rsplit("/", 1)[1]
    common = TABLES.get(name)
    if common is not None and version.meta["table"]["singular"] == common.singular:
        return name
    if common is None and name not in NOT_OF_OBJECTS:
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
    used = accounts if "exchange_rates" in finish.needs else ()
    return replace(table, finish=finish, needed=needed, accounts=used)


def _published(
    name: str, versions: Sequence[TableVersion], others: Mapping[str, Sequence[TableVersion]]
) -> PublishedTable:
    common = TABLES.get(name)
    if common is not None:
        columns = tuple((c.name, c.type, c.description) for c in with_added(name, common.columns))
        looked_up = tuple(
            LookedUp(c.name, c.lookup, holding)
            for c in common.columns
            if c.lookup and (holding := _holding(c.lookup, others[c.lookup.table]))
        )
        return PublishedTable(name, common.description, columns, tuple(versions), looked_up)
    # Connections may differ in the case of a column's name, which DuckDB ignores.
    described: dict[str, tuple[str, str, str]] = {}
    kinds: dict[str, set[str]] = {}
    for version in versions:
        for column in version.meta["columns"]:
            described.setdefault(column["name"].lower(), _column(column))
            kinds.setdefault(column["name"].lower(), set()).add(column["type"])
    columns = tuple(
        # Connections may disagree on the type of a custom field; text can hold any of them.
        (c, kind if len(kinds[c.lower()]) == 1 else "VARCHAR", about)
        for c, kind, about in described.values()
    )
    return PublishedTable(name, versions[0].meta["table"]["description"], columns, tuple(versions))


def _holding(lookup: Lookup, versions: Sequence[TableVersion]) -> tuple[TableVersion, ...]:
    """Return the versions in which a look-up can find values.

    Versions of earlier releases may lack its columns. In versions where no field feeds the looked-up name a join
    would be wasted.
    """
    needed = {lookup.name, lookup.value}
    able = (v for v in versions if needed <= {column["name"] for column in v.meta["columns"]})
    return tuple(v for v in able if lookup.name in v.meta.get("fed", ()))


def _column(column: Mapping[str, Any]) -> tuple[str, str, str]:
    return column["name"], column["type"], column["description"]
