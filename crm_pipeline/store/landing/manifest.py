"""Metadata beside landed data: a manifest for each batch, a commit for each window."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from crm_pipeline.kernel.clock import Window, format_instant, parse_instant
from crm_pipeline.store.files.checksums import FileSum

Kind = Literal["window", "point", "sweep"]
Shape = Literal["csv", "json"]
_INSTANTS = frozenset({"started_at", "finished_at", "committed_at", "present"})


@dataclass(frozen=True)
class Manifest:
    """One Parquet file of landed records: the request, the result, and its cost.

    Attributes:
        kind: `window` (all records changed in the window), `point` (single records, read by their ids), `sweep`
            (full re-reads that say nothing about time).
        shape: `csv`, one text column per source field, or `json`, one column `record`.
        vendor_count: the vendor's own number of records for this request, if it gave one.
        sequence: position within its window.
        path: the Parquet file.
        reader: version of the connector's rules for the keys of records; 0 before there were versions.
        origin: the vendor's list that the records came from, see `connectors.base.Page`.
        part: the vendor's list that it belongs to, where an object is spread over several.
        merged: the number of landed batches whose rows the file holds, see `compaction`.
        erased: rows that were erased since; `records` are those that are left.
        rewritten: why the file is not the one that was landed: "erased", or that superseded versions were removed.
        retired: rows that were removed since because later versions of their records have landed, see `retention`.
    """

    batch_id: str
    window_id: str
    kind: Kind
    connection: str
    object: str
    route: str
    shape: Shape
    window: Window
    records: int
    bytes: int
    sha256: str
    vendor_count: int | None
    calls: int
    schema_fingerprint: str
    extractor: str
    started_at: datetime
    finished_at: datetime
    sequence: int
    month: str
    path: Path
    reader: int = 0
    origin: str = ""
    part: str = ""
    merged: int = 1
    erased: int = 0
    retired: int = 0
    rewritten: str = ""

    @property
    def sum(self) -> FileSum:
        """Checksum of the Parquet file when it was landed."""
        return FileSum(self.bytes, self.sha256)

    @property
    def is_point(self) -> bool:
        """Whether its records were read by their ids."""
        return self.kind == "point"

    @property
    def is_copy(self) -> bool:
        """Whether the file is a copy made by a reread, see `rereads`."""
        return self.path.parent.name != self.month


@dataclass(frozen=True)
class Shrink:
    """Why records that are missing from a complete read are not taken for deleted.

    Attributes:
        before: live records before the read.
        missing: the number of those that the read does not hold.
        part: the vendor's list that they are missing from; "" for the whole object.
        is_empty: the read, or the part, holds nothing at all.
        in_all: number of live records that are missing from the whole read, the part's included; 0 in
            commits of earlier versions.
    """

    before: int
    missing: int
    part: str = ""
    is_empty: bool = False
    in_all: int = 0

    @property
    def rows(self) -> int:
        """The number of records that are deleted if the read is believed."""
        return max(self.missing, self.in_all)


@dataclass(frozen=True)
class Missed:
    """The records of a window that earlier refreshes had claimed to have read, and had not seen.

    Attributes:
        new: records that had never landed.
        changed: records that had landed with an older time stamp.
        deleted: records that are deleted by now.
        unstamped: records that had landed with the same time stamp and other content, such as formulas.
        month: the last month that was read from its beginning after its end; "" for none.
    """

    new: int = 0
    changed: int = 0
    deleted: int = 0
    unstamped: int = 0
    month: str = ""

    @property
    def late(self) -> int:
        """The records that a longer look-back would have read."""
        return self.new + self.changed + self.deleted

    @property
    def records(self) -> int:
        """All of them."""
        return self.late + self.unstamped

    def __add__(self, other: "Missed") -> "Missed":
        return Missed(
            self.new + other.new,
            self.changed + other.changed,
            self.deleted + other.deleted,
            self.unstamped + other.unstamped,
            max(self.month, other.month),
        )


@dataclass(frozen=True)
class WindowCommit:
    """The statement that a window was read to its end, or that single records were.

    A commit of the kind `point` is of the second sort. Its window is empty: it starts and ends at the time of the
    read.

    Attributes:
        records: rows landed by this window's batches.
        known: rows read that an earlier window had landed.
        quarantined: rows read that could not be landed, kept under `quarantine/`.
        erased: rows read that were erased since they landed or were quarantined.
        retired: rows read that were removed since because later versions of their records have landed.
        withheld: rows read that were not landed, because their persons had been erased before.
        unnamed: quarantined rows without a readable id, which may be any record. None in commits of earlier
            versions; a complete read with quarantined rows proves nothing then.
        vendor_count: the vendor's count of the window, taken after reading; None if not offered.
        vendor_count_before: the same, taken before reading.
        complete: the read held every live record of the object that the vendor listed.
        route: the read strategy, and `reason` why it was chosen.
        uncounted: rows read that the vendor's counts leave out, such as deleted records.
        cost: of the calls, in the vendor's unit; 0 where it is unknown.
        planned_cost: the plan's estimate; None where there is none.
        reads: number of reads that it stands for. Old commits are merged: window, calls and counts are then
            those of all, notes, present and time those of the last.
        supersedes: the window ids of the commits that this commit replaces.
        origins: checksum of the file with the merged commits as they were, see `origins`; None where none of
            them landed anything.
        origins_version: how often that file was written anew, under a new name each time.
        rejected_in: the window ids of the merged commits that have quarantined rows, or had some.
        notes: the connector's facts for planning the next window.
        sight: fingerprint of what the login could see at a complete read; "" where it is unknown.
        shrink: why absence from a complete read is not believed; None where it is believed.
        missed: what a nightly read found that refreshes had not seen; None where the read was no such one.
        is_accepted: a person believes the read; not stored in the commit, see `Landing.accept`.
        present: the plausible present that the window's end was checked against, see `watermark`; None in
            commits of earlier versions.
    """

    window_id: str
    kind: Kind
    connection: str
    object: str
    window: Window
    batches: tuple[Manifest, ...]
    records: int
    known: int
    quarantined: int
    vendor_count: int | None
    vendor_count_before: int | None
    calls: int
    route: str
    reason: str
    complete: bool
    schema_fingerprint: str
    committed_at: datetime
    reads: int = 1
    cost: int = 0
    uncounted: int = 0
    planned_cost: int | None = None
    supersedes: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    present: datetime | None = None
    sight: str = ""
    shrink: Shrink | None = None
    unnamed: int | None = None
    origins: FileSum | None = None
    origins_version: int = 0
    rejected_in: tuple[str, ...] = ()
    erased: int = 0
    retired: int = 0
    withheld: int = 0
    missed: Missed | None = None
    is_accepted: bool = False

    @property
    def is_point(self) -> bool:
        """Whether single records were read by their ids, which says nothing about the object."""
        return self.kind == "point"

    @property
    def differs_by(self) -> int | None:
        """By how many records the vendor's counts differ from the rows read; None where it does not count.

        Records that are edited during the read leave the window, so any number between the count before
        and the count after is right.
        """
        if self.vendor_count is None:
            return None
        if len(self.supersedes) > 1:
            return 0  # only reads that agree with the vendor's counts are merged
        kept = self.records + self.known + self.quarantined
        read = kept + self.erased + self.retired + self.withheld - self.uncounted
        before = self.vendor_count_before
        ends = (self.vendor_count, self.vendor_count if before is None else before)
        return max(min(ends) - read, read - max(ends), 0)

    @property
    def rejected_ids(self) -> tuple[str, ...]:
        """The window ids under which quarantined rows are kept."""
        return self.rejected_in or (self.window_id,)

    @property
    def proves_absence(self) -> bool:
        """Whether a record that the read does not hold is deleted.

        A read that left out rows, or has rows without a readable id, proves no deletion.
        """
        return self.complete and self.known == 0 and not self.unproven and self.is_believed

    @property
    def unproven(self) -> int:
        """The number of quarantined rows that may be any record."""
        return self.quarantined if self.unnamed is None else self.unnamed

    @property
    def is_believed(self) -> bool:
        """Whether the read lost no more records than is plausible, or a person has accepted it."""
        return self.shrink is None or self.is_accepted


def manifest_record(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as a JSON-able mapping."""
    return _serialized(asdict(replace(manifest, path=Path(manifest.path.name))), manifest.window)


def commit_record(commit: WindowCommit) -> dict[str, Any]:
    """Return a window commit as a JSON-able mapping, its manifests included."""
    record = _serialized(asdict(replace(commit, batches=())), commit.window)
    del record["is_accepted"]
    record["batches"] = [manifest_record(manifest) for manifest in commit.batches]
    return record


def manifest_from(record: Mapping[str, Any], folder: Path) -> Manifest:
    """Return a manifest from its record; `folder` is the object's landing folder."""
    values = _parsed(record)
    values["path"] = folder / values["month"] / values["path"]
    return Manifest(**values)


def commit_from(record: Mapping[str, Any], folder: Path) -> WindowCommit:
    """Return a window commit from its record; `folder` is the object's landing folder."""
    values = _parsed(record)
    values["batches"] = tuple(manifest_from(batch, folder) for batch in record["batches"])
    for name in ("supersedes", "rejected_in"):
        values[name] = tuple(record.get(name, ()))
    origins = record.get("origins")
    values["origins"] = FileSum.from_dict(origins) if origins else None
    shrink = record.get("shrink")
    values["shrink"] = Shrink(**shrink) if shrink else None
    missed = record.get("missed")
    values["missed"] = None if missed is None else Missed(**missed)
    return WindowCommit(**values)


def _serialized(values: dict[str, Any], window: Window) -> dict[str, Any]:
    serialized = {
        key: format_instant(value)
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, Path)
        else value
        for key, value in values.items()
    }
    serialized["window"] = window_record(window)
    return serialized


def window_record(window: Window) -> dict[str, Any]:
    """Return a window as a JSON-able mapping."""
    return {
        "from": format_instant(window.from_at) if window.from_at else None,
        "from_side": "inclusive",
        "to": format_instant(window.to_at),
        "to_side": "exclusive",
    }


def window_from(record: Mapping[str, Any]) -> Window:
    """Return the window that `window_record` wrote."""
    start = record["from"]
    return Window(parse_instant(start) if start else None, parse_instant(record["to"]))


def _parsed(record: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        key: parse_instant(value) if key in _INSTANTS and value is not None else value
        for key, value in record.items()
    }
    values["window"] = window_from(record["window"])
    return values
