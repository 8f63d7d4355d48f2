"""Values that do not fit their column, by field and batch, compared with the other records of the table.

A value that does not fit is NULL in its column, named in `unconverted`, and kept as text in `custom`. A few such values are
a fact of many CRMs. Far more of them in the newest batches than in the others mean that the field is filled in another way.
Such a failure stays, with its batches, until their records are read again or mapped otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crm_pipeline.model.contracts import LIVE
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files

MAPPING = "mapping"
"""The entry in a version's meta."""
FEWEST = 10
"""So many values of the newest batches have to fail."""
TIMES, AT_LEAST = 3.0, 0.01
"""And a share of their records that is so many times that of the others, and higher by so much."""
NEWEST = 20
"""So many batches that came after the first load are the newest."""
_MOST_BATCHES = 200
_Counts = Mapping[str, int]
"""Numbers of records by batch."""


@dataclass(frozen=True)
class Failing:
    """A field of which far more values do not fit than before.

    Attributes:
        batches: in which they came.
        records: live records of these batches.
        failures: those of them whose value does not fit.
        share_before: of the records of other batches, when it was noticed.
    """

    object: str
    field: str
    batches: tuple[str, ...]
    records: int
    failures: int
    share_before: float

    def __str__(self) -> str:
        return (
            f"{self.failures:,} of {self.records:,} new records have a value of {self.object}.{self.field} that does not "
            f"fit its column, where {self.share_before:.1%} of the others have"
        )


def failing_in(version: TableVersion | None) -> tuple[Failing, ...]:
    """Return the fields of which far more values than before do not fit; none in versions of before that was counted."""
    stored = version.meta.get(MAPPING, {}).get("failing", ()) if version is not None else ()
    return tuple(Failing(**{**each, "batches": tuple(each["batches"])}) for each in stored)


@dataclass(frozen=True)
class Batches:
    """What is counted of a version by batch.

    Attributes:
        fresh: the batches that the version before had not, in their order.
        records: numbers of live records by object.
        failures: numbers of those whose value does not fit, by object and field.
    """

    fresh: Sequence[str]
    records: Mapping[str, _Counts]
    failures: Mapping[tuple[str, str], _Counts]


def counted(
    engine: Engine,
    paths: Sequence[Path],
    parent: TableVersion | None,
    unconverted: Mapping[str, int],
    *,
    is_parent_readable: bool,
) -> Batches:
    """Count the rows of a whole version by batch.

    Args:
        engine: runs the SQL.
        paths: the files of the version.
        parent: the version before.
        unconverted: the number of failures by `<object>.<field>`; without any, nothing is counted.
        is_parent_readable: whether its rows can be read; otherwise no batch counts as new.
    """
    fresh = _fresh(engine, paths, parent) if is_parent_readable else []
    if not unconverted:
        return Batches(fresh, {}, {})
    return Batches(fresh, _records(engine, paths), _failures(engine, paths))


def judged_mapping(batches: Batches, parent: TableVersion | None) -> dict[str, Any]:
    """Return for a version's meta which batches are the newest, and which fields fail far more often in them.

    Args:
        batches: what was counted of the version.
        parent: the version before.
    """
    before = list(parent.meta.get(MAPPING, {}).get("newest", ())) if parent is not None else []
    newest = [*before, *batches.fresh][-NEWEST:]
    records = batches.records
    old = {(each.object, each.field): each for each in failing_in(parent)}
    failing = []
    for (obj, field), failures in batches.failures.items():
        known = old.get((obj, field))
        aside = known.batches if known is not None else ()
        found = _compared((obj, field), newest, aside, records.get(obj, {}), failures)
        found = found or _still(known, records, failures)
        failing += [found] if found is not None else []
    return {"newest": newest, "failing": [asdict(each) for each in failing]}


def _compared(
    name: tuple[str, str],
    newest: Collection[str],
    aside: tuple[str, ...],
    records: _Counts,
    failures: _Counts,
) -> Failing | None:
    """Return the failure of a field in the newest batches; None where it fails about as often as in the others.

    Args:
        name: object and field.
        newest: the newest batches.
        aside: batches of which it is known that it fails in them.
        records: live records of the object by batch.
        failures: those of them whose value does not fit.
    """
    others = [batch for batch in records if batch not in newest and batch not in aside]
    rows, bad = _sum(records, newest), _sum(failures, newest)
    rows_before = _sum(records, others)
    if not rows_before or bad < FEWEST:
        return None
    share = _sum(failures, others) / rows_before
    if bad <= rows * max(TIMES * share, share + AT_LEAST):
        return None
    batches = [batch for batch in newest if failures.get(batch)]
    batches = sorted({*aside, *batches})[-_MOST_BATCHES:]
    return Failing(*name, tuple(batches), _sum(records, batches), _sum(failures, batches), share)


def _still(
    known: Failing | None, records: Mapping[str, _Counts], failures: _Counts
) -> Failing | None:
    """Return a failure of before with its numbers of today; None where most of it is gone."""
    if known is None or _sum(failures, known.batches) < FEWEST:
        return None
    of_object = records.get(known.object, {})
    counts = (_sum(of_object, known.batches), _sum(failures, known.batches))
    return Failing(known.object, known.field, known.batches, *counts, known.share_before)


def _sum(counts: _Counts, batches: Collection[str]) -> int:
    return sum(counts.get(batch, 0) for batch in batches)


def _fresh(engine: Engine, paths: Sequence[Path], parent: TableVersion | None) -> list[str]:
    """Return the batches that the version before had not, in their order; none for a first version."""
    if parent is None or not parent.base:
        return []
    batches = "SELECT DISTINCT batch_id FROM {}"
    new, old = map(batches.format, (parquet_files(list(paths)), Tables.relation(parent)))
    return [batch for (batch,) in engine.rows(f"{new} EXCEPT {old} ORDER BY 1")]


def _records(engine: Engine, paths: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Return the numbers of live records by object and batch."""
    counts: dict[str, dict[str, int]] = {}
    sql = f"SELECT object, batch_id, count(*) FROM {parquet_files(list(paths))} WHERE {LIVE} GROUP BY ALL"
    for obj, batch, count in engine.rows(sql):
        counts.setdefault(obj, {})[batch] = int(count)
    return counts


def _failures(engine: Engine, paths: Sequence[Path]) -> dict[tuple[str, str], dict[str, int]]:
    """Return the numbers of values that do not fit by object and field, and batch."""
    counts: dict[tuple[str, str], dict[str, int]] = {}
    listed = (
        f"SELECT object, batch_id, unnest(unconverted) AS field FROM {parquet_files(list(paths))}"
    )
    sql = (
        f"SELECT object, field, batch_id, count(*) FROM ({listed} WHERE unconverted IS NOT NULL AND {LIVE}) "
        "GROUP BY ALL ORDER BY ALL"
    )
    for obj, field, batch, count in engine.rows(sql):
        counts.setdefault((obj, field), {})[batch] = int(count)
    return counts
