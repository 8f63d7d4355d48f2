"""Compare a sweep with what landing folds to, by set operations on ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from crm_pipeline.kernel.clock import Month, Window, format_instant
from crm_pipeline.model.names import literal
from crm_pipeline.stages.raw.audit.landed import LandedKeys
from crm_pipeline.stages.raw.audit.sweep import Swept
from crm_pipeline.store.tables.engine import Engine


@dataclass(frozen=True)
class Difference:
    """How a sweep differs from what has landed, before anybody has asked about single records.

    Each table has `id`, `crm_at` and `our_at`, the modification times on both sides.

    Attributes:
        missing: in the CRM, and not here.
        stale: on both sides, with other modification times.
        ghosts: here, and not in the CRM.
        with_us: live records here in the window of the sweep.
        in_crm: live records of the sweep.
        months: both numbers by month of modification; the first one holds everything older.
    """

    missing: pa.Table
    stale: pa.Table
    ghosts: pa.Table
    with_us: int
    in_crm: int
    months: Mapping[str, tuple[int, int]]

    def month_of(self, first: Month) -> dict[str, str]:
        """Return the month of each record that differs: in the CRM, or here where the CRM has it no more."""
        months = {}
        for table in (self.ghosts, self.stale, self.missing):
            rows = table.to_pylist()
            for row in rows:
                at = row["crm_at"] or row["our_at"]
                months[row["id"]] = str(max(first, Month.of(at)) if at else first)
        return months


def difference(engine: Engine, swept: Swept, landed: LandedKeys, first: Month) -> Difference:
    """Return how a sweep differs from what has landed.

    Args:
        engine: runs the SQL.
        swept: a complete sweep.
        landed: the live records here, of all months.
        first: month of the connection.
    """
    crm = engine.table("audit crm", f"SELECT * FROM {swept.relation}")
    ours = engine.view("audit ours", f"SELECT * FROM {landed.relation}")
    inside = engine.view("audit inside", f"SELECT * FROM {ours} WHERE {within(swept.window)}")
    nothing = "NULL::TIMESTAMPTZ"
    missing = f"SELECT id, modified_at AS crm_at, {nothing} AS our_at FROM {crm} ANTI JOIN {ours} USING (id)"
    ghosts = f"SELECT id, {nothing} AS crm_at, modified_at AS our_at FROM {inside} ANTI JOIN {crm} USING (id)"
    stale = (
        f"SELECT id, c.modified_at AS crm_at, o.modified_at AS our_at FROM {crm} AS c JOIN {ours} AS o USING (id) "
        "WHERE c.modified_at <> o.modified_at"
    )
    return Difference(
        missing=engine.arrow(f"{missing} ORDER BY id"),
        stale=engine.arrow(f"{stale} ORDER BY id"),
        ghosts=engine.arrow(f"{ghosts} ORDER BY id"),
        with_us=int(engine.row(f"SELECT count(*) FROM {inside}")[0]),
        in_crm=int(engine.row(f"SELECT count(*) FROM {crm}")[0]),
        months=_months(engine, crm, inside, first),
    )


def _months(engine: Engine, crm: str, ours: str, first: Month) -> dict[str, tuple[int, int]]:
    month = f"greatest(strftime(modified_at AT TIME ZONE 'UTC', '%Y-%m'), {literal(str(first))})"
    rows = engine.rows(
        "SELECT month, sum(in_crm), sum(1 - in_crm) FROM ("
        f"SELECT {month} AS month, 1 AS in_crm FROM {crm} UNION ALL SELECT {month}, 0 FROM {ours}) GROUP BY month"
    )
    return {str(name): (int(in_crm), int(with_us)) for name, in_crm, with_us in rows}


def still_alive(
    engine: Engine, landed: LandedKeys, ids: Sequence[str]
) -> dict[str, datetime | None]:
    """Return those of some ids that are alive here, with their modification times."""
    if not ids:
        return {}
    asked = engine.load("audit asked", pa.table({"id": pa.array(ids, pa.string())}))
    rows = engine.rows(
        f"SELECT id, modified_at FROM {landed.relation} SEMI JOIN {asked} USING (id)"
    )
    return {str(one): at for one, at in rows}


def ids_of(table: pa.Table) -> list[str]:
    """Return the ids of a table of differences; those that differ are few, or the sweep is not believed."""
    ids: list[str] = table.column("id").to_pylist()
    return ids


def within(window: Window) -> str:
    """Return SQL for a modification time in a window; one without begin holds records without a time as well."""
    before = f"modified_at < TIMESTAMPTZ {literal(format_instant(window.to_at))}"
    if window.from_at is None:
        return f"(modified_at IS NULL OR {before})"
    return f"(modified_at >= TIMESTAMPTZ {literal(format_instant(window.from_at))} AND {before})"
