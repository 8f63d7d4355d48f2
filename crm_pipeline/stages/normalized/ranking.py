"""Decide which landed version of each record counts, by keys alone.

Versions are ordered by modification time, extraction time and batch sequence. A tombstone without a modification
time states when we saw that the record was gone: it supersedes all earlier versions, and any later live version
supersedes it. A tombstone with a modification time is superseded by a later read of every record, or of this one by its
id, that has it alive, because a restored record may come back with its earlier modification time, and the time of a
deletion may lie in the future. Only records that landed more than once
or that cannot be read are ranked. An unreadable version is set aside, and the last readable version before it counts.
"""

from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys
from crm_pipeline.store.tables.engine import Engine

ORDER = "_is_end DESC, _is_void, _is_unstamped, _modified_at DESC NULLS LAST, _place DESC"
"""SQL for the order of a record's versions in `marked`: the first one counts."""


@dataclass(frozen=True)
class Ranking:
    """Relations over the versions of an object's records; None where they would be empty.

    Attributes:
        others: `_batch_id` and `_row` of the versions that do not count.
        set_aside: the unreadable ones among `others` without a newer readable version.
        gone: ids (`_source_id`) of records whose newest version is unreadable and a deletion.
        repeated: hashes (`_hash`) of the ids that landed more than once.
        versions: the versions of these records, see `marked`.
    """

    others: str | None = None
    set_aside: str | None = None
    gone: str | None = None
    repeated: str | None = None
    versions: str | None = None

    @property
    def latest(self) -> str:
        """SQL for a join that leaves in a relation `s` of versions only those that count."""
        if self.others is None:
            return ""
        return f" ANTI JOIN {self.others} AS l ON s._batch_id = l._batch_id AND s._row = l._row"

    @property
    def deleted(self) -> str:
        """SQL for whether a record was deleted, by its versions alone."""
        if self.gone is None:
            return "_deleted"
        return f"(_deleted OR _source_id IN (SELECT _source_id FROM {self.gone}))"


def ranked(engine: Engine, landed: ObjectInput) -> Ranking:
    """Compute which versions count, and return the relations."""
    if not landed.batches:
        return Ranking()
    # Exploded tables take lists from the last version that has one, and states from keys: texts do not matter.
    unread = "" if landed.entry.each else landed.unread
    repeated = _repeated(engine, landed, unread)
    if repeated is None:
        return Ranking()
    keys = (
        f"{all_keys(landed.batches)} AS k SEMI JOIN {repeated} AS r ON hash(k._source_id) = r._hash"
    )
    versions = engine.view(f"{landed.name} marked", marked(engine, landed, keys))
    if not unread:
        others = engine.table(
            f"{landed.name} others",
            f"SELECT _batch_id, _row FROM {versions} "
            f"QUALIFY row_number() OVER (PARTITION BY _source_id ORDER BY {ORDER}) > 1",
        )
        return Ranking(others, repeated=repeated, versions=versions)
    placed = engine.table(f"{landed.name} placed", _placed(versions, unread))
    table = engine.table
    return Ranking(
        table(f"{landed.name} others", f"FROM {placed} WHERE _is_unread OR _readable_before > 0"),
        table(f"{landed.name} aside", f"FROM {placed} WHERE _is_unread AND _readable_before = 0"),
        table(f"{landed.name} gone", f"FROM {placed} WHERE _is_unread AND _deleted AND _rank = 1"),
    )


def repeated_ids(engine: Engine, landed: ObjectInput) -> str | None:
    """Compute hashes (`_hash`) of the ids that landed more than once; None where there are none."""
    return _repeated(engine, landed, "")


def sequences(engine: Engine, landed: ObjectInput) -> str:
    """Define a relation with the position of each batch, and return its name.

    It has `_batch_id`, `_sequence` and `_is_whole`, which is true for batches of a read of every record, or by ids.
    """
    return engine.load(
        f"{landed.name} sequences",
        pa.table(
            {
                "_batch_id": pa.array([place.batch_id for place in landed.places], pa.string()),
                "_sequence": pa.array(range(len(landed.places)), pa.int64()),
                "_is_whole": pa.array([landed.is_confirmed(p) for p in landed.places], pa.bool_()),
            }
        ),
    )


def _repeated(engine: Engine, landed: ObjectInput, unread: str) -> str | None:
    also = f" UNION SELECT hash(_source_id) FROM {unread} WHERE {HAS_ID}" if unread else ""
    repeated = engine.table(
        f"{landed.name} repeated",
        # Hashes take a third of the memory of ids; after a collision a record is only ranked needlessly.
        f"SELECT hash(_source_id) AS _hash FROM {all_keys(landed.batches)} WHERE {HAS_ID} "
        f"GROUP BY ALL HAVING count(*) > 1{also}",
    )
    return repeated if engine.row(f"SELECT count(*) FROM {repeated}")[0] else None


def marked(engine: Engine, landed: ObjectInput, keys: str) -> str:
    """Return SQL for versions with all that decides their order: their places, and what tombstones among them mean.

    Args:
        engine: runs the SQL.
        landed: the object.
        keys: SQL for all versions of some records, called `k`, with the columns of `versions.all_keys`.
    """
    places = engine.view(
        f"{landed.name} places",
        f"SELECT k.*, _is_whole, struct_pack(at := _extracted_at, sequence := _sequence, row := _row) AS _place "
        f"FROM {keys} JOIN {sequences(engine, landed)} AS b USING (_batch_id) WHERE {HAS_ID}",
    )
    alive = "max(_place) FILTER (WHERE NOT _deleted{}) OVER (PARTITION BY _source_id)"
    return (
        "SELECT *, _deleted AND _modified_at IS NULL AND "
        f"coalesce(_place > {alive.format('')}, true) AS _is_end, "
        f"_deleted AND coalesce(_place < {alive.format(' AND _is_whole')}, false) AS _is_void, "
        f"_deleted AND _modified_at IS NULL AS _is_unstamped FROM {places}"
    )


def _placed(versions: str, unread: str) -> str:
    """Return SQL for the rank of each version, and the number of readable versions with a better rank."""
    before = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
    return (
        "SELECT _batch_id, _row, _source_id, _deleted, _is_unread, row_number() OVER w AS _rank, "
        f"count(*) FILTER (WHERE NOT _is_unread) OVER (w {before}) AS _readable_before "
        f"FROM (SELECT m.*, u._row IS NOT NULL AS _is_unread FROM {versions} AS m "
        f"LEFT JOIN {unread} AS u ON m._batch_id = u._batch_id AND m._row = u._row) "
        f"WINDOW w AS (PARTITION BY _source_id ORDER BY {ORDER})"
    )
