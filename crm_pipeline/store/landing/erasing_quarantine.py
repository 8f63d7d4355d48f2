"""Erase a subject from quarantine: rows that could not be landed, and rows that builds have left out.

A file without the subject is a new one, see `file_versions`; of several versions of a file the highest one that is whole
counts. The old one is removed once the window's commit has the numbers of the new one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.store import files
from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.rows import ErasedRows
from crm_pipeline.store.erasing.subject import Erased
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing.file_versions import next_version, versions_of
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.rejects import Reject, as_table, read_rejects

_ROWS = 20_000


@dataclass(frozen=True)
class _Rewritten:
    """A file without the subject, under a new name.

    Attributes:
        path: the new file; None where only the numbers were wanted.
        removed, changed: rows that were removed, and rows with replaced values.
    """

    path: Path | None
    removed: int
    changed: int


@dataclass(frozen=True)
class SetAsideCounts:
    """Numbers of the quarantined rows of a window, or of those that were merged into it."""

    records: int
    unnamed: int
    erased: int


@dataclass(frozen=True)
class QuarantineEraser:
    """Erases a subject from the quarantine of one object.

    Attributes:
        folder: the object's quarantine.
        erased: returns landed rows without the subject.
        own: the ids of the subject's records of this object.
        redaction: replaces the subject's addresses.
        apply: whether anything is written.
    """

    folder: Path
    erased: Callable[[pa.RecordBatch], ErasedRows]
    own: frozenset[str]
    redaction: Redaction
    apply: bool

    def clear_interrupted(self) -> None:
        """Remove what an erasure that was interrupted has left."""
        records = self.folder.glob("????-??/*.json")
        for paths in versions_of(each for each in records if each.with_suffix(".parquet").exists()):
            for path in paths[:-1]:
                files.discard(path, path.with_suffix(".parquet"))
        for path in self.folder.glob("????-??/*.parquet"):
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)

    def erase_window(self, commit: WindowCommit, done: Erased) -> list[Path]:
        """Write the files of a window, or of those that were merged into it, anew; return the old files."""
        replaced: list[Path] = []
        for path in self._files(commit, ".parquet"):
            _, rejects = read_rejects(path)
            rest = [row for row in map(self._reject, rejects) if row is not None]
            gone = len(rejects) - len(rest)
            changed = sum(row not in rejects for row in rest)
            done.add(path, gone, changed)
            if self.apply and (gone or changed):
                _write_rejects(path, rest, gone)
                replaced += [path, path.with_suffix(".json")]
        return replaced

    def counts(self, commit: WindowCommit, without: list[Path]) -> SetAsideCounts:
        """Return the numbers of a window's rows, by the records of their files."""
        stored = [
            files.read_json(path) for path in self._files(commit, ".json") if path not in without
        ]
        return SetAsideCounts(
            records=sum(record["records"] for record in stored),
            unnamed=sum(record.get("unnamed", record["records"]) for record in stored),
            erased=sum(record.get("erased", 0) for record in stored),
        )

    def _files(self, commit: WindowCommit, suffix: str) -> list[Path]:
        return sorted(
            path
            for window_id in commit.rejected_ids
            for path in self.folder.glob(f"????-??/{window_id}-*{suffix}")
        )

    def _reject(self, reject: Reject) -> Reject | None:
        """Return a reject without the subject; None for one of the subject."""
        if reject.source_id in self.own:
            return None
        raw = self.redaction.bytes(reject.raw)
        if raw == reject.raw:
            return reject
        # Without an id it may be the person's own record.
        return replace(reject, raw=raw) if reject.source_id else None

    def erase_rows_of_builds(self, done: Erased) -> None:
        """Erase from the rows that the last builds left out; the files are replaced, the record last."""
        for record_path in sorted(self.folder.glob("normalized/*.json")):
            record = files.read_json(record_path)
            sums, removed, old = {}, 0, []
            for name, entry in record["files"].items():
                path = record_path.with_name(name)
                counted = self._rewritten_rows(path)
                done.add(path, counted.removed, counted.changed)
                if counted.path is None:
                    sums[name] = entry
                    continue
                sums[counted.path.name] = FileSum.of(counted.path).to_dict()
                removed += counted.removed
                old.append(path)
            if old:
                changes = {"files": sums, "records": record["records"] - removed}
                files.write_json(record_path, {**record, **changes}, "rejects_manifest")
                files.discard(*old)
            if self.apply:
                for path in self.folder.glob("normalized/*.parquet"):
                    is_of = path.name.startswith(f"{record_path.stem}-")
                    if is_of and path.name not in sums:
                        path.unlink(missing_ok=True)

    def _rewritten_rows(self, path: Path) -> _Rewritten:
        removed = changed = 0
        parts = []
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            for part in file.iter_batches(_ROWS):
                erased = self.erased(part)
                removed += erased.removed
                changed += erased.changed
                parts.append(erased.batch)
        if not self.apply or not (removed or changed):
            return _Rewritten(None, removed, changed)
        fresh = next_version(path)
        with files.replacing(fresh, "rejects") as temporary:
            pq.write_table(pa.Table.from_batches(parts, schema), temporary, compression="zstd")
        return _Rewritten(fresh, removed, changed)


def _write_rejects(path: Path, rest: list[Reject], gone: int) -> None:
    record = files.read_json(path.with_suffix(".json"))
    fresh = next_version(path)
    with files.replacing(fresh, "rejects") as temporary:
        pq.write_table(as_table(rest, record["batch_id"]), temporary, compression="zstd")
        written = FileSum.of(temporary)
    reasons: dict[str, int] = {}
    for row in rest:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    changes: Mapping[str, Any] = {
        "records": len(rest),
        "unnamed": _unnamed(rest),
        "reasons": reasons,
        "erased": record.get("erased", 0) + gone,
        **written.to_dict(),
    }
    files.write_json(fresh.with_suffix(".json"), {**record, **changes}, "rejects_manifest")


def _unnamed(rejects: list[Reject]) -> int:
    return sum(not row.source_id for row in rejects)
