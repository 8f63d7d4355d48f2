"""SQL that brings landed batches of one object to one relation and keeps each record's latest state."""

import pyarrow as pa

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.merges import winners
from crm_pipeline.stages.normalized.ranking import Ranking, ranked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys, versions
from crm_pipeline.store.tables.engine import Engine

EMPTY = (
    "(SELECT ''::VARCHAR AS _source_id, NULL::TIMESTAMPTZ AS _modified_at, false AS _deleted, "
    "''::VARCHAR AS _batch_id, true AS _is_seen, NULL::VARCHAR AS _winner)"
)
"""SQL for the state columns of an object of which nothing has landed."""


def folded(engine: Engine, one: ObjectInput, ranking: Ranking) -> str:
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
        f"SELECT {_state(engine, one, ranking)}{columns} FROM {source} AS s{ranking.latest} "
        f"WHERE {HAS_ID}",
    )


def states(engine: Engine, one: ObjectInput) -> str:
    """Define the latest state of each record without its texts; see `folded`."""
    ranking = ranked(engine, one)
    return engine.view(
        f"{one.name} states",
        f"SELECT {_state(engine, one, ranking)} FROM {all_keys(one.batches)} AS s{ranking.latest} "
        f"WHERE {HAS_ID}",
    )


def _state(engine: Engine, one: ObjectInput, ranking: Ranking) -> str:
    merged = winners(engine, one)
    winner = (
        f"(SELECT winner FROM {merged} WHERE loser = _source_id)" if merged else "NULL::VARCHAR"
    )
    seen = _seen(engine, one)
    return (
        f"_source_id, _modified_at, {ranking.deleted} AS _deleted, _batch_id, {seen} AS _is_seen, "
        f"{winner} AS _winner"
    )


def _seen(engine: Engine, one: ObjectInput) -> str:
    """Return an expression that says whether a record is in or after the newest complete read."""
    if one.complete_from == 0:
        return "true"
    later = one.batches[one.complete_from :]
    if not (later or one.set_aside):
        return "false"
    parts = [f"SELECT _source_id FROM {all_keys(later)}"] if later else []
    if one.set_aside:
        ids = pa.table({"_source_id": pa.array(one.set_aside, pa.string())})
        parts.append(f"SELECT _source_id FROM {engine.load(f'{one.name} set aside', ids)}")
    everything = " UNION ALL ".join(parts)
    seen = engine.table(f"{one.name} seen", f"SELECT DISTINCT _source_id FROM ({everything})")
    return f"(_source_id IN (SELECT _source_id FROM {seen}))"
