"""Lists that one read emptied for many records at once: a vendor that could not say, or a login that may not see.

An empty list removes the rows that were made of it, which is right for one record and suspicious for many:
nobody takes the links of a thousand records away within one read. So the lists of before stay, until a read
has others or a person believes the empty ones (`crm-pipeline accept-shrink`). Of a list that holds elements of
several kinds, such as links to several objects, each kind counts by itself. What is believed is derived from
what has landed, each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine


@dataclass(frozen=True)
class Doubt:
    """Empty lists of one read that are not believed.

    Attributes:
        object: whose records they are of.
        list: where in the records they stand, with dots.
        kind: of the elements that are gone; "" where a list holds one kind.
        window_id: of the read.
        records: how many records lack them.
        rows: how many rows stay because of it.
    """

    object: str
    list: str
    kind: str
    window_id: str
    records: int
    rows: int

    def __str__(self) -> str:
        kind = f" of '{self.kind}'" if self.kind else ""
        return (
            f"one read of {self.object} emptied '{self.list}'{kind} of many records at once: that is not "
            f"believed, {self.rows:,} rows of {self.records:,} records stay"
        )


def ranked(engine: Engine, one: ObjectInput, *, lists: str, repeated: str, order: str) -> str:
    """Define the versions of the lists of records that landed more than once.

    It has `_source_id`, `_batch_id`, `_row`, `_rank` (1 is the newest) and `_kinds`, the kind of each element.
    """
    kinds = f"list_transform(_elements, lambda x: {_kind(one, 'x')})"
    return engine.table(
        f"{one.name} ranked lists",
        f"SELECT _source_id, _batch_id, _row, {kinds} AS _kinds, row_number() OVER "
        f"(PARTITION BY _source_id ORDER BY _modified_at DESC NULLS LAST, _extracted_at DESC, _sequence DESC, "
        f"_row DESC) AS _rank FROM {lists} AS l JOIN {order} AS b USING (_batch_id) "
        f"SEMI JOIN {repeated} AS r ON hash(l._source_id) = r._hash",
    )


def kept(engine: Engine, one: ObjectInput, versions: str) -> str | None:
    """Define what is kept of older lists: `_batch_id`, `_row` and `_kind`; None where nothing is.

    Args:
        engine: where to.
        one: the object.
        versions: what `ranked` has defined.
    """
    name = one.name
    _load_reads(engine, one)
    sizes = engine.table(
        f"{name} list sizes",
        f"SELECT _source_id, _rank, _kind, count(*) AS _size FROM "
        f"(SELECT _source_id, _rank, unnest(_kinds) AS _kind FROM {versions}) GROUP BY ALL",
    )
    # A kind that the newest list lacks went with the version behind the last one that has it.
    ended = engine.table(
        f"{name} ended lists",
        f"SELECT _source_id, _kind, min(_rank) AS _full, arg_min(_size, _rank) AS _rows FROM {sizes} "
        f"GROUP BY ALL HAVING min(_rank) > 1",
    )
    if not engine.rows(f"SELECT 1 FROM {ended} LIMIT 1"):
        return None
    doubts = _doubted(engine, one, versions=versions, sizes=sizes, ended=ended)
    if not doubts:
        return None
    doubted = engine.load(_name(one), _table(doubts))
    return engine.table(
        f"{name} kept lists",
        f"SELECT v._batch_id, v._row, _kind FROM {ended} AS e "
        f"JOIN {_with_window(versions, one)} AS w ON w._source_id = e._source_id AND w._rank = _full - 1 "
        f"SEMI JOIN {doubted} USING (_window_id, _kind) "
        f"JOIN {versions} AS v ON v._source_id = e._source_id AND v._rank = _full",
    )


def of_kind(one: ObjectInput, elements: str, kind: str) -> str:
    """Return SQL for the elements of one kind."""
    return f"list_filter({elements}, lambda x: {_kind(one, 'x')} = {kind})"


def doubts_of(engine: Engine, one: ObjectInput) -> list[Doubt]:
    """Return what was doubted when the lists of an object were defined."""
    there = f"SELECT 1 FROM duckdb_tables() WHERE table_name = {literal(_name(one))}"
    if not engine.rows(there):
        return []
    found = engine.rows(
        f"SELECT _window_id, _kind, _records, _rows FROM {quoted(_name(one))} ORDER BY ALL"
    )
    return [_doubt(one, *row) for row in found]


def doubts_in(version: TableVersion) -> tuple[Doubt, ...]:
    """Return what was doubted when a version was built; versions of before there was any say nothing."""
    return tuple(Doubt(**raw) for raw in version.meta.get("doubts", ()))


def _doubted(
    engine: Engine, one: ObjectInput, *, versions: str, sizes: str, ended: str
) -> list[Doubt]:
    """Return the reads that took a kind from too many lists, by those that they had to leave alone."""
    reads = _with_window(versions, one)
    counted = engine.rows(
        f"WITH then_ AS (SELECT _window_id, b._kind, count(*) AS lists, sum(b._size)::BIGINT AS rows, "
        f"count(*) FILTER (WHERE n._size IS NULL) AS lost, "
        f"coalesce(sum(b._size) FILTER (WHERE n._size IS NULL), 0)::BIGINT AS lost_rows FROM {reads} AS w "
        f"JOIN {sizes} AS b ON b._source_id = w._source_id AND b._rank = w._rank + 1 "
        f"LEFT JOIN {sizes} AS n ON n._source_id = w._source_id AND n._rank = w._rank AND n._kind = b._kind "
        f"GROUP BY ALL), now_ AS (SELECT _window_id, _kind, count(*) AS records, sum(_rows)::BIGINT AS kept "
        f"FROM {ended} AS e JOIN {reads} AS w ON w._source_id = e._source_id AND w._rank = _full - 1 GROUP BY ALL) "
        f"SELECT _window_id, _kind, records, kept, lists, rows, lost, lost_rows "
        f"FROM now_ JOIN then_ USING (_window_id, _kind)"
    )
    found = []
    for window, kind, records, rows, lists, all_rows, lost, lost_rows in counted:
        # What it emptied then counts, however many have a list again by now.
        is_too_much = one.bounds.exceeded(lost, lists)
        # A whole read has all the lists that there are: few records may hold many rows, as pipelines do.
        if window in one.whole:
            is_too_much |= one.bounds.exceeded(lost_rows, all_rows) or lost == lists
        if is_too_much and window not in one.accepted:
            found.append(_doubt(one, window, kind, records, rows))
    return found


def _with_window(versions: str, one: ObjectInput) -> str:
    """Return SQL for the versions with the read that each is of."""
    return f"(SELECT * FROM {versions} JOIN {quoted(_reads(one))} USING (_batch_id))"


def _load_reads(engine: Engine, one: ObjectInput) -> None:
    """Name the read that each batch belongs to."""
    windows = pa.array([batch.window_id for batch in one.batches], pa.string())
    batches = pa.array([batch.batch_id for batch in one.batches], pa.string())
    engine.load(_reads(one), pa.table({"_batch_id": batches, "_window_id": windows}))


def _kind(one: ObjectInput, element: str) -> str:
    key = one.entry.kind
    return f"coalesce({element} ->> {literal(key)}, '')" if key else "''"


def _doubt(one: ObjectInput, window: str, kind: str, records: int, rows: int) -> Doubt:
    return Doubt(one.object, ".".join(one.entry.each), kind, window, records, rows)


def _reads(one: ObjectInput) -> str:
    return f"{one.name} reads"


def _name(one: ObjectInput) -> str:
    return f"{one.name} doubts"


def _table(doubts: Sequence[Doubt]) -> pa.Table:
    return pa.table(
        {
            "_window_id": pa.array([doubt.window_id for doubt in doubts], pa.string()),
            "_kind": pa.array([doubt.kind for doubt in doubts], pa.string()),
            "_records": pa.array([doubt.records for doubt in doubts], pa.int64()),
            "_rows": pa.array([doubt.rows for doubt in doubts], pa.int64()),
        }
    )
