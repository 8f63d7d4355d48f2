"""Find changes of a field that no description shows, by its values in records that were read again.

The rows of new batches are compared with the same rows of the version before. An edit changes a few values of a few
records; where one thing has happened to a field in most of them, the field itself has changed. At most
`SAMPLE_ROWS` rows are compared, so the cost does not depend on the size of the table.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

import pyarrow as pa

from crm_pipeline.kernel.change_kinds import ValueKind
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.stages.normalized.compared_values import (
    Value,
    day,
    instant,
    is_news,
    number,
    plain,
    within_python,
)
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.store.drift.register import Noticed
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

SAMPLE_ROWS = 500
LEAST_ROWS = 20
"""Fewer rows show nothing: a person may have edited ten records alike."""
_LEAST_CHANGED = 10
_MOST = 0.8
_NEW_ROWS = 50
_YOUNGEST = 100
_CATEGORIES = 20
_SEVERAL = 3
"""A conversion meets different values; one value that became another one in many records is a bulk edit."""
_ONE_DAY = timedelta(hours=26)
_KEY, _OBJECT, _CUSTOM = "_key", "object", "custom"
_NEW_BY_NATURE = frozenset({"modified_at"})
"""Columns that differ in every record that was read again: a bulk edit gives all one moment."""

Pair = tuple[Value, Value]


@dataclass
class FieldPairs:
    """The values of one field before and now, in the same records.

    Attributes:
        column: the column that it feeds; "" for a field in `custom`.
        pairs: the values of records that were there before; None for no value.
        fresh: the values of records that are new.
    """

    object: str
    name: str
    column: str
    pairs: list[Pair] = field(default_factory=list)
    fresh: list[Value] = field(default_factory=list)

    @property
    def both(self) -> list[Pair]:
        """The pairs in which both values are filled."""
        return [(old, new) for old, new in self.pairs if old is not None and new is not None]

    @property
    def changed(self) -> list[Pair]:
        """The pairs of different values."""
        return [(old, new) for old, new in self.both if old != new]

    def noticed(self, kind: ValueKind, text: str, **evidence: float | int | str) -> Noticed:
        """Return a fact about the field."""
        where = f"{self.object}.{self.name}"
        fact = FieldChange(
            self.object, self.name, kind, "", "", f"{where} {text}", is_loss=bool(self.column)
        )
        return Noticed(fact, {"records_compared": len(self.pairs), **evidence})


def changed_values(
    engine: Engine,
    feeds: Sequence[Feed],
    key: str,
    rows: str,
    parent: TableVersion | None,
    *,
    read_again: str = "",
    before: str = "",
) -> list[Noticed]:
    """Return what has happened to the values of fields since the version before.

    Args:
        engine: runs the SQL.
        feeds: the objects of the table, with their mappings.
        key: the key column of the table.
        rows: SQL for the rows of the new version, at least for those that were read again.
        parent: the version before.
        read_again: SQL for the rows of batches that the version before had not; "" where they have to be found.
        before: SQL for the rows that these records had; "" where they have to be found.
    """
    if parent is None or not parent.base:
        return []
    sample = _Sample(engine, key, rows, parent, read_again, before)
    if not sample.is_large_enough():
        return []
    facts = []
    filled = sample.filled_before()
    for pairs in sample.fields(feeds):
        of_field = [fact for find in _FINDERS for fact in find(pairs)]
        of_field += _unfilled(pairs, filled, sample)
        # Other words for all values are new values, too.
        facts += of_field or list(_new_category(pairs, sample))
    return facts


@dataclass(frozen=True)
class _Sample:
    engine: Engine
    key: str
    new: str
    parent: TableVersion
    read_again: str = ""
    before: str = ""

    @property
    def old(self) -> str:
        return Tables.relation(self.parent)

    def is_large_enough(self) -> bool:
        """Choose the rows to compare, those with a later modification first; say whether they are enough."""
        key = quoted(self.key)
        read_again = (
            self.read_again
            or f"(SELECT * FROM {self.new} ANTI JOIN (SELECT DISTINCT batch_id FROM {self.old}) USING (batch_id))"
        )
        self.engine.table(
            "rows read again",
            f"SELECT n.{key} AS {_KEY}, o.{key} IS NOT NULL AS was_there "
            f"FROM (SELECT {key}, modified_at FROM {read_again} WHERE is_deleted IS NOT TRUE) n "
            f"LEFT JOIN (SELECT {key}, modified_at FROM {self.before or self.old} WHERE is_deleted IS NOT TRUE) o "
            f"ON n.{key} = o.{key} "
            "ORDER BY was_there AND n.modified_at IS DISTINCT FROM o.modified_at DESC, "
            f"hash(n.{key}) LIMIT {SAMPLE_ROWS}",
        )
        [rows] = self.engine.row('SELECT count(*) FROM "rows read again"')
        return bool(rows >= LEAST_ROWS)

    def filled_before(self) -> Mapping[str, float]:
        """Return the share of filled rows of each column before, from the statistics of the files."""
        files = ", ".join(literal(str(path)) for path in (*self.parent.base, *self.parent.delta))
        rows = self.engine.rows(
            "SELECT path_in_schema, 1 - sum(stats_null_count) / sum(row_group_num_rows) "
            f"FROM parquet_metadata([{files}]) GROUP BY ALL HAVING count(stats_null_count) = count(*)"
        )
        return {str(name): float(share) for name, share in rows}

    def filled_lately(self, obj: str, column: str) -> float:
        """Return the share of filled values before in the youngest records: some fields are filled in the end."""
        [share] = self.engine.row(
            f"SELECT coalesce(avg(({quoted(column)} IS NOT NULL)::INTEGER), 0) FROM (SELECT {quoted(column)} "
            f"FROM {self.old} WHERE object = {literal(obj)} AND is_deleted IS NOT TRUE "
            f"ORDER BY created_at DESC NULLS LAST LIMIT {_YOUNGEST})"
        )
        return float(share)

    def categories(self, column: str) -> frozenset[str] | None:
        """Return the texts that a column had before, deleted rows included; None where they are many."""
        name = quoted(column)
        rows = self.engine.rows(
            f"SELECT DISTINCT {name} FROM {self.old} WHERE {name} IS NOT NULL LIMIT {_CATEGORIES + 1}"
        )
        return frozenset(str(row[0]) for row in rows) if len(rows) <= _CATEGORIES else None

    def fields(self, feeds: Sequence[Feed]) -> Iterator[FieldPairs]:
        """Yield the values of each source field, by object; a record counts once."""
        columns = {
            (feed.landed.object, column): source
            for feed in feeds
            for source, column in _compared(feed).items()
        }
        before = {str(row[_KEY]): row for row in self._rows(self.before or self.old)}
        found: dict[tuple[str, str], FieldPairs] = {}
        for row in self._rows(self.new):
            obj, old = str(row[_OBJECT]), before.get(str(row[_KEY]))
            now, then = _values(row, columns), _values(old, columns) if old else None
            for name in {**now, **(then or {})}:
                column, source = name
                pairs = found.setdefault((obj, source), FieldPairs(obj, source, column))
                if then is None:
                    pairs.fresh.append(now.get(name))
                else:
                    pairs.pairs.append((then.get(name), now.get(name)))
        yield from found.values()

    def _rows(self, relation: str) -> list[dict[str, Value]]:
        sql = (
            f"SELECT r.{quoted(self.key)} AS {_KEY}, r.* FROM {relation} r "
            f'SEMI JOIN "rows read again" s ON r.{quoted(self.key)} = s.{_KEY}'
        )
        found = self.engine.arrow(sql)
        columns = [within_python(column) for column in found.columns]
        rows: list[dict[str, Value]] = pa.table(columns, found.column_names).to_pylist()
        return rows


def _compared(feed: Feed) -> dict[str, str]:
    """Return the column in which each field is compared: of several the first one, an instant before its day."""
    fed = {
        entry.column: entry.source
        for entry in feed.mapped
        if not entry.at and entry.column not in _NEW_BY_NATURE
    }
    found: dict[str, str] = {}
    for column in sorted(feed.table.columns, key=lambda column: column.type == "DATE"):
        if column.name in fed:
            found.setdefault(fed[column.name], column.name)
    return found


def _values(
    row: Mapping[str, Value], columns: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], Value]:
    """Return the values of a row's fields by column and field; those in `custom` have the column ""."""
    obj = str(row[_OBJECT])
    values = {
        (column, columns[obj, column]): plain(value)
        for column, value in row.items()
        if (obj, column) in columns
    }
    text = row.get(_CUSTOM)
    rest = json.loads(str(text)) if text else {}
    return values | {("", str(name)): plain(value) for name, value in rest.items()}


def _emptied(pairs: FieldPairs) -> Iterator[Noticed]:
    had = [(old, new) for old, new in pairs.pairs if old is not None]
    lost = sum(new is None for _, new in had)
    if lost >= LEAST_ROWS and lost >= _MOST * len(had):
        text = f"is empty in {lost} of {len(had)} records that were read again and had a value"
        yield pairs.noticed(
            "emptied", text, records_with_a_value_before=len(had), records_emptied=lost
        )


def _unfilled(pairs: FieldPairs, filled: Mapping[str, float], sample: _Sample) -> Iterator[Noticed]:
    before = filled.get(pairs.column, 0.0)
    if len(pairs.fresh) < _NEW_ROWS or before < _MOST or any(v is not None for v in pairs.fresh):
        return
    if sample.filled_lately(pairs.object, pairs.column) < _MOST:
        return
    text = f"is empty in all {len(pairs.fresh)} new records, and is filled in {before:.0%} of the others"
    yield pairs.noticed(
        "unfilled", text, new_records=len(pairs.fresh), share_filled_before=round(before, 3)
    )


def _rescaled(pairs: FieldPairs) -> Iterator[Noticed]:
    numbers = [(o, n) for old, new in pairs.both if (o := number(old)) and (n := number(new))]
    ratios = [(old, new / old) for old, new in numbers if new != old]
    if len(ratios) < _LEAST_CHANGED or len(ratios) < len(numbers) / 2:
        return
    factor = median(ratio for _, ratio in ratios)
    if not 0 < factor < math.inf:
        return
    alike = [old for old, ratio in ratios if abs(ratio / factor - 1) < 0.001]
    if len(alike) >= _MOST * len(ratios) and len(set(alike)) >= _SEVERAL:
        text = f"is {factor:g} times its earlier value in {len(alike)} of {len(numbers)} records that were read again"
        yield pairs.noticed(
            "rescaled", text, new=f"{factor:g}", factor=factor, records_rescaled=len(alike)
        )


def _swapped(pairs: FieldPairs) -> Iterator[Noticed]:
    days = [(o, n) for old, new in pairs.both if (o := day(old)) and (n := day(new))]
    could = [(old, new) for old, new in days if old.day <= 12 and old.day != old.month]
    found = [old for old, new in could if (old.month, old.day) == (new.day, new.month)]
    swapped = len(found)
    if swapped < _LEAST_CHANGED or len(set(found)) < _SEVERAL:
        return
    if swapped >= _MOST * len(could):
        text = f"has day and month the other way round in {swapped} of {len(could)} records that were read again"
        yield pairs.noticed("day_and_month_swapped", text, records_swapped=swapped)


def _shifted(pairs: FieldPairs) -> Iterator[Noticed]:
    times = [(o, n) for old, new in pairs.both if (o := instant(old)) and (n := instant(new))]
    deltas = Counter(new - old for old, new in times if new != old)
    if deltas.total() < _LEAST_CHANGED or deltas.total() < len(times) / 2:
        return
    [(delta, alike)] = deltas.most_common(1)
    before = {old for old, new in times if new - old == delta}
    if len(before) < _SEVERAL:
        return
    if alike >= _MOST * deltas.total() and abs(delta) <= _ONE_DAY:
        hours = delta / timedelta(hours=1)
        text = f"is {hours:+g} hours from its earlier value in {alike} of {len(times)} records that were read again"
        yield pairs.noticed(
            "shifted", text, new=f"{hours:+g} h", hours=hours, records_shifted=alike
        )


def _truncated(pairs: FieldPairs) -> Iterator[Noticed]:
    texts = [(old, new) for old, new in pairs.both if isinstance(old, str) and isinstance(new, str)]
    cut = [(o, n) for o, n in texts if len(n) < len(o) and o.startswith(n.rstrip("…."))]
    if len(cut) < _LEAST_CHANGED or len({old for old, _ in cut}) < _SEVERAL:
        return
    longest = max(len(new) for _, new in cut)
    longer = [(old, new) for old, new in texts if len(old) > longest]
    if sum(len(new) >= longest - 3 for _, new in cut) >= _MOST * max(len(longer), len(cut)):
        text = f"is cut to {longest} characters in {len(cut)} of {len(longer)} records with a longer text"
        yield pairs.noticed(
            "truncated", text, new=str(longest), length=longest, records_cut=len(cut)
        )


def _constant(pairs: FieldPairs) -> Iterator[Noticed]:
    both = pairs.both
    values = {new for _, new in both}
    before = {old for old, _ in both}
    if len(values) != 1 or is_news(before, *values):
        return
    if len(both) >= LEAST_ROWS and len(before) >= len(both) / 4:
        text = (
            f"has one value in all {len(both)} records that were read again, and had {len(before)}"
        )
        yield pairs.noticed("constant", text, distinct_values_before=len(before))


def _translated(pairs: FieldPairs) -> Iterator[Noticed]:
    both, changed = pairs.both, pairs.changed
    texts = all(isinstance(old, str) and isinstance(new, str) for old, new in changed)
    became = dict(changed)
    before, now = set(became), set(became.values())
    if not texts or len(both) < LEAST_ROWS or len(changed) < _MOST * len(both):
        return
    is_one_to_one = len(set(changed)) == len(before) == len(now)
    # Where records move on from one stage to the next, the words are those of before.
    are_new = now.isdisjoint(old for old, _ in both)
    if (
        is_one_to_one
        and are_new
        and 2 <= len(before) <= _CATEGORIES
        and len(changed) >= 5 * len(before)
    ):
        text = f"has other words for all its {len(before)} values in {len(changed)} of {len(both)} records"
        yield pairs.noticed("translated", text, values=len(before), records_changed=len(changed))


def _new_category(pairs: FieldPairs, sample: _Sample) -> Iterator[Noticed]:
    """Compare the texts of a column with few different ones with all that it had before."""
    seen = {old for old, _ in pairs.both}
    now = Counter(new for _, new in pairs.pairs if new is not None)
    now.update(value for value in pairs.fresh if value is not None)
    fresh = {value: rows for value, rows in now.items() if value not in seen and rows >= 3}
    is_categorical = len(seen) <= _CATEGORIES and all(isinstance(value, str) for value in now)
    if not pairs.column or not fresh or not is_categorical:
        return
    before = sample.categories(pairs.column)
    unseen = [value for value in fresh if before and value not in before]
    if unseen and sample.parent.rows >= 10 * len(before or ()):
        rows = sum(fresh[value] for value in unseen)
        text = f"has {len(unseen)} values that it never had before, in {rows} records"
        yield pairs.noticed("new_category", text, new_values=len(unseen), records=rows)


_FINDERS: tuple[Callable[[FieldPairs], Iterator[Noticed]], ...] = (
    _emptied,
    _rescaled,
    _swapped,
    _shifted,
    _truncated,
    _constant,
    _translated,
)
