"""Derive the watermark: committed windows count only up to the time at which they can have been read.

A clock, ours or the vendor's, chose a window's end, and it may have been wrong. How far a window is believed is
derived from the commits each time, nothing is rewritten:

* a commit that names the present that its end was checked against (`present`) is believed up to its end;
* an older commit that ends later than it was committed is believed up to when it was read, by our clock;
* no commit is believed beyond the `present` of a later one, because clocks may have been corrected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_pipeline.kernel.clock import Window, gap_free_edge
from crm_pipeline.store.landing.manifest import WindowCommit

# A clock may be off by so much without anybody noticing; every sensible look-back is longer.
_UNNOTICED = timedelta(seconds=60)


@dataclass(frozen=True)
class Edge:
    """How far an object has been read.

    Attributes:
        at: the watermark: every change before it has been read; None before a first whole read.
        claimed: the edge by the windows' own ends.
        is_set_back: a committed window claims more than it can have read, and nothing has been read again from
            `at` yet.
    """

    at: datetime | None
    claimed: datetime | None
    is_set_back: bool = False


def edge_of(commits: Sequence[WindowCommit], present: datetime | None = None) -> Edge:
    """Return how far an object has been read.

    Args:
        commits: of the object, in the order of their commits.
        present: a plausible present; no window is believed beyond it.
    """
    windows = [commit for commit in commits if commit.kind == "window"]
    claimed = gap_free_edge(commit.window for commit in windows)
    derived = gap_free_edge(believed(windows).values())
    at = derived if present is None else gap_free_edge(believed(windows, present).values())
    # A read that noted its present has started from what was derived then.
    is_handled = bool(windows) and windows[-1].present is not None
    is_set_back = _is_far(claimed, derived) and not is_handled
    return Edge(at, claimed, is_set_back or _is_far(derived, at))


def _is_far(later: datetime | None, earlier: datetime | None) -> bool:
    """Say whether two edges differ by more than an unnoticed error of a clock."""
    if later is None or earlier is None:
        return later != earlier
    return later - earlier > _UNNOTICED


def believed(
    commits: Sequence[WindowCommit], present: datetime | None = None
) -> Mapping[str, Window]:
    """Return the believed part of each window by window id; a window that is not believed is left out."""
    windows: dict[str, Window] = {}
    for commit in reversed(commits):
        if commit.kind != "window":
            continue
        window, end = commit.window, _end(commit)
        if present is not None:
            end = min(end, present)
        if window.from_at is None or window.from_at <= end:
            windows[commit.window_id] = Window(window.from_at, end)
        if commit.present is not None:
            present = commit.present if present is None else min(present, commit.present)
    return windows


def limiting_commits(commits: Sequence[WindowCommit]) -> frozenset[str]:
    """Return the window ids of the commits whose present limits an earlier window; compaction must keep them."""
    needed: set[str] = set()
    furthest: datetime | None = None
    for commit in commits:
        if commit.kind != "window":
            continue
        if commit.present is not None and furthest is not None and commit.present < furthest:
            needed.add(commit.window_id)
        end = _end(commit)
        furthest = end if furthest is None else max(furthest, end)
    return frozenset(needed)


def _end(commit: WindowCommit) -> datetime:
    end = commit.window.to_at
    if commit.present is not None or end <= commit.committed_at + _UNNOTICED:
        return end
    # Changes during the read may be missing: the window counts up to when its first page was requested.
    return min((batch.started_at for batch in commit.batches), default=commit.committed_at)
