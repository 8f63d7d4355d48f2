"""Interrupted windows: the writer's identity, whether it is alive, removal, resumption.

`windows/<id>.open` names the process that writes a window, and what it reads. A process that removes or resumes
an interrupted window holds that file's lock, so that only one does.
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
    """A window that a dead process left behind, with its request to the vendor.

    Attributes:
        purpose: the facts that the reader noted at its start, see `Landing.begin`.
        same_boot: the machine was not restarted since, so unflushed bytes are whole.
    """

    window_id: str
    window: Window
    kind: Kind
    schema_fingerprint: str
    purpose: Mapping[str, Any]
    same_boot: bool
    marker: Path


def owner() -> dict[str, Any]:
    """Return what identifies this process among all others."""
    process = psutil.Process()
    return {
        "host": platform.node(),
        "boot": _boot(),
        "pid": process.pid,
        "process_started": _started(process),
    }


def _boot() -> str:
    """Return the id of the machine's current boot; "" where the system has none."""
    return _BOOT_ID.read_text(encoding="ascii").strip() if _BOOT_ID.exists() else ""


def _started(process: psutil.Process) -> float:
    """Return when a process started, in seconds that do not move when the clock is set."""
    started = process.create_time()
    return started - psutil.boot_time() if psutil.LINUX else started


def is_being_written(marker: Mapping[str, Any], now: datetime) -> bool:
    """Say whether the writer of this marker may still be alive.

    On this host the process is looked up by id and start time; another host's marker is valid for two days.
    """
    if marker.get("left"):
        return False
    if marker["host"] != platform.node():
        return now - parse_instant(marker["started_at"]) < _FOREIGN_OWNER_EXPIRES
    if marker["boot"] != _boot():
        return False
    try:
        process = psutil.Process(marker["pid"])
        # A killed process is listed until its parent collects it.
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        started = _started(process)
    except psutil.NoSuchProcess:
        return False
    return bool(abs(started - float(marker["process_started"])) < 2.0)


def resumable(marker: Path, record: Mapping[str, Any]) -> Interrupted | None:
    """Return an interrupted window that can be resumed; None where the vendor has nothing to resume.

    A committed window, whose writer died during the removal of its checkpoint, cannot be resumed either:
    part of the checkpoint may be gone.
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
    """Return the checkpoint folder of a marker's window."""
    return marker.parent.parent / "spool" / marker.stem


@contextmanager
def claimed(marker: Path, now: datetime) -> Iterator[dict[str, Any] | None]:
    """Lock an interrupted window and yield its marker; None where it is alive, gone, or locked by others."""
    try:
        handle = os.open(marker, os.O_RDONLY)
    except FileNotFoundError:  # its writer has just finished, or another process has removed it
        yield None
        return
    try:
        yield _if_dead(marker, handle, now)
    finally:
        os.close(handle)  # releases the lock, as the end of the process does


def _if_dead(marker: Path, handle: int, now: datetime) -> dict[str, Any] | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A process that resumed the window has replaced the file that we opened by its own.
        if os.fstat(handle).st_ino != marker.stat().st_ino:
            return None
        record = files.read_json(marker)
    except (BlockingIOError, FileNotFoundError):
        return None
    except CorruptFile:
        # The writer is unknown, so the marker is valid for two days, like another host's.
        written_at = datetime.fromtimestamp(os.fstat(handle).st_mtime, UTC)
        return None if now - written_at < _FOREIGN_OWNER_EXPIRES else {}
    return None if is_being_written(record, now) else record


def remove_interrupted(folder: Path, quarantine: Path, window_id: str) -> int:
    """Remove a window's marker, checkpoint and, unless it committed, batches; return how many batches.

    The marker is removed last, so that an interrupted removal is repeated. Several processes may remove
    the same window at once.

    Raises:
        StoreError: a file cannot be removed; the next run tries again.
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
    """Remove the batches of an uncommitted window except the named ones; return how many."""
    removed = 0
    for root in (folder, quarantine):
        for path in root.glob(f"????-??/{window_id}-*.*"):
            if path.stem not in but:
                path.unlink(missing_ok=True)
                removed += path.suffix == ".json"
        for path in root.glob(f"????-??/.{window_id}-*{files.TEMPORARY_SUFFIX}"):
            path.unlink(missing_ok=True)
    return removed
