"""Writing one window into landing: batches, quarantine, and the commit that makes them count."""

import platform
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import Clock, Month, Window, format_instant, parse_instant
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.model.schema import Schema
from crm_pipeline.store import files
from crm_pipeline.store.batch_file import write_batch_file
from crm_pipeline.store.manifest import (
    Kind,
    Manifest,
    Shape,
    WindowCommit,
    commit_record,
    manifest_record,
)

EXTRACTOR = "crm_pipeline/1"
_FOREIGN_OWNER_EXPIRES = timedelta(days=2)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Counts:
    """What a finished read says about its window; see `WindowCommit` for the meanings."""

    vendor_count: int | None = None
    vendor_count_before: int | None = None
    known: int = 0
    complete: bool = False
    route: str = ""
    reason: str = ""
    calls: int = 0


class WindowWriter:
    """Writes the batches of one window; leaving the `with` block without commit removes them."""

    def __init__(
        self,
        *,
        folder: Path,
        quarantine: Path,
        connection: str,
        obj: str,
        window: Window,
        kind: Kind,
        schema: Schema,
        clock: Clock,
    ) -> None:
        self.folder = folder
        self.connection = connection
        self.object = obj
        self.window = window
        self.kind = kind
        self.schema = schema
        self.clock = clock
        self.window_id = sortable_id()
        self.month = str(Month.of(window.to_at - timedelta(microseconds=1)))
        self.months: Counter[str] = Counter()
        self.quarantined = 0
        self.manifests: list[Manifest] = []
        self._quarantine = quarantine
        self._lock = threading.Lock()
        self._sequence = 0
        files.write_json(self._marker, {**_owner(), "started_at": format_instant(clock.now())})

    @property
    def spool(self) -> Path:
        """A folder for bytes as received; it goes when the window has committed."""
        return files.make_folder(self.folder / "spool" / self.window_id)

    @property
    def _marker(self) -> Path:
        return self.folder / "windows" / f"{self.window_id}.open"

    def write(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        shape: Shape,
        route: str,
        extracted_at: datetime,
        calls: int = 0,
        vendor_count: int | None = None,
    ) -> Manifest | None:
        """Write one page as one Parquet file with its manifest; None where there are no records.

        The batches carry the key columns of `store.records`. `extracted_at` is when the page was
        asked for; it decides between two reads of one version of a record.

        Raises:
            StoreError: the disk is full or not writable; no manifest was written.
        """
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
        batch_id = f"{self.window_id}-{sequence:05d}"
        path = self.folder / self.month / f"{batch_id}.parquet"
        started_at = self.clock.now()
        rows, months = write_batch_file(path, batches, batch_id, extracted_at)
        if rows == 0:
            return None
        manifest = Manifest(
            batch_id=batch_id,
            window_id=self.window_id,
            kind=self.kind,
            connection=self.connection,
            object=self.object,
            route=route,
            shape=shape,
            window=self.window,
            records=rows,
            bytes=path.stat().st_size,
            sha256=files.sha256_of(path),
            vendor_count=vendor_count,
            calls=calls,
            schema_fingerprint=self.schema.fingerprint,
            extractor=EXTRACTOR,
            started_at=started_at,
            finished_at=self.clock.now(),
            sequence=sequence,
            month=self.month,
            path=path,
        )
        files.write_json(path.with_suffix(".json"), manifest_record(manifest))
        with self._lock:
            self.months.update(months)
            self.manifests.append(manifest)
        return manifest

    def quarantine(self, rows: Sequence[tuple[str, str]]) -> None:
        """Keep rows that cannot be landed, each `(reason, text as received)`."""
        if not rows:
            return
        with self._lock:
            self._sequence += 1
            batch_id = f"{self.window_id}-{self._sequence:05d}"
        table = pa.table(
            {
                "_reason": pa.array([reason for reason, _ in rows], pa.string()),
                "_text": pa.array([text for _, text in rows], pa.string()),
                "_batch_id": pa.array([batch_id] * len(rows), pa.string()),
            }
        )
        path = self._quarantine / self.month / f"{batch_id}.parquet"
        with files.replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        files.write_json(
            path.with_suffix(".json"),
            {
                "batch_id": batch_id,
                "window_id": self.window_id,
                "connection": self.connection,
                "object": self.object,
                "records": len(rows),
                "reasons": dict(Counter(reason for reason, _ in rows)),
                "schema_fingerprint": self.schema.fingerprint,
                "quarantined_at": format_instant(self.clock.now()),
            },
        )
        with self._lock:
            self.quarantined += len(rows)

    def commit(self, counts: Counts) -> WindowCommit:
        """State that the window was read to its end; from now on its batches are read."""
        commit = WindowCommit(
            window_id=self.window_id,
            kind=self.kind,
            connection=self.connection,
            object=self.object,
            window=self.window,
            batches=tuple(sorted(self.manifests, key=lambda manifest: manifest.sequence)),
            records=sum(manifest.records for manifest in self.manifests),
            known=counts.known,
            quarantined=self.quarantined,
            vendor_count=counts.vendor_count,
            vendor_count_before=counts.vendor_count_before,
            calls=counts.calls,
            route=counts.route,
            reason=counts.reason,
            complete=counts.complete,
            schema_fingerprint=self.schema.fingerprint,
            committed_at=self.clock.now(),
        )
        files.write_json(self.folder / "windows" / f"{self.window_id}.json", commit_record(commit))
        return commit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        remove_unfinished(self.folder, self._quarantine, self.window_id)


def _owner() -> dict[str, Any]:
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


def remove_unfinished(folder: Path, quarantine: Path, window_id: str) -> int:
    """Remove the marker and spool of a window and, unless it committed, its batches; count them.

    The marker goes last, so that a removal cut short is taken up again. Several processes may clear
    the same window at once.
    """
    removed = 0
    if not (folder / "windows" / f"{window_id}.json").exists():
        for place in (folder, quarantine):
            for path in place.glob(f"????-??/{window_id}-*.*"):
                path.unlink(missing_ok=True)
                removed += path.suffix == ".json"
            for path in place.glob(f"????-??/.{window_id}-*{files.TEMPORARY_SUFFIX}"):
                path.unlink(missing_ok=True)
    for path in (folder / "windows").glob(f".{window_id}.*{files.TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder / "spool" / window_id)
    (folder / "windows" / f"{window_id}.open").unlink(missing_ok=True)
    return removed
