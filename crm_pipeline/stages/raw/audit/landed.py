"""What landing folds to: id, modification time and landed batch of each live record, by keys alone.

The rules are those of the normalized tables: the version with the latest modification time counts; a tombstone
without one supersedes what landed before it and nothing that landed later; what the newest complete read lacks
is gone, and so is what another record names as merged into itself. A test compares both.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Month, format_instant
from crm_pipeline.model.names import literal
from crm_pipeline.settings import Connection
from crm_pipeline.stages.raw.audit.merged import MergedAway
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.origins import Place, microseconds
from crm_pipeline.store.landing.rereads import Rereads
from crm_pipeline.store.tables.engine import Engine, parquet_files

UNDATED = ""
"""The month of records without a modification time."""
_KEYS = "_source_id, _modified_at, _deleted, _extracted_at, _batch_id"
_ORDER = "_is_end DESC, _is_void, _is_unstamped, _modified_at DESC NULLS LAST, _place DESC"
_NONE = "SELECT ''::VARCHAR AS id, NULL::TIMESTAMPTZ AS modified_at, ''::VARCHAR AS batch_id WHERE false"


@dataclass(frozen=True)
class LandedKeys:
    """The live records of an object, in a Parquet file with `id`, `modified_at`, and `batch_id` of the version that counts.

    Attributes:
        path: the file.
        records: their number.
    """

    path: Path
    records: int

    @property
    def relation(self) -> str:
        """SQL for the rows."""
        return parquet_files([self.path])


def landed_keys(  # noqa: PLR0917 - each argument is plain at the call
    engine: Engine,
    landing: Landing,
    connection: Connection,
    obj: str,
    path: Path,
    merged: MergedAway | None = None,
) -> LandedKeys:
    """Fold what has landed of an object, and write the keys of its live records to a file.

    Args:
        engine: runs the SQL.
        landing: where the object landed.
        connection: of the object.
        obj: its name.
        path: of the file.
        merged: knows the losers of merges in batches of earlier calls.

    Raises:
        CorruptFile: a batch is not as it was landed.
    """
    commits = landing.windows(connection.name, obj)
    batches = [batch for commit in commits for batch in commit.batches]
    landing.check(batches)
    if not batches:
        return LandedKeys(path, engine.copy_to(_NONE, path))
    places = landing.places(connection.name, obj, commits)
    version = connector(connection.vendor).keys.version
    rereads = Rereads(landing.folder(connection.name, obj), version)
    sequences = engine.load("audit places", _sequences(places))
    keys = engine.view(
        "audit keys",
        f"SELECT k.*, _sequence, _is_whole, _is_point FROM ({_all(batches, rereads)}) AS k "
        f"JOIN {sequences} AS p USING (_batch_id) WHERE _source_id IS NOT NULL AND _source_id <> ''",
    )
    repeated = engine.table(
        "audit repeated",
        f"SELECT hash(_source_id) AS _hash FROM {keys} GROUP BY ALL HAVING count(*) > 1",
    )
    once = f"SELECT _source_id, _modified_at, _deleted, _batch_id FROM {keys} AS k ANTI JOIN {repeated} AS r ON hash(k._source_id) = r._hash"
    latest = f"SELECT * FROM ({once} UNION ALL {_ranked(keys, repeated)}) WHERE NOT _deleted"
    seen = _seen(landing, commits, places, keys)
    columns = "_source_id AS id, _modified_at AS modified_at, _batch_id AS batch_id"
    losers = (merged or MergedAway(landing, connection, obj)).losers(engine, batches)
    gone = f" ANTI JOIN {losers} USING (_source_id)" if losers else ""
    alive = f"SELECT {columns} FROM (FROM ({latest}){gone}){seen}"
    return LandedKeys(path, engine.copy_to(alive, path))


def counts_by_month(
    engine: Engine, keys: LandedKeys, first: Month, before: datetime
) -> Mapping[str, int]:
    """Return the number of records by month of modification, of those modified before an instant.

    The first month holds everything older. Records without a modification time have the month `UNDATED`.
    """
    at = f"TIMESTAMPTZ {literal(format_instant(before))}"
    month = f"greatest(strftime(modified_at AT TIME ZONE 'UTC', '%Y-%m'), {literal(str(first))})"
    rows = engine.rows(
        f"SELECT CASE WHEN modified_at IS NULL THEN '' ELSE {month} END AS month, count(*) "
        f"FROM {keys.relation} WHERE modified_at IS NULL OR modified_at < {at} GROUP BY ALL"
    )
    return {str(name): int(count) for name, count in rows}


def _all(batches: Sequence[Manifest], rereads: Rereads) -> str:
    """Return SQL for the keys of batches, by the newest rules where they were read again under those."""
    paths = [
        rereads.path(batch.batch_id)
        if rereads.is_known(batch.batch_id) and rereads.copy(batch.batch_id)
        else batch.path
        for batch in batches
    ]
    points = [path for path, batch in zip(paths, batches, strict=True) if batch.is_point]
    others = [path for path, batch in zip(paths, batches, strict=True) if not batch.is_point]
    parts = [
        f"SELECT {_KEYS}, file_row_number AS _row, {is_point} AS _is_point "
        f"FROM {parquet_files(files, ', file_row_number = true')}"
        for files, is_point in ((others, "false"), (points, "true"))
        if files
    ]
    return " UNION ALL ".join(parts)


def _sequences(places: Sequence[Place]) -> pa.Table:
    return pa.table(
        {
            "_batch_id": pa.array([place.batch_id for place in places], pa.string()),
            "_sequence": pa.array(range(len(places)), pa.int64()),
            "_is_whole": pa.array([place.is_complete for place in places], pa.bool_()),
        }
    )


def _ranked(keys: str, repeated: str) -> str:
    """Return SQL for the version that counts of each record that landed more than once."""
    placed = (
        "SELECT k.*, struct_pack(at := _extracted_at, sequence := _sequence, row := _row) AS _place "
        f"FROM {keys} AS k SEMI JOIN {repeated} AS r ON hash(k._source_id) = r._hash"
    )
    alive = "max(_place) FILTER (WHERE NOT _deleted{}) OVER (PARTITION BY _source_id)"
    marked = (
        "SELECT *, _deleted AND _modified_at IS NULL AND "
        f"coalesce(_place > {alive.format('')}, true) AS _is_end, "
        f"_deleted AND coalesce(_place < {alive.format(' AND (_is_whole OR _is_point)')}, false) AS _is_void, "
        f"_deleted AND _modified_at IS NULL AS _is_unstamped FROM ({placed})"
    )
    return (
        f"SELECT _source_id, _modified_at, _deleted, _batch_id FROM ({marked}) "
        f"QUALIFY row_number() OVER (PARTITION BY _source_id ORDER BY {_ORDER}) = 1"
    )


def _seen(
    landing: Landing, commits: Sequence[WindowCommit], places: Sequence[Place], keys: str
) -> str:
    """Return SQL that leaves the records that the newest complete read has, or that were read since."""
    proofs = [n for n, commit in enumerate(commits) if commit.proves_absence]
    if not proofs:
        return ""
    proof = commits[proofs[-1]]
    begin = bisect_left(places, (microseconds(proof.committed_at), proof.window_id))
    at = f"TIMESTAMPTZ {literal(format_instant(proof.committed_at.replace(microsecond=0)))}"
    later = f"_sequence >= {begin} AND NOT _is_point"
    began = f"least({at}, (SELECT min(_extracted_at) FROM {keys} WHERE {later}))"
    parts = [
        f"SELECT _source_id FROM {keys} WHERE {later}",
        f"SELECT _source_id FROM {keys} WHERE _is_point AND _extracted_at >= {began}",
    ]
    aside = sorted(
        {reject.source_id for commit in commits[proofs[-1] :] for reject in landing.rejects(commit)}
        - {""}
    )
    if aside:
        listed = ", ".join(f"({literal(one)})" for one in aside)
        parts.append(f"SELECT col0 AS _source_id FROM (VALUES {listed})")
    everything = " UNION ALL ".join(parts)
    return f" WHERE _source_id IN (SELECT _source_id FROM ({everything}))"
