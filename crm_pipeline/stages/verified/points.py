"""The contact points of the records that a build looks at, now and before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

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
_OLD = tuple(
    column.name
    for column in CONTACT_POINTS.columns
    if column.name not in {"normalized", "suggestion"}
)
"""The columns of the points as they were: the others are not needed, and are the longest."""


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
        before_base: called with a version before its base files are read.
    """

    engine: Engine
    sources: Sequence[Source]
    changed: str
    parent: TableVersion | None
    before_base: Callable[[TableVersion], None]

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
        live = source.live_of(self.engine, self.changed, lambda: self.before_base(source.version))
        return self.engine.table(name, f"SELECT {columns} FROM {live}")

    def _define_old(self) -> None:
        """Read the points that the changed records had."""
        if self.parent is not None:
            parent = self.parent
            rows = rows_of(
                self.engine,
                parent,
                self.changed,
                columns=_OLD,
                before_base=lambda: self.before_base(parent),
            )
            self.engine.table("old points", f"FROM {rows}")
        else:
            self.engine.table("old points", f"FROM {nothing_of(CONTACT_POINTS)}")

    @property
    def differing(self) -> str:
        """SQL for the keys of records that have other points than before.

        A text with several addresses has one point now, and had several: such a record counts as differing.
        """
        compared = "connection, table_name, record_key, kind, label, value, is_primary, region"
        place = "row_number() OVER (PARTITION BY record_key, kind ORDER BY number)"
        now = f"SELECT {compared}, {place} AS position FROM {self.new}"
        was = f"SELECT {compared}, position FROM {self.old}"
        return (
            f"SELECT record_key FROM ((({now}) EXCEPT ({was})) UNION ALL (({was}) EXCEPT ({now})))"
        )

    def narrow(self, changed: str) -> "Points":
        """Return the points of some of these records only, once they are read."""
        for relation in (self.new, self.old):
            self.engine.run(
                f"DELETE FROM {relation} WHERE record_key NOT IN (SELECT record_key FROM {changed})"
            )
        return replace(self, changed=changed)

    @property
    def kept(self) -> str:
        """SQL for the points of all other records; it reads the whole table."""
        if self.parent is None:
            return nothing_of(CONTACT_POINTS)
        return f"(FROM {Tables.relation(self.parent)} ANTI JOIN {self.changed} USING (record_key))"
