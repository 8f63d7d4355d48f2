"""Judge distinct values in batches, and load the verdicts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store.tables.engine import Engine

BATCH_VALUES = 100_000
"""So many values are judged at a time, which bounds the memory."""
_READ_VALUES = 1_000_000
"""So many values are taken out of DuckDB at a time."""

Verify = Callable[[pa.Table], pa.Table]
"""Returns the verdicts on distinct values: the columns of a verdict table without `rules_version` and `checked_at`."""


@dataclass(frozen=True)
class Verifiers:
    """How values are judged.

    Attributes:
        emails: for a table with the column `value`.
        phones: for a table with the columns `value` and `region`.
        regions_of: returns the ISO 3166 code of each country as records have it; NULL where it is not known.
        rules: version of all rules and lists; with another one everything is judged again.
        unsure: reasons with which a value is judged again soon, because somebody did not answer.
    """

    emails: Verify
    phones: Verify
    regions_of: Callable[[pa.Array], pa.Array]
    rules: str
    unsure: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expiry:
    """Which verdicts are not used any more.

    Attributes:
        before: the verdicts from before that time.
        unsure: reasons of verdicts that count for a shorter time.
        unsure_before: those from before that time.
    """

    before: datetime
    unsure: tuple[str, ...]
    unsure_before: datetime

    @property
    def condition(self) -> str:
        """SQL that is true for such a verdict."""
        old, soon = (
            f"{literal(at.isoformat())}::TIMESTAMPTZ" for at in (self.before, self.unsure_before)
        )
        if not self.unsure:
            return f"(checked_at < {old})"
        listed = ", ".join(map(literal, self.unsure))
        return (
            f"(checked_at < {old} OR (checked_at < {soon} AND list_has_any(reasons, [{listed}])))"
        )


def judged(  # noqa: PLR0917 - each argument is plain at the call
    engine: Engine,
    name: str,
    values: str,
    key: Sequence[str],
    verify: Verify,
    rules: str,
    now: datetime,
) -> tuple[str, int]:
    """Judge the values of a query; return the relation with the verdicts, and how many values there were.

    Args:
        engine: runs the SQL.
        name: of the relation.
        values: relation with the distinct values, and further columns that stay beside the verdicts.
        key: the columns of a value.
        verify: gives the verdicts.
        rules: the version of the rules.
        now: when they are judged.
    """
    stamp = (
        f"{literal(rules)} AS rules_version, {literal(now.isoformat())}::TIMESTAMPTZ AS checked_at"
    )
    listed = ", ".join(map(quoted, key))

    def verdicts(rows: pa.Table) -> str:
        made = engine.load("judged batch", verify(rows.select(list(key))))
        beside = engine.load("values of judged batch", rows)
        return f"SELECT *, {stamp} FROM {made} JOIN {beside} USING ({listed})"

    # An empty batch first, so that the relation has its columns.
    nothing = engine.arrow(f"FROM {values} LIMIT 0")
    relation = engine.table(name, verdicts(nothing))
    count = int(engine.row(f"SELECT count(*) FROM {values}")[0])
    parts = -(-count // _READ_VALUES)
    for part in range(parts):
        rows = engine.arrow(f"FROM {values} WHERE hash({listed}) % {parts} = {part}")
        for start in range(0, rows.num_rows, BATCH_VALUES):
            batch = verdicts(rows.slice(start, BATCH_VALUES))
            engine.run(f"INSERT INTO {relation} BY NAME {batch}")
    return relation, count


def regions(engine: Engine, countries: str, verifiers: Verifiers) -> str:
    """Return the relation with `country` and `region` for the countries of a query; unknown ones are left out."""
    rows = engine.arrow(countries)
    names = rows.column("country").combine_chunks()
    pairs = pa.table({"country": names, "region": verifiers.regions_of(names)})
    loaded = engine.load("regions", pairs)
    return engine.table("known regions", f"SELECT * FROM {loaded} WHERE region IS NOT NULL")
