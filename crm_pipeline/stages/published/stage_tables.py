"""The tables of stages across connections, as they are published: live rows of all connections, one version each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import quoted
from crm_pipeline.model.stages import stored_tables
from crm_pipeline.model.verified_tables import StageTable
from crm_pipeline.store.tables import Release, Tables, TableVersion

STORED = frozenset(name for _, _, name in stored_tables())
"""The names under which the store keeps them."""


@dataclass(frozen=True)
class StageRows:
    """One table of schema `crm` that a stage made; it is empty where the stage has not run yet."""

    table: StageTable
    version: TableVersion | None

    @property
    def name(self) -> str:
        """The table's name in schema `crm`."""
        return self.table.name

    @property
    def description(self) -> str:
        """The comment on the table."""
        return self.table.description

    @property
    def columns(self) -> tuple[tuple[str, str, str], ...]:
        """Name, type and description of each column."""
        return tuple((c.name, c.type, c.description) for c in self.table.columns)

    @property
    def versions(self) -> tuple[TableVersion, ...]:
        """The version, if there is one."""
        return () if self.version is None else (self.version,)

    @property
    def identity(self) -> str:
        """A text that changes when the rows may have changed."""
        return fingerprint([self.columns, [version.version for version in self.versions]])

    @property
    def sql(self) -> str:
        """SQL for the rows, in the table's columns; those that a version lacks are NULL."""
        return self.with_rows(*(Tables.relation(version) for version in self.versions))

    def with_rows(self, *relations: str) -> str:
        """Return SQL for rows of the version, in the table's columns; those that they lack are NULL."""
        empty = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(c)}" for c, kind, _ in self.columns)
        parts = [f"SELECT {empty} WHERE false"]
        parts.extend(f"SELECT * FROM {relation}" for relation in relations)
        listed = ", ".join(quoted(name) for name, _, _ in self.columns)
        return f"SELECT {listed} FROM ({' UNION ALL BY NAME '.join(parts)})"

    @property
    def same(self) -> Path | None:
        """The file that holds exactly these rows; None where there is none."""
        version = self.version
        if version is None or len(version.base) != 1 or version.delta or version.tombstones:
            return None
        held = [(column["name"], column["type"]) for column in version.meta["columns"]]
        wanted = [(name, kind) for name, kind, _ in self.columns]
        return version.base[0] if held == wanted else None


def stage_tables(tables: Tables, release: Release) -> Sequence[StageRows]:
    """Return the tables of all stages across connections, in the order of the stages."""
    return [StageRows(table, tables.version(name, release)) for _, table, name in stored_tables()]
