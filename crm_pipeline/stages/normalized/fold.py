"""SQL that brings landed batches of one object to one relation and keeps each record's latest state.

Order of states: (vendor's stamp, extracted at, batch sequence). A tombstone without a stamp says
when we saw the record gone, so any live read that is later supersedes it, and it supersedes all
that is earlier. Only records that landed more than once are ranked, over keys alone.
"""

import pyarrow as pa

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.merges import winners
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys, versions
from crm_pipeline.store.engine import Engine, parquet_files

EMPTY = (
    "(SELECT ''::VARCHAR AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, "
    "''::VARCHAR AS _batch_id, true AS _is_seen, NULL::VARCHAR AS _winner)"
)
"""SQL for the state columns of an object of which nothing has landed."""


def folded(engine: Engine, one: ObjectInput) -> str:
    """Define the latest state of each record of an object and return the relation's name.

    It has `_source_id`, `_modified_at`, `_deleted`, `_batch_id`, `_is_seen` (False where the newest
    complete read no longer has the record), `_winner` (the id of the record that it was merged into) and
    one text column per source, "" as NULL where it is mapped.
    """
    name = one.name
    if not one.batches:
        nothing = "".join(f", NULL::VARCHAR AS {raw(source.name)}" for source in one.of_record)
        return engine.view(f"{name} folded", f"SELECT *{nothing} FROM {EMPTY} WHERE false")
    columns = "".join(f", {raw(source.name)}" for source in one.of_record)
    source = engine.view(f"{name} source", versions(engine, one, one.of_record))
    return engine.view(
        f"{name} folded",
        f"SELECT {_state(engine, one)}{columns} FROM {source} AS s{_latest(engine, one)} WHERE {HAS_ID}",
    )


def states(engine: Engine, one: ObjectInput) -> str:
    """Define the latest state of each record without its texts; see `folded`."""
    return engine.view(
        f"{one.name} states",
        f"SELECT {_state(engine, one)} FROM {all_keys(one.batches)} AS s{_latest(engine, one)} "
        f"WHERE {HAS_ID}",
    )


def _state(engine: Engine, one: ObjectInput) -> str:
    merged = winners(engine, one)
    winner = (
        f"(SELECT winner FROM {merged} WHERE loser = _source_id)" if merged else "NULL::VARCHAR"
    )
    seen = _seen(engine, one)
    return f"_source_id, _modified_at, _deleted, _batch_id, {seen} AS _is_seen, {winner} AS _winner"


def _latest(engine: Engine, one: ObjectInput) -> str:
    losers = _losers(engine, one)
    if losers is None:
        return ""
    return f" ANTI JOIN {losers} AS l ON s._batch_id = l._batch_id AND s._row = l._row"


def without_id(engine: Engine, one: ObjectInput) -> int:
    """Count the landed rows that carry no id and can therefore not be normalized."""
    if not one.batches:
        return 0
    keys = all_keys(one.batches)
    return int(engine.row(f"SELECT count(*) FROM {keys} WHERE NOT ({HAS_ID})")[0])


def quarantine_sql(one: ObjectInput, shape: str) -> str | None:
    """Return SQL for the landed rows of one shape that carry no id, as landed."""
    paths = [batch.path for batch in one.batches if batch.shape == shape]
    if not paths:
        return None
    return (
        f"SELECT 'the record carries no id' AS _reason, * FROM {parquet_files(paths)} "
        f"WHERE _source_id IS NULL OR _source_id = ''"
    )


def _losers(engine: Engine, one: ObjectInput) -> str | None:
    """Compute the rows that are not the latest state of their record; None where all are."""
    name = one.name
    keys = all_keys(one.batches)
    repeated = repeated_ids(engine, one)
    if repeated is None:
        return None
    places = engine.view(
        f"{name} places",
        f"SELECT k.*, struct_pack(at := _extracted_at, sequence := _sequence, row := _row) AS _place "
        f"FROM {keys} AS k SEMI JOIN {repeated} AS r ON hash(k._source_id) = r._hash "
        f"JOIN {sequences(engine, one)} AS b USING (_batch_id)",
    )
    marked = engine.view(
        f"{name} marked",
        f"SELECT *, _deleted AND _modified_at IS NULL AND coalesce(_place > "
        f"max(_place) FILTER (WHERE NOT _deleted) OVER (PARTITION BY _source_id), true) AS _is_end, "
        f"_deleted AND _modified_at IS NULL AS _is_unstamped FROM {places}",
    )
    return engine.table(
        f"{name} losers",
        f"SELECT _batch_id, _row FROM {marked} QUALIFY row_number() OVER (PARTITION BY _source_id "
        f"ORDER BY _is_end DESC, _is_unstamped, _modified_at DESC NULLS LAST, _place DESC) > 1",
    )


def sequences(engine: Engine, one: ObjectInput) -> str:
    """Define the place of each batch in the order of reading: `_batch_id` and `_sequence`."""
    return engine.load(
        f"{one.name} sequences",
        pa.table(
            {
                "_batch_id": pa.array([b.batch_id for b in one.batches], pa.string()),
                "_sequence": pa.array(range(len(one.batches)), pa.int64()),
            }
        ),
    )


def repeated_ids(engine: Engine, one: ObjectInput) -> str | None:
    """Compute hashes (`_hash`) of the ids that landed more than once; None where there are none."""
    repeated = engine.table(
        f"{one.name} repeated",
        # Hashes take a third of the memory of ids; one shared by chance only ranks a record in vain.
        f"SELECT hash(_source_id) AS _hash FROM {all_keys(one.batches)} WHERE {HAS_ID} "
        "GROUP BY ALL HAVING count(*) > 1",
    )
    return repeated if engine.row(f"SELECT count(*) FROM {repeated}")[0] else None


def _seen(engine: Engine, one: ObjectInput) -> str:
    """Return an expression that says whether a record is in or after the newest complete read."""
    if one.complete_from == 0:
        return "true"
    later = one.batches[one.complete_from :]
    if not later:
        return "false"
    seen = engine.table(f"{one.name} seen", f"SELECT DISTINCT _source_id FROM {all_keys(later)}")
    return f"(_source_id IN (SELECT _source_id FROM {seen}))"
