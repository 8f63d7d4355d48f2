"""Merge window commits that landed nothing, so that years of unchanged refreshes stay few files.

A merged commit has the union of the windows, as far as they are believed, and stands for several reads. It names
the commits that it replaces and is written before they are removed. So a reader sees every window once at any moment,
also after a crash in between. Commits with batches are never changed.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store import files
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.watermark import believed, limiting_commits

KEPT = 100  # the latest commits stay as they are, because people read them
_WORTH = 100  # merging costs a few flushed writes, so it waits for so many
_EVER = datetime.min.replace(tzinfo=UTC)


def current(commits: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Return the commits without those that a merged commit among them replaces."""
    replaced = {name for commit in commits for name in commit.supersedes}
    return [commit for commit in commits if commit.window_id not in replaced]


def merged(commits: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Return merged commits that may replace older ones that landed nothing, in the order of commits.

    Only neighbours in time with the same schema are merged. The first commit with a new schema stays,
    because it says when the schema was seen.
    """
    windows, needed = believed(commits), limiting_commits(commits)
    merged_commits: list[WindowCommit] = []
    run: list[WindowCommit] = []
    last = ""
    for commit in commits[: max(len(commits) - KEPT, 0)]:
        if commit.schema_fingerprint != last:
            merged_commits += _joined(run)
            run, last = [], commit.schema_fingerprint
        elif _is_empty(commit) and commit.window_id in windows.keys() - needed:
            # Only the believed part of a window may become part of another.
            run.append(replace(commit, window=windows[commit.window_id]))
    merged_commits += _joined(run)
    replaced = sum(len(commit.supersedes) for commit in merged_commits)
    return merged_commits if replaced >= _WORTH else []


def is_worthwhile(folder: Path) -> bool:
    """Say from the number of files alone whether there may be enough to merge."""
    return len(commit_names(folder)) >= KEPT + _WORTH


def commit_names(folder: Path) -> set[str]:
    """Return the names of the commit files in an object's landing folder."""
    try:
        return {path.name for path in (folder / "windows").iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return set()


@contextmanager
def merge_lock(folder: Path) -> Iterator[bool]:
    """Try to lock the merging of an object's commits, and yield whether that succeeded."""
    with files.explained(folder):
        handle = os.open(
            folder / "windows" / ".merging", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def remove_replaced(folder: Path, commits: Sequence[WindowCommit]) -> None:
    """Remove the files of commits that others replace, and flush the folder.

    Raises:
        StoreError: the folder is not writable.
    """
    names = commit_names(folder)
    gone = {f"{name}.json" for commit in commits for name in commit.supersedes} & names
    if not gone:
        return
    with files.explained(folder):
        for name in gone:
            (folder / "windows" / name).unlink(missing_ok=True)
        # They must be gone for good before the merged commit, and its list with it, is merged itself.
        files.sync_folder(folder / "windows")


def _is_empty(commit: WindowCommit) -> bool:
    if commit.kind != "window" or commit.complete or commit.batches or commit.quarantined:
        return False
    # A commit with a difference stays visible.
    return commit.vendor_count in (None, commit.known + commit.withheld - commit.uncounted)


def _joined(run: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Return merged commits for windows that touch; a window that touches none is left out."""
    groups: list[list[WindowCommit]] = []
    edge: datetime | None = None
    for commit in sorted(run, key=lambda c: (c.window.from_at or _EVER, c.window.to_at)):
        if edge is not None and (commit.window.from_at or _EVER) <= edge:
            groups[-1].append(commit)
            edge = max(edge, commit.window.to_at)
        else:
            groups.append([commit])
            edge = commit.window.to_at
    joined = [_merged(group) for group in groups if len(group) > 1]
    return sorted(joined, key=lambda commit: commit.committed_at)


def _merged(group: Sequence[WindowCommit]) -> WindowCommit:
    last = max(group, key=lambda commit: (commit.committed_at, commit.window_id))
    return replace(
        last,
        window_id=sortable_id(),
        window=Window(group[0].window.from_at, max(commit.window.to_at for commit in group)),
        calls=sum(commit.calls for commit in group),
        cost=sum(commit.cost for commit in group),
        planned_cost=_sum(commit.planned_cost for commit in group),
        reads=sum(commit.reads for commit in group),
        supersedes=tuple(commit.window_id for commit in group),
    )


def _sum(amounts: Iterable[int | None]) -> int | None:
    """Return the sum, None where an amount is unknown."""
    listed = list(amounts)
    return None if None in listed else sum(amount for amount in listed if amount is not None)
