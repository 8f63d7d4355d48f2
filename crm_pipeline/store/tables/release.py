"""Releases and table versions as values, and their records on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.store.files.checksums import FileSum

Part = Literal["base", "delta", "tombstones", "changes"]
Beside = Literal["kept", "kept_delta", "odd", "places", "mergers"]
"""Files beside the rows, from which only the stage that wrote a version makes the next one."""
BESIDE: tuple[Beside, ...] = ("kept", "kept_delta", "odd", "places", "mergers")
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Release:
    """The version of every table at one moment; number 0 is the empty start."""

    number: int = 0
    tables: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    committed_at: datetime | None = None


@dataclass(frozen=True)
class TableVersion:
    """One immutable version of a table; `rows` is the number of rows of `Tables.relation`.

    Attributes:
        key: columns by which delta and tombstone rows replace base rows; several rows may share a key.
        meta: notes of the stage that wrote it (inputs, contract results).
        sums: checksum of each file when it was written; empty in versions of earlier releases of the product.
        changes: files with the keys whose rows may differ from the parent's; None: any row may.
        beside: files that are no rows of the table, for the stage that wrote it; none in versions of earlier releases.
    """

    name: str
    version: str
    parent: str | None
    key: tuple[str, ...]
    rows: int
    base: tuple[Path, ...]
    delta: tuple[Path, ...]
    tombstones: tuple[Path, ...]
    meta: Mapping[str, Any]
    committed_at: datetime
    sums: Mapping[Path, FileSum] = field(default_factory=dict)
    changes: tuple[Path, ...] | None = None
    beside: Mapping[Beside, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files of the version."""
        return (*self.rows_paths, *self.beside_paths)

    @property
    def rows_paths(self) -> tuple[Path, ...]:
        """The files of its rows and of what changed."""
        return (*self.base, *self.delta, *self.tombstones, *(self.changes or ()))

    @property
    def beside_paths(self) -> tuple[Path, ...]:
        """The files beside its rows."""
        return tuple(path for paths in self.beside.values() for path in paths)


def release_record(release: Release) -> dict[str, Any]:
    """Return the record of a release."""
    at = format_instant(release.committed_at) if release.committed_at else None
    return {"number": release.number, "tables": dict(release.tables), "committed_at": at}


def read_release(record: Mapping[str, Any]) -> Release:
    """Return a release from its record."""
    at = record["committed_at"]
    return Release(record["number"], record["tables"], parse_instant(at) if at else None)


def read_version(folder: Path, record: Mapping[str, Any]) -> TableVersion:
    """Return a version from its record and its folder.

    Raises:
        ValueError: the record is of another version.
    """
    if record["version"] != folder.name:
        raise ValueError(f"it is the record of version {record['version']}")

    def paths(part: Part) -> tuple[Path, ...]:
        return tuple(folder / name for name in record[part])

    return TableVersion(
        name=record["name"],
        version=record["version"],
        parent=record["parent"],
        key=tuple(record["key"]),
        rows=record["rows"],
        base=paths("base"),
        delta=paths("delta"),
        tombstones=paths("tombstones"),
        meta=record["meta"],
        changes=paths("changes") if record.get("changes") is not None else None,
        committed_at=parse_instant(record["committed_at"]),
        beside={
            part: tuple(folder / name for name in names)
            for part, names in record.get("beside", {}).items()
        },
        sums={
            folder / name: FileSum.from_dict(entry)
            for name, entry in record.get("files", {}).items()
        },
    )
