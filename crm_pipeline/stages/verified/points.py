"""The contact points of the records that a build looks at, now and before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.model.names import quoted
from crm_pipeline.model.verified_tables import CONTACT_POINTS, StageTable
from crm_pipeline.stages.verified.sources import Source, countries_of
from crm_pipeline.stages.verified.verifiers import Verifiers, regions
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.lookup import rows_of

_JUDGED = frozenset({"position", "normalized", "verdict", "reasons", "suggestion"})
_READ = {
    **{column.name: column.type for column in CONTACT_POINTS.columns if column.name not in _JUDGED},
    "number": "BIGINT",
}
"""The columns of a point as it is read; `number` is its place among the record's fields of this kind."""


def _nothing(columns: Mapping[str, str]) -> str:
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
    return f"(SELECT {listed} WHERE false)"


def nothing_of(table: StageTable) -> str:
    """Return SQL for no rows of a table."""
    return _nothing({column.name: column.type for column in table.columns})


@dataclass(frozen=True)
class Points:
    """Contact points of changed records, as they are now and as the version before has them.

    Attributes:
        changed: relation with the keys of the records, `record_key`; "" for all.
        parent: the version before; None where nothing of it is kept.
    """

    engine: Engine
    sources: Sequence[Source]
    changed: str
    parent: TableVersion | None

    new = '"points"'
    """The relation with the points as they are now, without verdicts."""
    old = '"old points"'
    """The relation with the points as they were."""

    def define(self, verifiers: Verifiers, default_regions: Mapping[str, str]) -> None:
        """Read the points of the changed records."""
        rows = [(source, self._live(source)) for source in self.sources]
        known = regions(self.engine, countries_of(rows), verifiers)
        parts = [f"FROM {_nothing(_READ)}"]
        parts += [
            source.points(live, known, default_regions.get(source.connection, ""))
            for source, live in rows
        ]
        self._define_old()
        self.engine.table("points", " UNION ALL BY NAME ".join(f"({part})" for part in parts))

    def _live(self, source: Source) -> str:
        """Return SQL for the live rows of the changed records of a table; of a few, they are read once."""
        if not self.changed:
            return source.live
        name = f"changed rows of {source.version.name}"
        columns = source.columns_read
        return self.engine.table(
            name, f"SELECT {columns} FROM {source.live_of(self.engine, self.changed)}"
        )

    def _define_old(self) -> None:
        """Read the points that the changed records had."""
        if self.parent is not None:
            rows = rows_of(self.engine, self.parent, self.changed)
            self.engine.table("old points", f"FROM {rows}")
        else:
            self.engine.table("old points", f"FROM {nothing_of(CONTACT_POINTS)}")

    @property
    def kept(self) -> str:
        """SQL for the points of all other records; it reads the whole table."""
        if self.parent is None:
            return nothing_of(CONTACT_POINTS)
        return f"(FROM {Tables.relation(self.parent)} ANTI JOIN {self.changed} USING (record_key))"
