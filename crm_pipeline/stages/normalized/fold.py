"""SQL that folds the landed batches of one object: a relation with the latest state of each record."""

import pyarrow as pa

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.model.names import literal
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.last_values import last_values, with_last_values
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


def folded(engine: Engine, landed: ObjectInput, ranking: Ranking) -> str:
    """Define a relation with the latest state of each record of an object, and return its name.

    It has `_source_id`, `_modified_at`, `_deleted`, `_batch_id`, `_is_seen` (False where the newest
    complete read no longer has the record), `_winner` (the id of the record that it was merged into) and
    one text column per source, "" as NULL where it is mapped. A record that was deleted without a word of its values has
    those of its last version with values, see `last_values`.
    """
    name = landed.name
    if not landed.batches:
        nothing = "".join(f", NULL::VARCHAR AS {raw(source.name)}" for source in landed.of_record)
        return engine.view(f"{name} folded", f"SELECT *{nothing} FROM {EMPTY} WHERE false")
    columns = "".join(f", {raw(source.name)}" for source in landed.of_record)
    source = engine.view(f"{name} source", versions(engine, landed, landed.of_record))
    if (pairs := last_values(engine, landed, ranking)) is not None:
        counting = with_last_values(landed, source, ranking, pairs)
        return engine.view(
            f"{name} folded",
            f"SELECT {_state(engine, landed, ranking)}{columns} FROM ({counting}) WHERE {HAS_ID}",
        )
    return engine.view(
        f"{name} folded",
        f"SELECT {_state(engine, landed, ranking)}{columns} FROM {source} AS s{ranking.latest} "
        f"WHERE {HAS_ID}",
    )


def states(engine: Engine, landed: ObjectInput) -> str:
    """Define a relation with the latest state of each record without its texts, and return its name; see `folded`."""
    ranking = ranked(engine, landed)
    return engine.view(
        f"{landed.name} states",
        f"SELECT {_state(engine, landed, ranking)} FROM {all_keys(landed.batches)} AS s{ranking.latest} "
        f"WHERE {HAS_ID}",
    )


def _state(engine: Engine, landed: ObjectInput, ranking: Ranking) -> str:
    merged = winners(engine, landed)
    winner = (
        f"(SELECT winner FROM {merged} WHERE loser = _source_id)" if merged else "NULL::VARCHAR"
    )
    seen = seen_in(engine, landed)
    return (
        f"_source_id, _modified_at, {ranking.deleted} AS _deleted, _batch_id, {seen} AS _is_seen, "
        f"{winner} AS _winner"
    )


def seen_in(engine: Engine, landed: ObjectInput) -> str:
    """Return SQL for whether a record is in the newest complete read or a later one, or was read by its id since."""
    if landed.complete_from == 0 and not landed.points:
        return "true"
    later = landed.since_complete
    if not (later or landed.set_aside or landed.points):
        return "false"
    parts = [f"SELECT _source_id FROM {all_keys(later)}"] if later else []
    if landed.points:
        parts.append(
            f"SELECT _source_id FROM {all_keys(landed.points)} WHERE _extracted_at >= {began(landed)}"
        )
    if landed.set_aside:
        ids = pa.table({"_source_id": pa.array(landed.set_aside, pa.string())})
        parts.append(f"SELECT _source_id FROM {engine.load(f'{landed.name} set aside', ids)}")
    everything = " UNION ALL ".join(parts)
    seen = engine.table(f"{landed.name} seen", f"SELECT DISTINCT _source_id FROM ({everything})")
    return f"(_source_id IN (SELECT _source_id FROM {seen}))"


def began(landed: ObjectInput, since: str = "") -> str:
    """Return SQL for the time of the first request of the newest complete read, in whole seconds as requests are.

    Args:
        landed: the object.
        since: SQL for `_extracted_at` of the versions that landed with that read or later; "" to read all of them.
    """
    assert landed.complete_at is not None
    at = f"TIMESTAMPTZ {literal(format_instant(landed.complete_at.replace(microsecond=0)))}"
    if not landed.since_complete:
        return at
    return f"least({at}, (SELECT min(_extracted_at) FROM {f'({since})' if since else all_keys(landed.since_complete)}))"
