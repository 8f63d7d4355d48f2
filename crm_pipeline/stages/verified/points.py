"""The contact points of the records that a build looks at, now and before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.model.names import quoted
from crm_pipeline.model.verified_tables import CONTACT_POINTS
from crm_pipeline.stages.verified.sources import Source
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

_JUDGED = frozenset({"position", "normalized", "verdict", "reasons", "suggestion"})
_READ = {
    **{column.name: column.type for column in CONTACT_POINTS.columns if column.name not in _JUDGED},
    "number": "BIGINT",
}
"""The columns of a point as it is read; `number` is its place among the record's fields of this kind."""


def _nothing(columns: Mapping[str, str]) -> str:
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
    return f"(SELECT {listed} WHERE false)"


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
    nothing = _nothing({column.name: column.type for column in CONTACT_POINTS.columns})
    """SQL for no points with verdicts."""

    def define(self, regions: str, default_regions: Mapping[str, str]) -> None:
        """Read the points of the changed records."""
        parts = [f"FROM {_nothing(_READ)}"]
        parts += [
            source.points(self.changed, regions, default_regions.get(source.connection, ""))
            for source in self.sources
        ]
        self.engine.table("points", " UNION ALL BY NAME ".join(f"({part})" for part in parts))

    @property
    def old(self) -> str:
        """SQL for the points that the changed records had."""
        if self.parent is None:
            return self.nothing
        return f"(FROM {Tables.relation(self.parent)} SEMI JOIN {self.changed} USING (record_key))"

    @property
    def kept(self) -> str:
        """SQL for the points of all other records."""
        if self.parent is None:
            return self.nothing
        return f"(FROM {Tables.relation(self.parent)} ANTI JOIN {self.changed} USING (record_key))"
