"""Carry out a merge that `compaction` has chosen: new batches, what they were made of, the new commit, in this order.

A process that dies leaves the old commits, or the new one; see `rewriting` for the files that do not count then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import Window
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.landing import origins, rewriting
from crm_pipeline.store.landing.compaction import Merge
from crm_pipeline.store.landing.corruption import unreadable_batch
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit

_REASON = "small windows were merged"


def carry_out(
    folder: Path,
    merge: Merge,
    commits: Mapping[str, WindowCommit],
    verifier: Verifier,
    now: datetime,
) -> WindowCommit:
    """Write a merged commit, and return it; the commits that it replaces are still there.

    Args:
        folder: the object's landing folder.
        merge: what to merge.
        commits: the commits as they are stored, by window id.
        verifier: compares files before they are read.
        now: the present.

    Raises:
        CorruptFile: a file of a merged window is damaged or gone; nothing was merged.
        StoreError: the disk is full or not writable; nothing was merged.
    """
    commit = merge.commit()
    old = [commits[name] for name in commit.supersedes]
    batches = [batch for one in old for batch in one.batches]
    for batch in batches:
        if not verifier.is_whole(batch.path, batch.sum):
            raise unreadable_batch(batch)
    planned = _planned(folder, commit, batches)
    new = [target.path for target, sources in planned if len(sources) > 1]
    if any(one.batches or one.quarantined for one in old):
        paths = [
            *(path for one in old for path in rewriting.files_of(folder, one)),
            *(path for parquet in new for path in (parquet, parquet.with_suffix(".json"))),
            origins.path_of(folder, commit),
        ]
        rewriting.note_replaced(folder, commit.window_id, paths, now, _REASON)
    into: dict[str, str] = {}
    kept: list[Manifest] = []
    for target, sources in planned:
        if len(sources) == 1:
            kept += sources
            continue
        rows = (part for batch in sources for part in rewriting.rows_of(batch))
        kept.append(rewriting.rewrite(target, rows, "merged"))
        into.update((batch.batch_id, target.batch_id) for batch in sources)
    kept_origins = origins.written(folder, commit, old, into, verifier)
    done = replace(commit, batches=tuple(kept), origins=kept_origins)
    rewriting.recommit(folder, done, "merged_commit")
    return done


def _planned(
    folder: Path, commit: WindowCommit, batches: Sequence[Manifest]
) -> list[tuple[Manifest, list[Manifest]]]:
    """Return the new batches with those whose rows each will have; one alone stays as it is."""
    alike: dict[tuple[object, ...], list[Manifest]] = {}
    for batch in batches:
        alike.setdefault(_kind(batch), []).append(batch)
    return [
        (_target(folder, commit, number, sources), sources)
        for number, sources in enumerate(alike.values(), start=1)
    ]


def _kind(batch: Manifest) -> tuple[object, ...]:
    """Return what batches must have in common to be one file: how their rows are read, and their columns."""
    try:
        columns = pq.read_schema(batch.path).remove_metadata()
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error
    by = (batch.kind, batch.route, batch.shape, batch.schema_fingerprint)
    return (*by, batch.extractor, batch.reader, batch.origin, batch.part, columns.to_string())


def _target(
    folder: Path, commit: WindowCommit, number: int, sources: Sequence[Manifest]
) -> Manifest:
    last = sources[-1]
    batch_id = f"{commit.window_id}-{number:05d}"
    starts = [batch.window.from_at for batch in sources]
    present = [start for start in starts if start is not None]
    return replace(
        last,
        batch_id=batch_id,
        window_id=commit.window_id,
        window=Window(
            min(present) if len(present) == len(starts) else None,
            max(batch.window.to_at for batch in sources),
        ),
        vendor_count=_sum(batch.vendor_count for batch in sources),
        calls=sum(batch.calls for batch in sources),
        started_at=min(batch.started_at for batch in sources),
        finished_at=max(batch.finished_at for batch in sources),
        sequence=number,
        path=folder / last.month / f"{batch_id}.parquet",
        merged=sum(batch.merged for batch in sources),
        erased=sum(batch.erased for batch in sources),
        retired=sum(batch.retired for batch in sources),
        rewritten=next((batch.rewritten for batch in sources if batch.rewritten), ""),
    )


def _sum(amounts: Iterable[int | None]) -> int | None:
    listed = list(amounts)
    return None if None in listed else sum(amount for amount in listed if amount is not None)
