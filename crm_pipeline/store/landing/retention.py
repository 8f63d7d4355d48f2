"""Remove superseded versions of records from landing, by the rewriting that merging uses.

Which ones may go is decided by whoever knows what is made of them. A batch without them is a new file under a new name;
the window's commit is replaced in one step and names the new files, see `rewriting`. A process that dies before that
leaves everything as it was. The places of batches stay, whatever is left of their rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.landing import compaction, origins, rewriting
from crm_pipeline.store.landing.file_versions import next_version
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.rereads import FOLDER as REREAD

RETIRED = "superseded versions removed"
LEAST_SHARE = 0.1
"""A file is written again once so large a part of its rows may go."""
_REASON = "superseded versions were removed"
_BETWEEN = "\x1f"


@dataclass(frozen=True)
class Superseded:
    """Rows that may go: all rows of a record in a landed batch.

    Attributes:
        batch_ids: of the batches that the rows landed in.
        source_ids: the records, one for each entry of `batch_ids`.
    """

    batch_ids: pa.Array
    source_ids: pa.Array

    @property
    def keys(self) -> pa.Array:
        """One text for each batch and record."""
        return pc.binary_join_element_wise(self.batch_ids, self.source_ids, _BETWEEN)


def remove_superseded(landing: Landing, connection: str, obj: str, rows: Superseded) -> int:
    """Remove rows from the landed batches of an object; return how many went.

    If another process is merging, nothing is done.

    Args:
        landing: where the object landed.
        connection: its connection.
        obj: the object.
        rows: what may go.

    Raises:
        CorruptFile: a batch is damaged; it stays as it is.
        StoreError: the disk is full or not writable; nothing is lost.
    """
    folder = landing.folder(connection, obj)
    keys = rows.keys.unique()
    if not len(keys):
        return 0
    removed = 0
    with compaction.merge_lock(folder) as is_locked:
        if not is_locked:
            return 0
        for commit in landing.windows(connection, obj):
            removed += _of_commit(landing, folder, commit, keys)
        if removed and (folder / REREAD).exists():
            rmtree(folder / REREAD)  # copies of the batches as they were; they are made again
    return removed


def _of_commit(landing: Landing, folder: Path, commit: WindowCommit, keys: pa.Array) -> int:
    counts = {batch.batch_id: _count(batch, keys) for batch in commit.batches}
    worth = {
        batch.batch_id: replace(batch, path=next_version(batch.path), rewritten=RETIRED)
        for batch in commit.batches
        if sum(counts[batch.batch_id].values()) >= max(1, LEAST_SHARE * batch.records)
    }
    if not worth:
        return 0
    landing.check(batch for batch in commit.batches if batch.batch_id in worth)
    after = replace(commit, batches=tuple(worth.get(b.batch_id, b) for b in commit.batches))
    if commit.origins:
        after = replace(after, origins_version=commit.origins_version + 1)
    paths = {*rewriting.files_of(folder, commit), *rewriting.files_of(folder, after)}
    rewriting.note_replaced(folder, commit.window_id, paths, landing.clock.now(), _REASON)
    batches = []
    gone: dict[str, int] = {}
    for batch in commit.batches:
        target = worth.get(batch.batch_id)
        if target is None:
            batches.append(batch)
            continue
        own = counts[batch.batch_id]
        gone.update(own)
        target = replace(target, retired=batch.retired + sum(own.values()))
        batches.append(rewriting.rewrite(target, _rest_of(batch, keys), "retired"))
    fresh = _numbered(commit, batches)
    if commit.origins:
        fresh = origins.rewritten(
            folder,
            fresh,
            Verifier(),
            lambda one: _numbered(one, [_less(batch, gone) for batch in one.batches]),
        )
    rewriting.recommit(folder, fresh, "retired_commit")
    return sum(gone.values())


def _keys_of(part: pa.RecordBatch) -> pa.Array:
    return pc.binary_join_element_wise(
        part.column("_batch_id").cast(pa.string()), part.column("_source_id"), _BETWEEN
    )


def _count(batch: Manifest, keys: pa.Array) -> dict[str, int]:
    """Return how many rows may go, by the batch that they landed in."""
    counts: dict[str, int] = {}
    with pq.ParquetFile(batch.path) as file:
        for part in file.iter_batches(columns=["_source_id", "_batch_id"]):
            names = part.column("_batch_id").cast(pa.string())
            for entry in pc.value_counts(
                names.filter(pc.is_in(_keys_of(part), value_set=keys))
            ).to_pylist():
                counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    return counts


def _rest_of(batch: Manifest, keys: pa.Array) -> Iterator[pa.RecordBatch]:
    for part in rewriting.rows_of(batch):
        yield part.filter(pc.invert(pc.is_in(_keys_of(part), value_set=keys)))


def _numbered(commit: WindowCommit, batches: list[Manifest]) -> WindowCommit:
    return replace(
        commit,
        batches=tuple(batches),
        records=sum(batch.records for batch in batches),
        retired=sum(batch.retired for batch in batches),
    )


def _less(batch: Manifest, gone: Mapping[str, int]) -> Manifest:
    """Return a merged manifest without the rows that were removed from the file that holds its rows."""
    count = gone.get(batch.batch_id, 0)
    return replace(batch, records=batch.records - count, retired=batch.retired + count)
