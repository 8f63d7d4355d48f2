"""Which landed versions may go: those that have been superseded for long, and that the history has.

The current version of a record always stays. So do versions that something else than the history and the current row
is made of: the last values of deleted records; of objects with lists that are tables of their own, or whose records list the ones merged into them; what
proves since the newest complete read that a record was there; and a row beside another one of its record in a batch.
"""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.selection import own_tables, tables_of, with_overrides
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized.build import asked_of, gathered
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.history import HISTORY, known_places
from crm_pipeline.stages.normalized.last_values import last_values
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.origins import microseconds
from crm_pipeline.store.landing.retention import Superseded, remove_superseded
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.corruption import damaged_version
from crm_pipeline.store.tables.engine import Engine


def retire(  # noqa: PLR0917 - each argument is plain at the call
    connection: Connection,
    obj: str,
    landing: Landing,
    tables: Tables,
    maps: Sequence[ObjectMap],
    engine: Engine,
    before: datetime,
    keys: RecordKeys | None = None,
    contracts: ContractFolder | None = None,
) -> int:
    """Remove the versions of an object's records from landing that were superseded before a time; return how many.

    Only versions that the history of each table of the object knows are removed.

    Args:
        connection: the connection.
        obj: the object.
        landing: where it landed.
        tables: with its tables and their histories.
        maps: the vendor's mappings.
        engine: runs the SQL.
        before: a version goes if the next one was committed before.
        keys: the connector's current rules for keys, as for `normalize`.
        contracts: the user's contracts, as for `normalize`.

    Raises:
        CorruptFile: a landed batch is damaged; nothing of it was removed.
        StoreError: the disk is full or not writable; nothing is lost.
    """
    fed = {
        table: [e for e in entries if e.object == obj]
        for table, entries in tables_of((o.name for o in connection.objects), maps).items()
        if any(e.object == obj for e in entries)
    }
    if not fed or any(not e.is_own or e.merges for each in fed.values() for e in each):
        return 0
    owners = own_tables((o.name for o in connection.objects), maps)
    covered: list[int] = []
    feed: Feed | None = None
    for table, entries in fed.items():
        name = normalized_name(connection.name, table)
        asked = asked_of(contracts or ContractFolder(), connection.name, table, entries)
        own = [with_overrides(e, connection.mapping, where=connection.name) for e in entries]
        feeds, _ = gathered(connection, own, landing, keys, owners, tables.version(name), asked)
        history = tables.version(f"{HISTORY}{name.partition('/')[2]}")
        if not feeds or history is None or damaged_version([history], tables.verifier):
            return 0
        current = tables.version(name)
        if current is None or current.meta.get("unreadable"):
            return 0
        feed = feeds[0]
        covered.append(known_places(history, feed) or 0)
    assert feed is not None
    rows = _superseded(engine, feed, min(covered), before)
    return remove_superseded(landing, connection.name, obj, rows)


def _superseded(engine: Engine, feed: Feed, covered: int, before: datetime) -> Superseded:
    """Return the rows that may go."""
    landed = feed.landed
    ranking = ranked(engine, landed)
    known = min(covered, landed.complete_from) if landed.whole else covered
    points = {batch.batch_id for batch in landed.points}
    places = [place for place in landed.places[:known] if place.file not in points]
    if ranking.others is None or not places:
        return Superseded(pa.array([], pa.string()), pa.array([], pa.string()))
    position = engine.load(
        f"{landed.name} positions",
        pa.table(
            {
                "_batch_id": pa.array([p.batch_id for p in landed.places], pa.string()),
                "_position": pa.array(range(len(landed.places)), pa.int64()),
                # What the history does not know yet has superseded nothing that may go.
                "_is_old": pa.array(
                    [
                        n < covered and p.committed_us < microseconds(before)
                        for n, p in enumerate(landed.places)
                    ],
                    pa.bool_(),
                ),
            }
        ),
    )
    may_go = engine.load(
        f"{landed.name} old batches",
        pa.table({"_batch_id": pa.array([p.batch_id for p in places], pa.string())}),
    )
    pairs = last_values(engine, landed, ranking)
    giving = (
        f" ANTI JOIN {pairs} p ON p._from_batch = r._batch_id AND p._source_id = r._source_id"
        if pairs
        else ""
    )
    rows = engine.arrow(
        "SELECT _batch_id, _source_id FROM ("
        "SELECT k._batch_id, k._source_id, o._row IS NOT NULL AND g._batch_id IS NOT NULL AS _may_go, "
        "coalesce(max(_position) FILTER (_is_old) OVER (PARTITION BY k._source_id) > _position, false) AS _is_followed "
        f"FROM {all_keys(landed.batches)} k JOIN {position} USING (_batch_id) "
        f"LEFT JOIN {ranking.others} o ON o._batch_id = k._batch_id AND o._row = k._row "
        f"LEFT JOIN {may_go} g ON g._batch_id = k._batch_id WHERE {HAS_ID}"
        f") AS r{giving} GROUP BY ALL HAVING bool_and(_may_go AND _is_followed)"
    )
    return Superseded(
        rows.column("_batch_id").combine_chunks().cast(pa.string()),
        rows.column("_source_id").combine_chunks().cast(pa.string()),
    )
