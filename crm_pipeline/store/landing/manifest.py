"""The records kept beside landed data: one manifest for a batch, one commit for a window."""

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
    """One Parquet file of landed records: what was asked, what came, at what cost.

    Attributes:
        kind: `window` (all records changed in the window), `point` (single re-reads), `sweep`
            (full re-reads that say nothing about time).
        shape: `csv`, one text column per source field, or `json`, one column `record`.
        vendor_count: the vendor's own number of records for this request, where it gave one.
        sequence: position within its window.
        path: the Parquet file.
        reader: version of the connector's rules for the keys of records; 0 before there were versions.
        origin: which of the vendor's lists the records came from, see `connectors.base.Page`.
        part: which of the vendor's lists it is of, where an object is spread over several.
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

    @property
    def sum(self) -> FileSum:
        """What the Parquet file was when it was landed."""
        return FileSum(self.bytes, self.sha256)

    @property
    def is_copy(self) -> bool:
        """Whether the file was made from what landed, see `rereads`."""
        return self.path.parent.name != self.month


@dataclass(frozen=True)
class Shrink:
    """Why what a whole read does not hold is not taken for deleted.

    Attributes:
        before: live records that there were before it.
        missing: those of them that are not in it.
        part: the one of the vendor's lists that they are missing from; "" for the whole object.
        is_empty: the read, or the part, holds nothing at all.
        in_all: live records that are missing from the whole read, those of the part among them; 0 in
            commits of before that was noted.
    """

    before: int
    missing: int
    part: str = ""
    is_empty: bool = False
    in_all: int = 0

    @property
    def rows(self) -> int:
        """How many records are deleted if it is believed."""
        return max(self.missing, self.in_all)


@dataclass(frozen=True)
class WindowCommit:
    """The statement that a window was read to its end.

    Attributes:
        records: rows landed by this window's batches.
        known: rows read that an earlier window had landed already.
        quarantined: rows read that could not be landed, kept under `quarantine/`.
        unnamed: of those, such as may be any record: their id cannot be told. None in commits of before that
            was counted; a whole read with such rows was not judged, and proves nothing.
        vendor_count: the vendor's count of the window, taken after reading; None if not offered.
        vendor_count_before: the same, taken before reading.
        complete: the read held every live record of the object that the vendor listed.
        route: how it was read, and `reason` why that way.
        uncounted: rows read that the vendor's counts leave out, such as deleted records of some.
        cost: of the calls, in the vendor's unit; 0 where they were not weighed.
        planned_cost: what the plan estimated; None where it did not.
        reads: how many reads this stands for. Old ones that landed nothing are merged: the span and
            the calls are then those of all, the counts those of the last.
        supersedes: the window ids of the commits that this one replaced.
        notes: what the connector wants to know again when it plans the next window.
        sight: of a complete read, stands for what the login could see; "" where that is not known.
        shrink: why absence from a complete read is not believed; None where it is.
        is_accepted: a person has said that it is to be believed; not in the commit, see `Landing.accept`.
        present: the plausible present that the window's end was held against, see `watermark`; None in
            commits of before there was one.
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
    is_accepted: bool = False

    @property
    def differs_by(self) -> int | None:
        """By how many records the vendor's counts miss what was read; None where it does not count.

        Records that are edited while a window is read leave it, so anything between the count before
        and the count after is right.
        """
        if self.vendor_count is None:
            return None
        read = self.records + self.known + self.quarantined - self.uncounted
        before = self.vendor_count_before
        ends = (self.vendor_count, self.vendor_count if before is None else before)
        return max(min(ends) - read, read - max(ends), 0)

    @property
    def proves_absence(self) -> bool:
        """Whether a record that is not in it is deleted.

        A read that left out rows, or holds some of which it cannot be told which records they are, proves
        nothing by what it does not hold.
        """
        return self.complete and self.known == 0 and not self.unproven and self.is_believed

    @property
    def unproven(self) -> int:
        """How many of the rows that could not be landed may be any record."""
        return self.quarantined if self.unnamed is None else self.unnamed

    @property
    def is_believed(self) -> bool:
        """Whether it did not lose more than a list may, or a person says that this is right."""
        return self.shrink is None or self.is_accepted


def manifest_record(manifest: Manifest) -> dict[str, Any]:
    """Return a manifest as a JSON-able mapping."""
    return _plain(asdict(replace(manifest, path=Path(manifest.path.name))), manifest.window)


def commit_record(commit: WindowCommit) -> dict[str, Any]:
    """Return a window commit as a JSON-able mapping, its manifests included."""
    record = _plain(asdict(replace(commit, batches=())), commit.window)
    del record["is_accepted"]
    record["batches"] = [manifest_record(manifest) for manifest in commit.batches]
    return record


def manifest_from(record: Mapping[str, Any], folder: Path) -> Manifest:
    """Read a manifest; `folder` is the object's landing folder."""
    values = _rich(record)
    values["path"] = folder / values["month"] / values["path"]
    return Manifest(**values)


def commit_from(record: Mapping[str, Any], folder: Path) -> WindowCommit:
    """Read a window commit; `folder` is the object's landing folder."""
    values = _rich(record)
    values["batches"] = tuple(manifest_from(batch, folder) for batch in record["batches"])
    values["supersedes"] = tuple(record.get("supersedes", ()))
    shrink = record.get("shrink")
    values["shrink"] = Shrink(**shrink) if shrink else None
    return WindowCommit(**values)


def _plain(values: dict[str, Any], window: Window) -> dict[str, Any]:
    plain = {
        key: format_instant(value)
        if isinstance(value, datetime)
        else str(value)
        if isinstance(value, Path)
        else value
        for key, value in values.items()
    }
    plain["window"] = window_record(window)
    return plain


def window_record(window: Window) -> dict[str, Any]:
    """Return a window as a JSON-able mapping."""
    return {
        "from": format_instant(window.from_at) if window.from_at else None,
        "from_side": "inclusive",
        "to": format_instant(window.to_at),
        "to_side": "exclusive",
    }


def window_from(record: Mapping[str, Any]) -> Window:
    """Read what `window_record` wrote."""
    start = record["from"]
    return Window(parse_instant(start) if start else None, parse_instant(record["to"]))


def _rich(record: Mapping[str, Any]) -> dict[str, Any]:
    values = {
        key: parse_instant(value) if key in _INSTANTS and value is not None else value
        for key, value in record.items()
    }
    values["window"] = window_from(record["window"])
    return values
