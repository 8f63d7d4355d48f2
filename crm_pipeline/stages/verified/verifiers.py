"""Judge distinct values in batches, and load the verdicts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store.tables.engine import Engine

BATCH_VALUES = 100_000
"""So many values are judged at a time, which bounds the memory."""
_BATCH_BYTES = 1_500_000_000
"""Arrow's arrays of texts end at 2 GiB."""
_MOST_COPIES = 500
_MOST_COPIED_BYTES = 40_000_000
"""The most that the parts of one text copy of it, 4 bytes for a character; see `verification.parts`."""
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
        after: verdicts from after that time are of a clock that was wrong; they would outlive all others.
    """

    before: datetime
    unsure: tuple[str, ...]
    unsure_before: datetime
    after: datetime

    @property
    def condition(self) -> str:
        """SQL that is true for such a verdict."""
        old, soon, ahead = (
            f"{literal(at.isoformat())}::TIMESTAMPTZ"
            for at in (self.before, self.unsure_before, self.after)
        )
        is_out = f"checked_at < {old} OR checked_at > {ahead}"
        if not self.unsure:
            return f"({is_out})"
        listed = ", ".join(map(literal, self.unsure))
        return f"({is_out} OR (checked_at < {soon} AND list_has_any(reasons, [{listed}])))"


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
        for values_at_once in _batches(rows):
            batch = verdicts(values_at_once)
            engine.run(f"INSERT INTO {relation} BY NAME {batch}")
    return relation, count


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    """Yield values in batches of a limited number and, with the copies that parts of long texts have, of limited size."""
    lengths = np.asarray(pc.fill_null(pc.binary_length(rows["value"]), 0), np.int64)
    size = np.cumsum(np.maximum(lengths, np.minimum(lengths * _MOST_COPIES, _MOST_COPIED_BYTES)))
    start = 0
    while start < rows.num_rows:
        limit = (size[start - 1] if start else 0) + _BATCH_BYTES
        end = int(np.searchsorted(size, limit, "right"))
        end = max(start + 1, min(end, start + BATCH_VALUES))
        yield rows.slice(start, end - start)
        start = end


def regions(engine: Engine, countries: str, verifiers: Verifiers) -> str:
    """Return the relation with `country` and `region` for the countries of a query; unknown ones are left out."""
    rows = engine.arrow(countries)
    names = rows.column("country").combine_chunks()
    pairs = pa.table({"country": names, "region": verifiers.regions_of(names)})
    loaded = engine.load("regions", pairs)
    return engine.table("known regions", f"SELECT * FROM {loaded} WHERE region IS NOT NULL")
