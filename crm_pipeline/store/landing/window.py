"""Write one window into landing: batches, quarantine, and the commit that makes them visible."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import Clock, Month, Window, format_instant
from crm_pipeline.kernel.errors import (
    BudgetExhausted,
    CorruptFile,
    DatabaseUnavailable,
    MalformedResponse,
    Retriable,
)
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.model.schema import Schema
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.landing.batch_file import write_batch_file
from crm_pipeline.store.landing.checkpoint import Checkpoint, PageDone
from crm_pipeline.store.landing.manifest import (
    Kind,
    Manifest,
    Missed,
    Shape,
    Shrink,
    WindowCommit,
    commit_record,
    manifest_from,
    manifest_record,
    window_record,
)
from crm_pipeline.store.landing.records import RecordHasher
from crm_pipeline.store.landing.recovery import owner, remove_batches, remove_interrupted
from crm_pipeline.store.landing.rejects import Reject, as_table

EXTRACTOR = "crm_pipeline/1"
# Smaller corrections of a clock are normal.
_SET_BACK = timedelta(seconds=1)


@dataclass(frozen=True)
class Counts:
    """Counts and notes of a finished read; see `WindowCommit` for the meanings."""

    vendor_count: int | None = None
    vendor_count_before: int | None = None
    known: int = 0
    withheld: int = 0
    complete: bool = False
    route: str = ""
    reason: str = ""
    calls: int = 0
    cost: int = 0
    uncounted: int = 0
    planned_cost: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    present: datetime | None = None
    sight: str = ""
    shrink: Shrink | None = None
    missed: Missed | None = None


@dataclass(frozen=True)
class Written:
    """A written batch, and the number of its records by month of modification."""

    manifest: Manifest
    months: Mapping[str, int]


class WindowWriter:
    """Writes the batches of one window; leaving the `with` block without a commit removes them.

    The batches stay where another process can resume the read (`checkpoint.request`) and the block ends with
    a retriable error, a spent budget, an unavailable database, or an interruption from outside.
    """

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
        purpose: Mapping[str, Any] | None = None,
        window_id: str | None = None,
        not_before: datetime | None = None,
        reader: int = 0,
    ) -> None:
        self.folder = folder
        self.connection = connection
        self.object = obj
        self.window = window
        self.kind = kind
        self.schema = schema
        self.clock = clock
        self.window_id = window_id or sortable_id()
        self.purpose = dict(purpose or {})
        self._not_before = not_before
        self._reader = reader
        self.checkpoint = Checkpoint(folder / "spool" / self.window_id)
        self.month = str(Month.of(window.to_at - timedelta(microseconds=1)))
        self.months: Counter[str] = Counter()
        self.month_bytes: Counter[str] = Counter()
        self.quarantined = 0
        self.unnamed = 0
        self.manifests: list[Manifest] = []
        self.hasher = RecordHasher()
        self._quarantine = quarantine
        self._dictionaries: dict[tuple[str, ...], list[str]] = {}
        self._lock = threading.Lock()
        self._sequence = 0
        self.started_at = clock.now()
        self._mark()

    def _mark(self, *, left: bool = False) -> None:
        record = {
            **owner(),
            "started_at": format_instant(self.started_at),
            "window": window_record(self.window),
            "kind": self.kind,
            "schema_fingerprint": self.schema.fingerprint,
            "purpose": self.purpose,
            "left": left,
        }
        files.write_json(self._marker, record, "marker")

    def take_over(self, pages: Iterable[PageDone]) -> None:
        """Keep the batches of pages that an earlier writer of this window finished, and remove its others.

        Raises:
            CorruptFile: a kept file is not as it was written.
        """
        kept: set[str] = set()
        pages = list(pages)
        for page in pages:
            kept.update(page.batches)
            self.months.update(page.months)
        remove_batches(self.folder, self._quarantine, self.window_id, but=frozenset(kept))
        for path in sorted(self.folder.glob(f"????-??/{self.window_id}-*.json")):
            self.manifests.append(manifest_from(files.read_json(path), self.folder))
        sizes = {manifest.batch_id: manifest.bytes for manifest in self.manifests}
        for page in pages:
            total = sum(sizes.get(batch, 0) for batch in page.batches)
            self.month_bytes.update(_shares(total, page.months))
        kept_files = [(manifest.path, manifest.sum) for manifest in self.manifests]
        for path in self._quarantine.glob(f"????-??/{self.window_id}-*.json"):
            record = files.read_json(path)
            self.quarantined += int(record["records"])
            self.unnamed += int(record.get("unnamed", record["records"]))
            if "sha256" in record:
                kept_files.append((path.with_suffix(".parquet"), FileSum.from_dict(record)))
        for path in Verifier().damaged(kept_files):
            raise CorruptFile(f"{path} is damaged or gone.", cure="The window is read anew.")
        # A name is never used twice, not even that of a removed batch.
        self._sequence = max((_sequence(batch_id) for batch_id in kept), default=0) + 100_000

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
        origin: str = "",
        part: str = "",
    ) -> "Written | None":
        """Write one page as one Parquet file with its manifest; return None where there are no records.

        The batches have the key columns of `store.landing.records`. `extracted_at` is when the page was
        requested; it decides between two reads of one version of a record. `part` names the vendor's list
        that the page belongs to.

        Raises:
            StoreError: the disk is full or not writable; no manifest was written.
        """
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
        batch_id = f"{self.window_id}-{sequence:05d}"
        path = self.folder / self.month / f"{batch_id}.parquet"
        started_at = self.clock.now()
        rows, months = write_batch_file(
            path,
            batches,
            batch_id=batch_id,
            extracted_at=self._in_order(extracted_at),
            hasher=self.hasher,
            dictionaries=self._dictionaries,
        )
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
            reader=self._reader,
            origin=origin,
            part=part,
        )
        files.write_json(path.with_suffix(".json"), manifest_record(manifest), "manifest")
        with self._lock:
            self.months.update(months)
            self.month_bytes.update(_shares(manifest.bytes, months))
            self.manifests.append(manifest)
        return Written(manifest, dict(months))

    def quarantine(
        self,
        rows: Sequence[Reject],
        *,
        shape: Shape = "json",
        extracted_at: datetime | None = None,
        route: str = "",
        origin: str = "",
    ) -> str | None:
        """Write records that cannot be landed to the quarantine; return the batch id, None without records.

        Args:
            rows: the records.
            shape: of their page.
            extracted_at: when the page was requested.
            route: by which the page was read.
            origin: see `Manifest`.
        """
        if not rows:
            return None
        with self._lock:
            self._sequence += 1
            batch_id = f"{self.window_id}-{self._sequence:05d}"
        table = as_table(rows, batch_id)
        path = self._quarantine / self.month / f"{batch_id}.parquet"
        unnamed = sum(not row.is_named for row in rows)
        with files.replacing(path, "rejects") as temporary:
            pq.write_table(table, temporary, compression="zstd")
            written = FileSum.of(temporary)
        files.write_json(
            path.with_suffix(".json"),
            {
                "batch_id": batch_id,
                "window_id": self.window_id,
                "connection": self.connection,
                "object": self.object,
                "records": len(rows),
                "unnamed": unnamed,
                **written.to_dict(),
                "reasons": dict(Counter(row.reason for row in rows)),
                "shape": shape,
                "route": route,
                "origin": origin,
                "extracted_at": format_instant(extracted_at or self.clock.now()),
                "schema_fingerprint": self.schema.fingerprint,
                "quarantined_at": format_instant(self.clock.now()),
            },
            "rejects_manifest",
        )
        with self._lock:
            self.quarantined += len(rows)
            self.unnamed += unnamed
        return batch_id

    def commit(self, counts: Counts) -> WindowCommit:
        """Commit the window as read to its end; from now on its batches are visible."""
        commit = WindowCommit(
            window_id=self.window_id,
            kind=self.kind,
            connection=self.connection,
            object=self.object,
            window=self.window,
            batches=tuple(sorted(self.manifests, key=lambda manifest: manifest.sequence)),
            records=sum(manifest.records for manifest in self.manifests),
            known=counts.known,
            withheld=counts.withheld,
            quarantined=self.quarantined,
            unnamed=self.unnamed,
            vendor_count=counts.vendor_count,
            vendor_count_before=counts.vendor_count_before,
            calls=counts.calls,
            cost=counts.cost,
            uncounted=counts.uncounted,
            planned_cost=counts.planned_cost,
            notes=counts.notes,
            present=counts.present,
            sight=counts.sight,
            shrink=counts.shrink,
            missed=counts.missed,
            route=counts.route,
            reason=counts.reason,
            complete=counts.complete,
            schema_fingerprint=self.schema.fingerprint,
            committed_at=self._commit_time(),
        )
        path = self.folder / "windows" / f"{self.window_id}.json"
        files.write_json(path, commit_record(commit), "commit")
        return commit

    def _commit_time(self) -> datetime:
        """Return the present, or a moment after the previous commit where the clock was set back.

        Commits are ordered by this time: the last complete read decides which records are deleted.
        """
        now = self.clock.now()
        if self._not_before is None or now > self._not_before:
            return now
        return self._not_before + timedelta(microseconds=1)

    def _in_order(self, requested_at: datetime) -> datetime:
        """Return when a page was requested, or the time of the previous commit where the clock was set back.

        Of two versions with one modification time, the one requested later counts.
        """
        if self._not_before is None or self.clock.now() >= self._not_before - _SET_BACK:
            return requested_at
        return max(requested_at, self._not_before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        is_committed = (self.folder / "windows" / f"{self.window_id}.json").exists()
        passing = (Retriable, BudgetExhausted, DatabaseUnavailable)
        # Another process could not read the same bytes either.
        is_broken = isinstance(error, MalformedResponse)
        may_pass = (isinstance(error, passing) and not is_broken) or not isinstance(
            error, Exception | None
        )
        if may_pass and not is_committed and self.checkpoint.request is not None:
            self._mark(left=True)
        else:
            remove_interrupted(self.folder, self._quarantine, self.window_id)


def _sequence(batch_id: str) -> int:
    return int(batch_id.rpartition("-")[2])


def _shares(total: int, rows: Mapping[str, int]) -> Mapping[str, int]:
    """Return a file's bytes by month, in proportion to its rows; they add up to `total`."""
    every, left, rest = sum(rows.values()), total, {}
    for month, count in rows.items():
        rest[month] = total * count // every
        left -= rest[month]
    if rest:
        rest[max(rest, key=lambda month: rest[month])] += left
    return rest
