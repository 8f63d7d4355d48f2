"""Write landed batches anew, and replace the commits that name them, in one step.

The new files get names of their own. The commit decides which files count: it is written after them, so that a reader
sees the old files or the new ones, also after a crash. What is replaced stays for a day, because a build or a scrub
may have listed it. A list, `windows/<id>.replaced`, is written first: of the files in it, `collect` removes those that
no commit names a day later, be it the old ones or those of a process that died before its commit. An erasure leaves no
such day: it calls `remove_unnamed`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import origins
from crm_pipeline.store.landing.batch_file import write_rows
from crm_pipeline.store.landing.corruption import unreadable_batch
from crm_pipeline.store.landing.manifest import (
    Manifest,
    WindowCommit,
    commit_record,
    manifest_record,
)

SUFFIX = ".replaced"
REPLACED_CURE = "Remove it: the files that it lists stay on the disk, and nothing uses them."
KEPT_FOR = timedelta(days=1)
"""As versions of tables: a build that takes longer has to be repeated."""
_ROWS = 20_000


def rows_of(batch: Manifest) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a batch as they are stored, state columns included.

    Raises:
        CorruptFile: its file is damaged or gone.
    """
    try:
        with pq.ParquetFile(batch.path) as file:
            if not file.metadata.num_rows:  # all of them were erased
                yield pa.RecordBatch.from_pylist([], file.schema_arrow)
            yield from file.iter_batches(_ROWS)
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error


def rewrite(batch: Manifest, rows: Iterable[pa.RecordBatch], kind: str = "rewritten") -> Manifest:
    """Write rows, state columns included, as the file of a batch, and its manifest; return the manifest.

    Args:
        batch: the manifest; its path must be a new one. Records, bytes and checksum are filled in.
        rows: all of the same columns.
        kind: of file, for failpoints.

    Raises:
        StoreError: the disk is full or not writable; nothing counts yet.
    """
    count = write_rows(batch.path, rows, kind)
    written = FileSum.of(batch.path)
    done = replace(batch, records=count, bytes=written.bytes, sha256=written.sha256)
    files.write_json(batch.path.with_suffix(".json"), manifest_record(done), f"{kind}_manifest")
    return done


def recommit(folder: Path, commit: WindowCommit, kind: str = "rewritten_commit") -> None:
    """Write a commit, in the place of an earlier one of the same id if there is one: from now on it counts.

    The files that it names no longer must stand in a list, see `note_replaced`.
    """
    files.write_json(folder / "windows" / f"{commit.window_id}.json", commit_record(commit), kind)


def note_replaced(
    folder: Path, name: str, paths: Iterable[Path], now: datetime, reason: str
) -> None:
    """List files of which one set replaces the other; to be called before the first of them is written.

    Args:
        folder: the object's landing folder.
        name: of the list: the id of the window or of the rewriting.
        paths: the old files and the new ones, below the folder.
        now: the time from which they are kept for a day.
        reason: why, for people.
    """
    record = {
        "noted_at": format_instant(now),
        "reason": reason,
        "files": sorted(str(path.relative_to(folder)) for path in paths),
    }
    files.write_json(folder / "windows" / f"{name}{SUFFIX}", record, "replaced")


def files_of(folder: Path, commit: WindowCommit) -> list[Path]:
    """Return the files that a commit names: batches, their manifests, what was merged into it."""
    paths = [path for batch in commit.batches for path in _both(batch.path)]
    return [*paths, *([origins.path_of(folder, commit)] if commit.origins else [])]


def collect(folder: Path, commits: Sequence[WindowCommit], now: datetime) -> int:
    """Remove the files of lists older than a day that no commit names; return how many.

    Args:
        folder: the object's landing folder.
        commits: all that count.
        now: the present.

    Raises:
        StoreError: a file cannot be removed; the next call tries again.
    """
    due = [listed for path in lists(folder) if (listed := _due(path, now - KEPT_FOR))]
    if not due:
        return 0
    named = _named(folder, commits)
    removed = 0
    for path, names in due:
        removed += sum(_remove(folder / name) for name in names if folder / name not in named)
        with files.explained(path):
            path.unlink(missing_ok=True)
    return removed


def remove_unnamed(folder: Path, commits: Callable[[], Sequence[WindowCommit]]) -> int:
    """Remove at once all files that no commit names, even what a reader has listed; return how many.

    The files of windows that are being written stay. The caller holds the lock for merging, so that nobody else
    writes what is not named yet.

    Args:
        folder: the object's landing folder.
        commits: returns all that count.

    Raises:
        StoreError: a file cannot be removed; the next call tries again.
    """
    listed = [
        *folder.glob("????-??/*"),
        *(path for path in (folder / "windows").iterdir() if _is_of_rewriting(path)),
    ]
    # In this order: whatever was listed and has no marker any more is named by a commit, or belongs to nobody.
    writing = {path.stem for path in (folder / "windows").glob("*.open")}
    named = _named(folder, commits())
    gone = [path for path in listed if path not in named and _window_of(path) not in writing]
    return sum(_remove(path) for path in gone)


def _named(folder: Path, commits: Sequence[WindowCommit]) -> set[Path]:
    return {path for commit in commits for path in files_of(folder, commit)}


def _window_of(path: Path) -> str:
    """Return the id of the window that a file, or a temporary file of one, belongs to."""
    return path.name.lstrip(".").partition(".")[0].partition("-")[0]


def _is_of_rewriting(path: Path) -> bool:
    """Say whether a file of `windows` is a list, has merged commits, or is what a dead process left of a commit."""
    is_left = path.suffix == files.TEMPORARY_SUFFIX and ".json" in path.suffixes
    return is_left or not {origins.SUFFIX, SUFFIX}.isdisjoint(path.suffixes)


def lists(folder: Path) -> list[Path]:
    """Return the lists of replaced files."""
    return sorted((folder / "windows").glob(f"[!.]*{SUFFIX}"))


def _remove(path: Path) -> bool:
    existed = False
    with files.explained(path):
        reached("replaced_files", "begin")
        with suppress(FileNotFoundError):  # removed by another process
            path.unlink()
            existed = True
        for temporary in path.parent.glob(f".{path.name}.*{files.TEMPORARY_SUFFIX}"):
            temporary.unlink(missing_ok=True)
        reached("replaced_files", "removed")
    return existed


def _due(path: Path, before: datetime) -> tuple[Path, list[str]] | None:
    """Return a list and its files if it was noted before; a damaged list stays, and `scrub` reports it."""
    try:
        record = files.read_json(path)
        is_due = parse_instant(record["noted_at"]) <= before
        return (path, [str(name) for name in record["files"]]) if is_due else None
    except (FileNotFoundError, CorruptFile, KeyError, TypeError, ValueError):
        return None


def _both(path: Path) -> tuple[Path, Path]:
    return path, path.with_suffix(".json")
