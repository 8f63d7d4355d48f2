"""All landed versions of some records, typed like the rows of their table, with the columns that order them.

Beside what landed there are versions that follow from other things: a complete read that lacks a record, and a record
that names another as merged into itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.settings import Connection
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.last_values import texts_of
from crm_pipeline.stages.normalized.merges import listed_ids
from crm_pipeline.stages.normalized.over_rows import over, own_columns, restored_own, with_own
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.normalized.rows import define_rows
from crm_pipeline.stages.normalized.sources import merge_sources
from crm_pipeline.stages.normalized.timeline import ABSENT, LANDED, MARK, MERGED, STATE
from crm_pipeline.stages.normalized.versions import HAS_ID, versions
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.origins import Place, microseconds
from crm_pipeline.store.tables.engine import Engine, parquet_files


@dataclass(frozen=True)
class Proof:
    """A complete read: records that it lacks were gone when it began.

    Attributes:
        place: of its first batch; one before all batches where it landed none.
        began_at: when the first of its records was asked for.
        batch_id: of its last batch; its window where it landed none.
        set_aside: ids of records that it held and that could not be read.
        before: the complete read before it, as commit time and window; None for the first one.
    """

    place: Place
    began_at: datetime
    batch_id: str
    set_aside: frozenset[str]
    before: tuple[int, str] | None = None


def landed_keys(batches: Sequence[Manifest]) -> str:
    """Return SQL for the keys of all rows of batches: `_source_id`, the columns of `STATE` that landed, `_batch_id`."""
    relation = parquet_files([batch.path for batch in batches], ", file_row_number = true")
    return (
        "(SELECT _source_id, _modified_at AS _stamp, _deleted AS _is_gone, _extracted_at AS _seen_at, "
        f"_batch_id, file_row_number AS _row, _record_hash AS _hash FROM {relation})"
    )


def files_of(landed: ObjectInput, batch_ids: set[str]) -> list[Manifest]:
    """Return the files that hold the rows of some landed batches."""
    names = {place.file for place in landed.places if place.batch_id in batch_ids}
    return [batch for batch in landed.batches if batch.batch_id in names]


def places_of(engine: Engine, landed: ObjectInput) -> str:
    """Define a relation with the place of each landed batch, and return its name."""
    places = landed.places
    return engine.load(
        f"{landed.name} version places",
        pa.table(
            {
                "_batch_id": pa.array([p.batch_id for p in places], pa.string()),
                "_committed_us": pa.array([p.committed_us for p in places], pa.int64()),
                "_window_id": pa.array([p.window_id for p in places], pa.string()),
                "_sequence": pa.array([p.sequence for p in places], pa.int64()),
                "_is_whole": pa.array([landed.is_confirmed(p) for p in places], pa.bool_()),
            }
        ),
    )


def typed_versions(
    engine: Engine, connection: Connection, feed: Feed, ids: str, known: str = ""
) -> str:
    """Type all landed versions of some records, and return the relation's name.

    It has the columns of the table and those of `STATE`.

    Args:
        engine: runs the SQL.
        connection: the connection.
        feed: the object.
        ids: relation with the ids (`_source_id`), distinct.
        known: relation with all keys of these records, see `landed_keys`, if it was computed before.
    """
    landed = feed.landed
    if not landed.batches:
        return engine.table(f"{landed.name} landed versions", _nothing(feed))
    unread = landed.unread
    readable = (
        f" ANTI JOIN {unread} u ON u._batch_id = k._batch_id AND u._row = k._row" if unread else ""
    )
    keys = engine.table(
        f"{landed.name} version keys",
        f"SELECT k.* FROM {known or landed_keys(landed.batches)} k "
        f"SEMI JOIN {ids} i ON i._source_id = k._source_id{readable}",
    )
    used = {name for (name,) in engine.rows(f"SELECT DISTINCT _batch_id FROM {keys}")}
    if not used:
        return engine.table(f"{landed.name} landed versions", _nothing(feed))
    narrow = replace(landed, batches=tuple(files_of(landed, used)))
    texts = "".join(f", {raw(source.name)}" for source in landed.of_record)
    source = engine.view(
        f"{landed.name} version texts",
        "SELECT _source_id, _modified_at, _deleted, _batch_id || '/' || _row AS _batch_id, true AS _is_seen, "
        f"NULL::VARCHAR AS _winner{texts} "
        f"FROM ({versions(engine, narrow, landed.of_record, only=ids)}) WHERE {HAS_ID}",
    )
    rows = _rows(engine, connection, feed, source)
    marks = _marks(engine, narrow, keys)
    kind = f"CASE WHEN d._row IS NULL THEN {literal(LANDED)} ELSE {literal(MARK)} END AS _kind"
    own = {"_kind": kind, "_row": "k._row"}
    state = ", ".join(own.get(column, column) for column in STATE)
    return engine.table(
        f"{landed.name} landed versions",
        f"SELECT t.* REPLACE (k._batch_id AS batch_id), {state} FROM ({rows}) t "
        f"JOIN {keys} k ON t.batch_id = k._batch_id || '/' || k._row "
        f"LEFT JOIN {marks} d ON d._batch_id = k._batch_id AND d._row = k._row "
        f"JOIN {places_of(engine, landed)} p ON p._batch_id = k._batch_id",
    )


def _marks(engine: Engine, landed: ObjectInput, keys: str) -> str:
    """Compute which of some landed versions say of their record that it was deleted, and nothing else."""
    name = f"{landed.name} marks"
    gone = engine.table(
        f"{name} ids", f"SELECT DISTINCT _source_id, _batch_id FROM {keys} WHERE _is_gone"
    )
    batches = {batch for (batch,) in engine.rows(f"SELECT DISTINCT _batch_id FROM {gone}")}
    if not batches:
        return engine.table(name, f"SELECT _batch_id, _row FROM {keys} WHERE false")
    # Deletions come in few batches, and the other versions of these records are in many.
    own = replace(landed, batches=tuple(files_of(landed, batches)))
    texts = texts_of(engine, own, f"{name} texts", gone)
    return engine.table(
        name,
        f"SELECT k._batch_id, k._row FROM {keys} AS k JOIN {texts} AS t ON t._batch_id = k._batch_id "
        "AND t._row = k._row WHERE k._is_gone AND t._is_bare",
    )


def _rows(engine: Engine, connection: Connection, feed: Feed, source: str) -> str:
    """Return SQL for the rows of versions, as the table has them."""
    own = own_columns(feed, connection.mapping)
    rows = with_own(define_rows(engine, connection.name, feed, source), own)
    if feed.entry.over_rows:
        rows = engine.view(f"{feed.landed.name} version rows", over(feed.entry.over_rows, rows))
    return restored_own(rows, own)


def _nothing(feed: Feed) -> str:
    columns = {column.name: column.type for column in feed.table.columns} | STATE
    listed = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in columns.items())
    return f"SELECT {listed} WHERE false"


def proofs(landing: Landing, connection: str, landed: ObjectInput, after: int) -> list[Proof]:
    """Return the complete reads among the places from a position on, in the order of their commits."""
    later = landed.places[after:]
    first = {place.window_id: place for place in reversed(later) if place.is_complete}
    seen = {place.window_id for place in landed.places[:after]}
    last = {place.window_id: place for place in later}
    found: list[Proof] = []
    before: tuple[int, str] | None = None
    for commit in sorted(
        _commits(landing, connection, landed), key=lambda one: (one.committed_at, one.window_id)
    ):
        if not commit.proves_absence:
            continue
        former, before = before, (microseconds(commit.committed_at), commit.window_id)
        if commit.window_id in seen:
            continue
        rejects = landing.rejects(commit)
        if len(rejects) != commit.quarantined:
            continue
        nothing = (microseconds(commit.committed_at), commit.window_id, -1, "", "", commit.complete)
        place = first.get(commit.window_id) or Place(*nothing)
        named = last.get(commit.window_id)
        ids = frozenset(reject.source_id for reject in rejects)
        at = commit.committed_at.replace(microsecond=0)
        batch_id = named.batch_id if named else commit.window_id
        found.append(Proof(place, at, batch_id, ids, former))
    return found


def _commits(landing: Landing, connection: str, landed: ObjectInput) -> Iterator[WindowCommit]:
    for commit in landing.object_reads(connection, landed.object):
        if not commit.origins:
            yield commit
        elif landed.whole:
            merged = landing.merged_commits(connection, landed.object, commit)
            yield from (one for one, _ in merged if not one.is_point)


def absences(engine: Engine, feed: Feed, versions_of: str, listed: Sequence[Proof]) -> str:
    """Return SQL for the versions of records that complete reads lack: without values, in the columns of both.

    Args:
        engine: runs the SQL.
        feed: the object.
        versions_of: relation of `typed_versions`.
        listed: the complete reads.
    """
    name = feed.landed.name
    reads = engine.load(
        f"{name} complete reads",
        pa.table(
            {
                "_committed_us": pa.array([p.place.committed_us for p in listed], pa.int64()),
                "_window_id": pa.array([p.place.window_id for p in listed], pa.string()),
                "_sequence": pa.array([p.place.sequence for p in listed], pa.int64()),
                "batch_id": pa.array([p.batch_id for p in listed], pa.string()),
                "_before": pa.array(
                    [p.before and {"us": p.before[0], "w": p.before[1]} for p in listed],
                    pa.struct({"us": pa.int64(), "w": pa.string()}),
                ),
                "_committed_at": pa.array([p.began_at for p in listed], pa.timestamp("us", "UTC")),
            }
        ),
    )
    pairs = [(p.place.window_id, each) for p in listed for each in sorted(p.set_aside)]
    aside = engine.load(
        f"{name} aside in complete reads",
        pa.table(
            {
                "_window_id": pa.array([w for w, _ in pairs], pa.string()),
                "source_id": pa.array([i for _, i in pairs], pa.string()),
            }
        ),
    )
    key = quoted(feed.table.key)
    # Requests are made in whole seconds; what was read by its id since then is not absent.
    began = engine.table(
        f"{name} beginnings",
        "SELECT r._committed_us, r._window_id, r._sequence, r.batch_id, r._before, "
        "least(any_value(r._committed_at), min(v._seen_at)) AS _began "
        f"FROM {reads} r LEFT JOIN {versions_of} v ON v._window_id = r._window_id GROUP BY ALL",
    )
    nothing = "".join(
        f", NULL::{column.type} AS {quoted(column.name)}"
        for column in feed.table.columns
        if column.name not in {*_OF_ABSENT, feed.table.key}
    )
    alive = engine.table(f"{name} alive before", _alive(key, versions_of, began))
    return (
        f"(SELECT v.connection, v.object, v.source_id, v.{key}{nothing}, true AS is_deleted, b.batch_id, "
        f"{literal(ABSENT)} AS _kind, NULL::TIMESTAMPTZ AS _stamp, true AS _is_gone, b._began AS _seen_at, "
        "b._committed_us, b._window_id, b._sequence, -1::BIGINT AS _row, false AS _is_whole, NULL::UBIGINT AS _hash "
        f"FROM (SELECT DISTINCT connection, object, source_id, {key} FROM {versions_of}) v "
        f"JOIN {alive} l ON l.{key} = v.{key} JOIN {began} b ON b._window_id = l._window_id "
        f"ANTI JOIN {versions_of} o ON o.{key} = v.{key} AND o._window_id = b._window_id "
        f"ANTI JOIN {aside} a ON a._window_id = b._window_id AND a.source_id = v.source_id)"
    )


def _alive(key: str, versions_of: str, reads: str) -> str:
    """Return SQL for the records that were alive before complete reads, by what had landed before each of them.

    A complete read of before that lacks the record, with nothing landed since, had deleted it already.
    """
    place = "struct_pack(at := _seen_at, us := _committed_us, w := _window_id, s := _sequence, r := _row)"
    before = (
        f"SELECT v.{key}, v._is_gone, v._stamp, v._is_whole, v._commit, v._place, r._window_id, r._before FROM "
        f"(SELECT *, {place} AS _place, struct_pack(us := _committed_us, w := _window_id) AS _commit "
        f"FROM {versions_of} WHERE _kind <> {literal(ABSENT)}) v JOIN (SELECT *, "
        f"struct_pack(us := _committed_us, w := _window_id) AS _commit FROM {reads}) r ON v._commit < r._commit"
    )
    of = f"PARTITION BY {key}, _window_id"
    marked = (
        f"SELECT *, max(_place) FILTER (NOT _is_gone) OVER ({of}) AS _live, "
        f"max(_place) FILTER (NOT _is_gone AND _is_whole) OVER ({of}) AS _whole FROM ({before})"
    )
    order = (
        "_is_gone AND _stamp IS NULL AND coalesce(_place > _live, true) DESC, "
        "_is_gone AND coalesce(_place < _whole, false), _is_gone AND _stamp IS NULL, "
        "_stamp DESC NULLS LAST, _place DESC"
    )
    return (
        f"SELECT {key}, _window_id FROM ({marked}) GROUP BY ALL HAVING NOT first(_is_gone ORDER BY {order}) "
        "AND coalesce(max(_commit) >= any_value(_before), true)"
    )


_OF_ABSENT = frozenset({"connection", "object", "source_id", "is_deleted", "batch_id"})


def merged_ids(
    engine: Engine, feed: Feed, batches: Sequence[Manifest], only: str = ""
) -> str | None:
    """Compute which ids some landed records name as merged into themselves.

    Returns:
        The name of a relation with `_source_id` (the loser), `_winner`, and the winner's first version that says so; None where
        there is none. A loser has several winners where they were merged on.
    """
    landed = feed.landed
    sources = merge_sources(landed.entry, landed.linked)
    if not sources or not batches:
        return None
    lists = listed_ids(landed.entry, {source.name for source in sources})
    narrow = replace(landed, batches=tuple(batches))
    texts = versions(engine, narrow, sources)
    batch = f" WHERE _batch_id IN (SELECT _batch_id FROM {only})" if only else ""
    claims = engine.table(
        f"{landed.name} merged ids",
        f"SELECT unnest({lists}) AS _source_id, _source_id AS _winner, _modified_at AS _stamp, "
        f"_extracted_at AS _seen_at, _batch_id, _row FROM (FROM ({texts}){batch}) WHERE {HAS_ID}",
    )
    first = engine.table(
        f"{landed.name} merges",
        f"SELECT DISTINCT ON (_source_id, _winner) * FROM {claims} WHERE _source_id <> '' AND _source_id <> _winner "
        "ORDER BY _source_id, _winner, coalesce(_stamp, _seen_at), _seen_at, _batch_id, _row",
    )
    return first if engine.row(f"SELECT count(*) FROM {first}")[0] else None


def merges(engine: Engine, connection: str, feed: Feed, merged: str, ids: str) -> str:
    """Return SQL for the versions of records that others name as merged, without values, in the columns of both."""
    key = quoted(feed.table.key)
    prefix = literal(f"{connection}:{feed.landed.object}:")
    nothing = "".join(
        f", NULL::{column.type} AS {quoted(column.name)}"
        for column in feed.table.columns
        if column.name not in {*_OF_ABSENT, feed.table.key, "merged_into"}
    )
    places = places_of(engine, feed.landed)
    return (
        f"(SELECT {literal(connection)} AS connection, {literal(feed.landed.object)} AS object, "
        f"m._source_id AS source_id, {prefix} || m._source_id AS {key}{nothing}, "
        f"{prefix} || m._winner AS merged_into, true AS is_deleted, m._batch_id AS batch_id, "
        f"{literal(MERGED)} AS _kind, coalesce(m._stamp, m._seen_at) AS _stamp, true AS _is_gone, m._seen_at, "
        "p._committed_us, p._window_id, p._sequence, m._row, false AS _is_whole, NULL::UBIGINT AS _hash "
        f"FROM {merged} m SEMI JOIN {ids} i ON i._source_id = m._source_id "
        f"JOIN {places} p ON p._batch_id = m._batch_id)"
    )
