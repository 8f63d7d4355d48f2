"""Merging window commits that landed nothing, so that years of unchanged refreshes stay few files.

A merged commit states the union of the spans, as far as those are believed, and stands for several
reads. It is written before what it replaces is removed and names that, so a reader at any moment, also
after a crash in between, sees every span once. What holds batches is never touched.
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
from crm_pipeline.store.landing.watermark import believed, setting_back

KEPT = 100  # the newest commits stay as they are: people look at them
_WORTH = 100  # merging costs a few flushed writes, so it is done for so many at a time
_EVER = datetime.min.replace(tzinfo=UTC)


def current(commits: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Return the commits without those that a merged one among them replaces."""
    gone = {name for commit in commits for name in commit.supersedes}
    return [commit for commit in commits if commit.window_id not in gone] if gone else [*commits]


def merged(commits: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Return the commits that may replace older ones that landed nothing; in order of commit.

    Only neighbours in time whose fields were described alike are merged, and the first commit with
    new fields stays: it says when they were seen.
    """
    spans, needed = believed(commits), setting_back(commits)
    found: list[WindowCommit] = []
    run: list[WindowCommit] = []
    last = ""
    for commit in commits[: max(len(commits) - KEPT, 0)]:
        if commit.schema_fingerprint != last:
            found += _joined(run)
            run, last = [], commit.schema_fingerprint
        elif _is_empty(commit) and commit.window_id in spans.keys() - needed:
            # Of a window that claims too much only what is believed may become part of another.
            run.append(replace(commit, window=spans[commit.window_id]))
    found += _joined(run)
    return found if sum(len(commit.supersedes) for commit in found) >= _WORTH else []


def is_worthwhile(folder: Path) -> bool:
    """Say, from the number of files alone, whether there may be enough to merge."""
    return len(commit_names(folder)) >= KEPT + _WORTH


def commit_names(folder: Path) -> set[str]:
    """Return the names of the commit files in an object's landing folder."""
    try:
        return {path.name for path in (folder / "windows").iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return set()


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Yield whether this process is the only one that merges commits of an object now."""
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
    """Remove the files of commits that others replace, and flush that.

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
        # Before the merged commit is itself merged, and its list with it, they must be gone for good.
        files.sync_folder(folder / "windows")


def _is_empty(commit: WindowCommit) -> bool:
    if commit.kind != "window" or commit.complete or commit.batches or commit.quarantined:
        return False
    return commit.vendor_count in (
        None,
        commit.known - commit.uncounted,
    )  # a difference stays in sight


def _joined(run: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Merge the commits whose spans touch; what touches nothing is not returned."""
    groups: list[list[WindowCommit]] = []
    edge: datetime | None = None
    for commit in sorted(run, key=lambda c: (c.window.from_at or _EVER, c.window.to_at)):
        if edge is not None and (commit.window.from_at or _EVER) <= edge:
            groups[-1].append(commit)
            edge = max(edge, commit.window.to_at)
        else:
            groups.append([commit])
            edge = commit.window.to_at
    found = [_merged(group) for group in groups if len(group) > 1]
    return sorted(found, key=lambda commit: commit.committed_at)


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
    """Add up, None where one is not known."""
    known = list(amounts)
    return None if None in known else sum(amount for amount in known if amount is not None)
