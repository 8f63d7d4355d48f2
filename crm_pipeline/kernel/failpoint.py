"""Named points between two writes at which a drill can kill this process or fail its disk.

The variable `CRM_FAILPOINT`, read once, holds `<point>:<nth>:<action>`. The action happens when the
process reaches the point for the n-th time. A point is `<file kind>.<step>`, see `POINTS`; `*` is any.
Actions: `kill` (SIGKILL to itself), `full` (the disk has no space left), `broken` (the disk fails).
Without the variable a point costs one comparison.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from crm_pipeline.kernel.errors import ConfigError, UnknownName

VARIABLE = "CRM_FAILPOINT"
_FILE = ("begin", "written", "flushed", "named")
_WRITES: Mapping[str, tuple[str, ...]] = {
    # landing
    "schema": _FILE,
    "marker": _FILE,
    "request": _FILE,
    "page": ("begin", "written", "named"),  # not flushed, see `store.landing.checkpoint`
    "page_done": _FILE,
    "batch": _FILE,
    "manifest": _FILE,
    "rejects": _FILE,
    "rejects_manifest": _FILE,
    "commit": _FILE,
    "clearing": ("begin", "batches", "spool", "marker"),
    # merging of small windows
    "replaced": _FILE,
    "merged": _FILE,
    "merged_manifest": _FILE,
    "origins": _FILE,
    "merged_commit": _FILE,
    "retired": _FILE,
    "retired_manifest": _FILE,
    "retired_commit": _FILE,
    "merged_commits": ("begin", "removed"),
    "replaced_files": ("begin", "removed"),
    # tables
    "part": ("begin", "written", "flushed"),
    "version": _FILE,
    "release": _FILE,
    "pointer": _FILE,
    "collecting": ("begin", "removed"),
    # published
    "snapshot": _FILE,
    "snapshot_copy": ("copied", "applied"),
    "snapshot_sum": _FILE,
    "link": ("begin", "written", "named"),
    "parquet": _FILE,
    "checksums": _FILE,
    "outdated": ("begin", "removed"),
    "old_snapshots": ("begin", "removed"),
}
POINTS = frozenset(f"{file}.{step}" for file, steps in _WRITES.items() for step in steps)
"""All points. The steps of a file: `begin`: nothing is there; `written` under a temporary name;
`flushed` to the disk; `named`: it has its name, and its folder is not flushed yet."""

Watcher = Callable[[str], None]


@dataclass
class _Current:
    watcher: Watcher | None = None


_current = _Current()


def reached(file: str, step: str) -> None:
    """Report that the process is at a point; without an order nothing happens."""
    watcher = _current.watcher or _ordered()
    if watcher is not None and file:
        watcher(f"{file}.{step}")


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Call `watcher` with every point that the process reaches, in place of the environment's order."""
    before, _current.watcher = _current.watcher, watcher
    try:
        yield
    finally:
        _current.watcher = before


def armed(order: str) -> Watcher:
    """Return a watcher that carries out an order, `<point>:<nth>:<action>`.

    Raises:
        ConfigError: the order has another form, or names an unknown point or action.
    """
    point, nth, action = _parsed(order)
    lock = threading.Lock()
    times = 0

    def watch(name: str) -> None:
        nonlocal times
        if point not in {name, "*"}:
            return
        with lock:
            times += 1
            is_due = times == nth
        if is_due:
            _ACTIONS[action](name)

    return watch


def _parsed(order: str) -> tuple[str, int, str]:
    parts = order.split(":")
    if len(parts) != 3 or not parts[1].isdigit() or int(parts[1]) < 1:
        raise ConfigError(
            f"'{order}' is no order for a failpoint.",
            cure=f"Write <point>:<nth>:<action>, such as commit.named:1:kill, or unset {VARIABLE}.",
        )
    point, nth, action = parts
    if point != "*" and point not in POINTS:
        raise UnknownName("failpoint", point, POINTS, where=VARIABLE)
    if action not in _ACTIONS:
        raise UnknownName("action", action, _ACTIONS, where=VARIABLE)
    return point, int(nth), action


@cache
def _ordered() -> Watcher | None:
    order = os.environ.get(VARIABLE, "")
    return armed(order) if order else None


def _kill(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _full(_: str) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _broken(_: str) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


_ACTIONS: Mapping[str, Watcher] = {"kill": _kill, "full": _full, "broken": _broken}
