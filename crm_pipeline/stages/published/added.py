"""Columns that stages across connections add to published tables, see `model.stages.Stage.adds`.

A value belongs to a record's own text, not to the record: after a change in the CRM the verdict on the old address
must not stand beside the new one. So rows are joined by the record's key and by the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.stages import STAGES, VERIFIED
from crm_pipeline.model.tables import TABLES
from crm_pipeline.model.verified_tables import CONTACT_POINTS, EMAIL, PHONE
from crm_pipeline.store.tables import Release, Tables, TableVersion

SOURCES: Mapping[str, tuple[str, str]] = {
    "email_verdict": (EMAIL, "verdict"),
    "email_normalized": (EMAIL, "normalized"),
    "phone_verdict": (PHONE, "verdict"),
    "phone_e164": (PHONE, "normalized"),
}
"""For each added column, the kind of contact point and the column of `contact_points` that it is taken from."""


@dataclass(frozen=True)
class Added:
    """The columns that are added behind one column of a table.

    Attributes:
        table: the table of schema `crm`.
        by: its column with the texts that were judged.
        columns: the names of the added columns.
        version: of `contact_points`.
        given: a relation with those contact points that count; "" counts all of the version.
    """

    table: str
    by: str
    columns: tuple[str, ...]
    version: TableVersion
    given: str = ""

    @property
    def values(self) -> dict[str, str]:
        """SQL for the value of each column."""
        return {name: f"{self._alias}.{SOURCES[name][1]}" for name in self.columns}

    @property
    def join(self) -> str:
        """SQL that joins the contact points; it gives at most one row for each row of the table."""
        kind = SOURCES[self.columns[0]][0]
        key = quoted(TABLES[self.table].key)
        # A field may hold several addresses: the first counts.
        points = (
            f"SELECT record_key, value, verdict, normalized FROM {self.given or Tables.relation(self.version)} "
            f"WHERE is_primary AND kind = {literal(kind)} AND table_name = {literal(self.table)} "
            "QUALIFY row_number() OVER (PARTITION BY record_key, value ORDER BY position) = 1"
        )
        on = f"{self._alias}.record_key = t.{key} AND {self._alias}.value = t.{quoted(self.by)}"
        return f" LEFT JOIN ({points}) {self._alias} ON {on}"

    @property
    def _alias(self) -> str:
        return quoted(f"added behind {self.by}")


def added_to(table: str, tables: Tables, release: Release) -> tuple[Added, ...]:
    """Return the columns that a release's stages add to a table; none where a stage has not run yet."""
    adds = {by: columns for stage in STAGES for by, columns in stage.adds.get(table, {}).items()}
    if not adds:
        return ()
    version = tables.version(VERIFIED.stored_name(CONTACT_POINTS.name), release)
    if version is None:
        return ()
    return tuple(
        Added(table, by, tuple(column.name for column in columns), version)
        for by, columns in adds.items()
    )
