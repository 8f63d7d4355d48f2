"""Windows whose writer is gone: who wrote, whether it lives, clearing up, taking over.

`windows/<id>.open` names the process that writes a window and what it was reading. Who clears a
dead window or takes it over holds that file's lock, so that of many processes one does it.
"""

import fcntl
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.store import files
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.manifest import Kind, window_from

_FOREIGN_OWNER_EXPIRES = timedelta(days=2)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Interrupted:
    """A window that a process left behind, with what it had asked the vendor for.

    Attributes:
        purpose: what the reader noted when it began, see `Landing.begin`.
        same_boot: the machine has not been started anew since, so that unflushed bytes are whole.
    """

    window_id: str
    window: Window
    kind: Kind
    schema_fingerprint: str
    purpose: Mapping[str, Any]
    same_boot: bool
    marker: Path


def owner() -> dict[str, Any]:
    """Return what tells this process from all others."""
    process = psutil.Process()
    return {
        "host": platform.node(),
        "boot": _boot(),
        "pid": process.pid,
        "process_started": _started(process),
    }


def _boot() -> str:
    """Return what tells this start of the machine from others, where the system says it."""
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""


def _started(process: psutil.Process) -> float:
    """Return when a process started, in seconds that setting the clock does not move."""
    started = process.create_time()
    return started - psutil.boot_time() if psutil.LINUX else started


def is_being_written(marker: Mapping[str, Any], now: datetime) -> bool:
    """Say whether the writer that left this marker may still be at work.

    On this host the process is looked up by id and start time; another host's marker is believed
    for two days.
    """
    if marker.get("left"):
        return False
    if marker["host"] != platform.node():
        return now - parse_instant(marker["started_at"]) < _FOREIGN_OWNER_EXPIRES
    if marker["boot"] != _boot():
        return False
    try:
        process = psutil.Process(marker["pid"])
        # A killed process whose parent has not asked for its end is still listed.
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        started = _started(process)
    except psutil.NoSuchProcess:
        return False
    return bool(abs(started - float(marker["process_started"])) < 2.0)


def described(marker: Path, record: Mapping[str, Any]) -> Interrupted | None:
    """Return what can be resumed of a dead window; None if nothing was asked for that lives on.

    Nor can a window that committed, whose writer died while it cleared up: of what its spool said of
    the batches a part may be gone.
    """
    window_id = marker.stem
    if marker.with_suffix(".json").exists():
        return None
    if "window" not in record or Checkpoint(checkpoint_folder(marker)).request is None:
        return None
    return Interrupted(
        window_id=window_id,
        window=window_from(record["window"]),
        kind=record["kind"],
        schema_fingerprint=record["schema_fingerprint"],
        purpose=record["purpose"],
        same_boot=record["host"] == platform.node() and record["boot"] == _boot(),
        marker=marker,
    )


def checkpoint_folder(marker: Path) -> Path:
    """Return the spool of the window that a marker belongs to."""
    return marker.parent.parent / "spool" / marker.stem


@contextmanager
def claimed(marker: Path, now: datetime) -> Iterator[dict[str, Any] | None]:
    """Yield a dead window's marker for as long as nobody else may touch the window, else None."""
    try:
        handle = os.open(marker, os.O_RDONLY)
    except FileNotFoundError:  # its writer finished, or somebody else cleared it, just now
        yield None
        return
    try:
        yield _if_dead(marker, handle, now)
    finally:
        os.close(handle)  # which gives the lock back, as the end of the process does


def _if_dead(marker: Path, handle: int, now: datetime) -> dict[str, Any] | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who took the window over has put a file of its own in the place of the one we opened.
        if os.fstat(handle).st_ino != marker.stat().st_ino:
            return None
        record = files.read_json(marker)
    except (BlockingIOError, FileNotFoundError):
        return None
    except CorruptFile:
        # Whose it is cannot be told: like another host's it is believed for two days.
        written_at = datetime.fromtimestamp(os.fstat(handle).st_mtime, UTC)
        return None if now - written_at < _FOREIGN_OWNER_EXPIRES else {}
    return None if is_being_written(record, now) else record


def remove_interrupted(folder: Path, quarantine: Path, window_id: str) -> int:
    """Remove the marker and spool of a window and, unless it committed, its batches; count them.

    The marker goes last, so that a removal cut short is taken up again. Several processes may clear
    the same window at once.

    Raises:
        StoreError: something cannot be removed; the next run takes it up.
    """
    removed = 0
    with files.explained(folder):
        reached("clearing", "begin")
        if not (folder / "windows" / f"{window_id}.json").exists():
            removed = remove_batches(folder, quarantine, window_id)
        reached("clearing", "batches")
        for path in (folder / "windows").glob(f".{window_id}.*{files.TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(folder / "spool" / window_id)
        reached("clearing", "spool")
        (folder / "windows" / f"{window_id}.open").unlink(missing_ok=True)
        reached("clearing", "marker")
    return removed


def remove_batches(
    folder: Path, quarantine: Path, window_id: str, but: frozenset[str] = frozenset()
) -> int:
    """Remove the batches of an uncommitted window except the named ones, and count them."""
    removed = 0
    for place in (folder, quarantine):
        for path in place.glob(f"????-??/{window_id}-*.*"):
            if path.stem not in but:
                path.unlink(missing_ok=True)
                removed += path.suffix == ".json"
        for path in place.glob(f"????-??/.{window_id}-*{files.TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)
    return removed
