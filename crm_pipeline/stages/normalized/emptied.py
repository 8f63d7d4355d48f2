"""Detect lists that one read emptied for many records at once, and keep their earlier elements.

An empty list removes the rows that were made of it. That is right for one record and suspicious for many: nobody
removes the links of a thousand records between two reads, but a faulty response or lost permissions look like that.
So the earlier lists stay until a read has lists again, or a person accepts the empty ones
(`crm-pipeline accept-shrink`). If a list has elements of several kinds, such as links to several objects, each
kind counts separately. The decision is derived from landing at every build.
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
        object: the object of the records.
        list: the path of the list in records, with dots.
        kind: the kind of the missing elements; "" where a list has only one kind.
        window_id: the id of the read.
        records: number of records that lack them.
        rows: number of rows that stay because of the doubt.
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


def ranked(engine: Engine, landed: ObjectInput, *, lists: str, repeated: str, order: str) -> str:
    """Define a relation with the versions of the lists of records that landed more than once.

    It has `_source_id`, `_batch_id`, `_row`, `_rank` (1 is the newest) and `_kinds`, the kind of each element.
    """
    kinds = f"list_transform(_elements, lambda x: {_kind(landed, 'x')})"
    return engine.table(
        f"{landed.name} ranked lists",
        f"SELECT _source_id, _batch_id, _row, {kinds} AS _kinds, row_number() OVER "
        f"(PARTITION BY _source_id ORDER BY _modified_at DESC NULLS LAST, _extracted_at DESC, _sequence DESC, "
        f"_row DESC) AS _rank FROM {lists} AS l JOIN {order} AS b USING (_batch_id) "
        f"SEMI JOIN {repeated} AS r ON hash(l._source_id) = r._hash",
    )


def kept(engine: Engine, landed: ObjectInput, versions: str) -> str | None:
    """Define a relation with the older lists to keep: `_batch_id`, `_row` and `_kind`.

    Args:
        engine: runs the SQL.
        landed: the object.
        versions: the relation that `ranked` has defined.

    Returns:
        The relation's name; None where nothing is kept.
    """
    name = landed.name
    _load_reads(engine, landed)
    sizes = engine.table(
        f"{name} list sizes",
        f"SELECT _source_id, _rank, _kind, count(*) AS _size FROM "
        f"(SELECT _source_id, _rank, unnest(_kinds) AS _kind FROM {versions}) GROUP BY ALL",
    )
    # For a kind that the newest list lacks: the last version that has it; the next version removed it.
    ended = engine.table(
        f"{name} ended lists",
        f"SELECT _source_id, _kind, min(_rank) AS _full, arg_min(_size, _rank) AS _rows FROM {sizes} "
        f"GROUP BY ALL HAVING min(_rank) > 1",
    )
    if not engine.rows(f"SELECT 1 FROM {ended} LIMIT 1"):
        return None
    doubts = _doubted(engine, landed, versions=versions, sizes=sizes, ended=ended)
    if not doubts:
        return None
    doubted = engine.load(_name(landed), _table(doubts))
    return engine.table(
        f"{name} kept lists",
        f"SELECT v._batch_id, v._row, _kind FROM {ended} AS e "
        f"JOIN {_with_window(versions, landed)} AS w ON w._source_id = e._source_id AND w._rank = _full - 1 "
        f"SEMI JOIN {doubted} USING (_window_id, _kind) "
        f"JOIN {versions} AS v ON v._source_id = e._source_id AND v._rank = _full",
    )


def of_kind(landed: ObjectInput, elements: str, kind: str) -> str:
    """Return SQL for the elements of one kind."""
    return f"list_filter({elements}, lambda x: {_kind(landed, 'x')} = {kind})"


def doubts_of(engine: Engine, landed: ObjectInput) -> list[Doubt]:
    """Return the doubts that were found when the lists of an object were defined."""
    exists = f"SELECT 1 FROM duckdb_tables() WHERE table_name = {literal(_name(landed))}"
    if not engine.rows(exists):
        return []
    rows = engine.rows(
        f"SELECT _window_id, _kind, _records, _rows FROM {quoted(_name(landed))} ORDER BY ALL"
    )
    return [_doubt(landed, *row) for row in rows]


def doubts_in(version: TableVersion) -> tuple[Doubt, ...]:
    """Return the doubts of a version; older versions have none."""
    return tuple(Doubt(**raw) for raw in version.meta.get("doubts", ()))


def _doubted(
    engine: Engine, landed: ObjectInput, *, versions: str, sizes: str, ended: str
) -> list[Doubt]:
    """Return the reads that removed a kind from too many lists, compared with the lists of that kind before."""
    reads = _with_window(versions, landed)
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
    doubts = []
    for window, kind, records, rows, lists, all_rows, lost, lost_rows in counted:
        # All lists that the read emptied count, even if some have elements again now.
        is_too_much = landed.bounds.exceeded(lost, lists)
        # In a whole read rows count as well: a few records may have many rows, as pipelines do.
        if window in landed.whole:
            is_too_much |= landed.bounds.exceeded(lost_rows, all_rows) or lost == lists
        if is_too_much and window not in landed.accepted:
            doubts.append(_doubt(landed, window, kind, records, rows))
    return doubts


def _with_window(versions: str, landed: ObjectInput) -> str:
    """Return SQL for the versions with the read of each."""
    return f"(SELECT * FROM {versions} JOIN {quoted(_reads(landed))} USING (_batch_id))"


def _load_reads(engine: Engine, landed: ObjectInput) -> None:
    """Load a table with the read of each batch."""
    windows = pa.array([place.window_id for place in landed.places], pa.string())
    batches = pa.array([place.batch_id for place in landed.places], pa.string())
    engine.load(_reads(landed), pa.table({"_batch_id": batches, "_window_id": windows}))


def _kind(landed: ObjectInput, element: str) -> str:
    key = landed.entry.kind
    return f"coalesce({element} ->> {literal(key)}, '')" if key else "''"


def _doubt(landed: ObjectInput, window: str, kind: str, records: int, rows: int) -> Doubt:
    return Doubt(landed.object, ".".join(landed.entry.each), kind, window, records, rows)


def _reads(landed: ObjectInput) -> str:
    return f"{landed.name} reads"


def _name(landed: ObjectInput) -> str:
    return f"{landed.name} doubts"


def _table(doubts: Sequence[Doubt]) -> pa.Table:
    return pa.table(
        {
            "_window_id": pa.array([doubt.window_id for doubt in doubts], pa.string()),
            "_kind": pa.array([doubt.kind for doubt in doubts], pa.string()),
            "_records": pa.array([doubt.records for doubt in doubts], pa.int64()),
            "_rows": pa.array([doubt.rows for doubt in doubts], pa.int64()),
        }
    )
