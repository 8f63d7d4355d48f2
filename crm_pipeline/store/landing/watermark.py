"""How far committed windows are believed: no window ends later than it can have been read.

A window's end is a claim: it was chosen by a clock, ours or the vendor's, that may have been wrong. What
is believed is derived from the commits each time, nothing is rewritten:

* a commit that says which present its end was held against (`present`) is believed up to its end;
* an older one that ends later than it was committed is believed up to when it was read, by our clock;
* no commit is believed beyond the present that a later one was held against: clocks were set right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_pipeline.kernel.clock import Window, gap_free_edge
from crm_pipeline.store.landing.manifest import WindowCommit

# So much a machine's clock is off without anybody noticing; every sensible look-back is longer.
_UNNOTICED = timedelta(seconds=60)


@dataclass(frozen=True)
class Edge:
    """How far an object was read.

    Attributes:
        at: the watermark: every change before it has been read; None before a first whole read.
        claimed: what the windows say by themselves.
        is_set_back: a window claims too much, and no read since has started from `at`.
    """

    at: datetime | None
    claimed: datetime | None
    is_set_back: bool = False


def edge_of(commits: Sequence[WindowCommit], present: datetime | None = None) -> Edge:
    """Return how far an object was read.

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
    """Say whether two edges differ by more than clocks do without anybody noticing."""
    if later is None or earlier is None:
        return later != earlier
    return later - earlier > _UNNOTICED


def believed(
    commits: Sequence[WindowCommit], present: datetime | None = None
) -> Mapping[str, Window]:
    """Return by window id what is believed of each window; those of which nothing is are left out."""
    found: dict[str, Window] = {}
    for commit in reversed(commits):
        if commit.kind != "window":
            continue
        window, end = commit.window, _end(commit)
        if present is not None:
            end = min(end, present)
        if window.from_at is None or window.from_at <= end:
            found[commit.window_id] = Window(window.from_at, end)
        if commit.present is not None:
            present = commit.present if present is None else min(present, commit.present)
    return found


def setting_back(commits: Sequence[WindowCommit]) -> frozenset[str]:
    """Return the window ids of commits without which an earlier one would be believed too far."""
    found: set[str] = set()
    furthest: datetime | None = None
    for commit in commits:
        if commit.kind != "window":
            continue
        if commit.present is not None and furthest is not None and commit.present < furthest:
            found.add(commit.window_id)
        end = _end(commit)
        furthest = end if furthest is None else max(furthest, end)
    return frozenset(found)


def _end(commit: WindowCommit) -> datetime:
    end = commit.window.to_at
    if commit.present is not None or end <= commit.committed_at + _UNNOTICED:
        return end
    # What was changed while it was read may be missing: it counts up to when the first page came.
    return min((batch.started_at for batch in commit.batches), default=commit.committed_at)
