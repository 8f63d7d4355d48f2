"""Which tables a release publishes, and the SQL that unions them over connections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_pipeline.model.tables import DELETED_SUFFIX, TABLES
from crm_pipeline.store.engine import quoted
from crm_pipeline.store.tables import Release, Tables, TableVersion

PREFIX = "normalized/"


@dataclass(frozen=True)
class PublishedTable:
    """One table of schema `crm`: the versions of all connections that have it.

    Attributes:
        columns: name, type and description of each column.
    """

    name: str
    description: str
    columns: tuple[tuple[str, str, str], ...]
    versions: tuple[TableVersion, ...]

    @property
    def deleted_name(self) -> str:
        """The table that holds the deleted records."""
        return f"{self.name}{DELETED_SUFFIX}"

    @property
    def identity(self) -> str:
        """A text that changes with any of the versions."""
        return ",".join(version.version for version in self.versions)

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
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(c)}" for c, kind, _ in self.columns)
        parts = [f"SELECT {empty} WHERE false"]
        parts.extend(f"SELECT * FROM {Tables.relation(version)}" for version in versions)
        listed = ", ".join(quoted(name) for name, _, _ in self.columns)
        return f"SELECT {listed} FROM ({' UNION ALL BY NAME '.join(parts)}) {condition}"


def connection_of(version: TableVersion) -> str:
    """Return the connection that a normalized version belongs to."""
    return version.name.removeprefix(PREFIX).split("/", 1)[0]


def published_tables(tables: Tables, release: Release) -> list[PublishedTable]:
    """Return the tables of a release: all common ones, be they empty, then the custom objects."""
    versions: dict[str, list[TableVersion]] = {name: [] for name in TABLES}
    for name in tables.names(PREFIX, release):
        version = tables.version(name, release)
        if version is not None:
            versions.setdefault(name.rsplit("/", 1)[1], []).append(version)
    return [_published(name, found) for name, found in versions.items()]


def _published(name: str, versions: Sequence[TableVersion]) -> PublishedTable:
    common = TABLES.get(name)
    if common is not None:
        columns = tuple((c.name, c.type, c.description) for c in common.columns)
        return PublishedTable(name, common.description, columns, tuple(versions))
    described: dict[str, tuple[str, str, str]] = {}
    for version in versions:
        for column in version.meta["columns"]:
            described.setdefault(column["name"], _column(column))
    kinds = {
        name: {c["type"] for v in versions for c in v.meta["columns"] if c["name"] == name}
        for name in described
    }
    columns = tuple(
        # Connections may disagree on the type of a custom field; text holds them all.
        (c, kind if len(kinds[c]) == 1 else "VARCHAR", about)
        for c, kind, about in described.values()
    )
    return PublishedTable(name, versions[0].meta["table"]["description"], columns, tuple(versions))


def _column(column: Mapping[str, Any]) -> tuple[str, str, str]:
    return column["name"], column["type"], column["description"]
