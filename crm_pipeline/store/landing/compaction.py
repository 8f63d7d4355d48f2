"""Merge old windows, so that a refresh costs the same however many refreshes lie behind it.

A merged commit has the union of the windows, as far as they are believed, and stands for several reads. Its batches
have the rows of the merged batches, unchanged and in their order: every version of a record stays, with the batch that
it came in and its times. What the merged commits and manifests said is kept beside it (`origins`). It names the commits
that it replaces and is written before they are removed. So a reader sees every window once at any moment, also after a
crash in between.

Commits are merged in segments in which none is larger than all others together. So each rewriting at least doubles the
file that a row is in: a row is rewritten as often as the logarithm of the number of windows, and as many files are left.
Only neighbours are merged. These stay as they are, and separate others: the latest commits, because people read them;
the first commit with a schema, because it says when the schema was seen; whole reads since the last one that proves
which records are deleted; commits that limit how far others are believed, or that disagree with the vendor's count.

Commits of single records that were read by their ids are merged with each other, and do not separate windows: versions
are folded by the places of the batches that they landed in, which merging keeps.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store import files
from crm_pipeline.store.landing.manifest import Missed, WindowCommit
from crm_pipeline.store.landing.watermark import believed, limiting_commits

KEPT = 3
"""The latest commits of each sort, windows and single records, stay as they are."""
FEWEST = 8
"""Merging costs a few flushed writes, so it waits for so many."""
_MOST = 1_000  # at once: of earlier versions there may be years of them
_MOST_BYTES = 16 << 20  # of batches; a larger file costs little by its number
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Merge:
    """Commits that one commit replaces.

    Attributes:
        commits: in their order, each with the believed part of its window.
    """

    commits: tuple[WindowCommit, ...]

    def commit(self) -> WindowCommit:
        """Return the merged commit under a new id, without its batches."""
        last = self.commits[-1]
        return replace(
            last,
            window_id=sortable_id(),
            window=self._window(),
            batches=(),
            records=sum(commit.records for commit in self.commits),
            known=sum(commit.known for commit in self.commits),
            quarantined=sum(commit.quarantined for commit in self.commits),
            erased=sum(commit.erased for commit in self.commits),
            retired=sum(commit.retired for commit in self.commits),
            withheld=sum(commit.withheld for commit in self.commits),
            unnamed=_sum(commit.unnamed for commit in self.commits),
            vendor_count=_sum(commit.vendor_count for commit in self.commits),
            vendor_count_before=_sum(commit.vendor_count_before for commit in self.commits),
            uncounted=sum(commit.uncounted for commit in self.commits),
            calls=sum(commit.calls for commit in self.commits),
            cost=sum(commit.cost for commit in self.commits),
            planned_cost=_sum(commit.planned_cost for commit in self.commits),
            reads=sum(commit.reads for commit in self.commits),
            route="+".join(sorted({r for c in self.commits for r in c.route.split("+") if r})),
            complete=False,
            sight="",
            shrink=None,
            missed=_all_missed(commit.missed for commit in self.commits),
            supersedes=tuple(commit.window_id for commit in self.commits),
            origins=None,
            origins_version=0,
            rejected_in=tuple(
                name
                for commit in self.commits
                if commit.quarantined or commit.erased  # files of erased rows have their numbers
                for name in commit.rejected_ids
            ),
        )

    def _window(self) -> Window:
        end = max(commit.window.to_at for commit in self.commits)
        if self.commits[-1].is_point:  # no time was read: its window stays empty
            return Window(end, end)
        starts = [commit.window.from_at for commit in self.commits]
        present = [start for start in starts if start is not None]
        return Window(min(present) if len(present) == len(starts) else None, end)


def current(commits: Sequence[WindowCommit]) -> list[WindowCommit]:
    """Return the commits without those that a merged commit among them replaces."""
    replaced = {name for commit in commits for name in commit.supersedes}
    return [commit for commit in commits if commit.window_id not in replaced]


def merges(commits: Sequence[WindowCommit], busy: frozenset[str] = frozenset()) -> list[Merge]:
    """Return which commits may be merged now, in the order of commits.

    Args:
        commits: of an object, in their order.
        busy: the ids of windows whose writers have not cleared up yet.
    """
    found: list[Merge] = []
    for run in _runs(commits, busy):
        chosen = segment([_count(commit) for commit in run], [_bytes(commit) for commit in run])
        if chosen is not None:
            part = run[slice(*chosen)]
            found += map(Merge, [tuple(part)] if part[0].is_point else _touching(part))
    return found


def segment(counts: Sequence[int], sizes: Sequence[int]) -> tuple[int, int] | None:
    """Return the start and end of the longest part of a run that is worth merging, the latest first; None for none.

    Args:
        counts: of rows and reads of each commit; the largest of a part counts at most as much as all others in it.
        sizes: of their batches in bytes.
    """
    for end in range(len(counts), FEWEST - 1, -1):
        best: int | None = None
        total = largest = size = 0
        for start in range(end - 1, max(end - 1 - _MOST, -1), -1):
            total += counts[start]
            largest = max(largest, counts[start])
            size += sizes[start]
            if size > _MOST_BYTES:
                break
            if end - start >= FEWEST and 2 * largest <= total:
                best = start
        if best is not None:
            return best, end
    return None


def is_worthwhile(folder: Path) -> bool:
    """Say from the number of files alone whether there may be enough to merge."""
    return len(commit_names(folder)) >= KEPT + FEWEST


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
        for name in sorted(gone):
            reached("merged_commits", "begin")
            (folder / "windows" / name).unlink(missing_ok=True)
            reached("merged_commits", "removed")
        # They must be gone for good before the merged commit, and its list with it, is merged itself.
        files.sync_folder(folder / "windows")


def _runs(commits: Sequence[WindowCommit], busy: frozenset[str]) -> list[list[WindowCommit]]:
    """Return the neighbours that may be merged; each commit has the believed part of its window.

    Windows and single records have runs of their own. Neither goes on across a whole read, so that files tell what
    landed before it from what landed after it.
    """
    windows, needed = believed(commits), limiting_commits(commits)
    proof = max((n for n, commit in enumerate(commits) if _is_firm_proof(commit)), default=0)
    latest = _latest(commits)
    runs: list[list[WindowCommit]] = [[]]
    points: list[list[WindowCommit]] = [[]]
    last = ""
    for n, commit in enumerate(commits):
        is_kept = commit.window_id in latest
        if commit.is_point:
            if is_kept or commit.window_id in busy:
                points.append([])
            else:
                points[-1].append(commit)
            continue
        if commit.complete:
            points.append([])
        is_first_of_schema = commit.schema_fingerprint != last
        last = commit.schema_fingerprint
        is_free = commit.window_id not in needed | busy and not (is_first_of_schema or is_kept)
        if is_free and _is_mergeable(commit, windows, is_past=n < proof):
            runs[-1].append(replace(commit, window=windows[commit.window_id]))
        else:
            runs.append([])
    return [*runs, *points]


def _latest(commits: Sequence[WindowCommit]) -> frozenset[str]:
    """Return the ids of the latest commits of each sort."""
    sorts = ([c for c in commits if c.is_point], [c for c in commits if not c.is_point])
    return frozenset(one.window_id for sort in sorts for one in sort[max(0, len(sort) - KEPT) :])


def _is_firm_proof(commit: WindowCommit) -> bool:
    """Say whether a commit proves absence whatever becomes of the quarantine."""
    return commit.proves_absence and not commit.quarantined


def _is_mergeable(commit: WindowCommit, windows: Mapping[str, Window], *, is_past: bool) -> bool:
    if commit.kind != "window" or commit.window_id not in windows or commit.differs_by:
        return False
    return is_past or not commit.complete


def _count(commit: WindowCommit) -> int:
    return commit.reads + sum(batch.records for batch in commit.batches)


def _bytes(commit: WindowCommit) -> int:
    return sum(batch.bytes for batch in commit.batches)


def _touching(run: Sequence[WindowCommit]) -> list[tuple[WindowCommit, ...]]:
    """Return groups of commits whose windows touch; a window that touches none is left out."""
    groups: list[list[WindowCommit]] = []
    edge: datetime | None = None
    for commit in sorted(run, key=lambda c: (c.window.from_at or _EVER, c.window.to_at)):
        if edge is not None and (commit.window.from_at or _EVER) <= edge:
            groups[-1].append(commit)
            edge = max(edge, commit.window.to_at)
        else:
            groups.append([commit])
            edge = commit.window.to_at
    return [
        tuple(sorted(group, key=lambda c: (c.committed_at, c.window_id)))
        for group in groups
        if len(group) > 1
    ]


def _all_missed(counts: Iterable[Missed | None]) -> Missed | None:
    found = [count for count in counts if count is not None]
    return sum(found, Missed()) if found else None


def _sum(amounts: Iterable[int | None]) -> int | None:
    """Return the sum, None where an amount is unknown."""
    listed = list(amounts)
    return None if None in listed else sum(amount for amount in listed if amount is not None)
