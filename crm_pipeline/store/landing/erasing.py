"""Erase a subject from landing and quarantine, window by window.

A batch without the subject is a new file under a new name. The window's commit is replaced in one step and names the new
files; then the old ones are removed. A process that dies before the commit leaves new files that nothing names, one that
dies after it leaves old ones. Both are removed by the next erasure, which begins with files that no commit names.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store import files
from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.rows import RowEraser
from crm_pipeline.store.erasing.subject import Erased, Subject
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import compaction, records
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.manifest import (
    Manifest,
    WindowCommit,
    commit_record,
    manifest_record,
)
from crm_pipeline.store.landing.outstanding import FILE as OUTSTANDING
from crm_pipeline.store.landing.recovery import is_being_written
from crm_pipeline.store.landing.rejects import Reject, as_table, read_rejects
from crm_pipeline.store.landing.rereads import FOLDER as REREAD

ERASED = "erased"
_ROWS = 20_000
_VERSION = re.compile(r"\.e(\d+)$")


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
class _SetAside:
    """Numbers of the quarantined rows of a window."""

    records: int
    unnamed: int
    erased: int


class LandingStore:
    """Landing, quarantine and the checkpoints of unfinished reads, as a store of personal data.

    Args:
        data: the data folder.
    """

    name = "landing and quarantine"
    covers = ("landing", "quarantine")
    subject_keys = ("_source_id of an object's records", "e-mail addresses in any text")

    def __init__(self, data: Path, clock: Clock | None = None) -> None:
        self._landing = Landing(data, clock or SystemClock())
        self._data = data

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it; see `store.erasing.Store`.

        Raises:
            StoreError: an object is being read.
        """
        done = Erased(self.name)
        eraser, redaction = RowEraser(subject), Redaction(subject.addresses)
        for connection, obj in self._objects():
            _Object(self._landing, connection, obj, subject, eraser, redaction, apply).erase(done)
        return done

    def _objects(self) -> Iterator[tuple[str, str]]:
        folders = {
            (path.parent.name, path.name)
            for root in self.covers
            for path in (self._data / root).glob("*/*")
            if path.is_dir()
        }
        for connection, obj in sorted(folders):
            yield from_path_name(connection), from_path_name(obj)


@dataclass(frozen=True)
class _Object:
    """One object that a subject is erased from."""

    landing: Landing
    connection: str
    object: str
    subject: Subject
    eraser: RowEraser
    redaction: Redaction
    apply: bool

    @property
    def folder(self) -> Path:
        return self.landing.folder(self.connection, self.object)

    @property
    def quarantine(self) -> Path:
        return self.landing.quarantine(self.connection, self.object)

    def erase(self, done: Erased) -> None:
        commits = self.landing.windows(self.connection, self.object)
        if self.apply:
            self._clear_interrupted()
            self._remove_unnamed(commits)
        before = done.rows + done.values
        # The same lock as for merging commits: only one process replaces them.
        with compaction.merge_lock(self.folder) if self.apply and commits else _free() as is_locked:
            if not is_locked:
                raise self._busy()
            for commit in commits:
                self._window(commit, done)
        if self.apply and done.rows + done.values > before:
            for folder in (self.folder, self.quarantine):
                if (folder / REREAD).exists():
                    rmtree(folder / REREAD)  # made again from the rewritten batches
            files.discard(self.quarantine / OUTSTANDING)
        self._rows_of_builds(done)

    def _clear_interrupted(self) -> None:
        """Remove what dead processes left; pages as received are not searched, they are read again.

        Raises:
            StoreError: a living process reads the object.
        """
        for marker in (self.folder / "windows").glob("*.open"):
            with suppress(FileNotFoundError):
                if is_being_written(files.read_json(marker), self.landing.clock.now()):
                    raise self._busy()
        self.landing.clear_interrupted(self.connection, self.object)

    def _busy(self) -> StoreError:
        return StoreError(
            f"{self.connection}.{self.object} is being read, so nothing can be erased from it now.",
            cure="Wait for the run, or stop it (and `crm-pipeline up`), and run the same again.",
        )

    def _remove_unnamed(self, commits: list[WindowCommit]) -> None:
        """Remove files of committed windows that no commit names: of an erasure that was interrupted."""
        windows = {commit.window_id for commit in commits}
        named = {batch.path.stem for commit in commits for batch in commit.batches}
        for path in self.folder.glob("????-??/*.*"):
            window_id = path.stem.rpartition("-")[0]
            if window_id in windows and path.stem not in named:
                path.unlink(missing_ok=True)
        for paths in _versions_of(self.quarantine.glob("????-??/*.json")).values():
            # Of several versions of a quarantine file the highest one that is whole counts.
            for path in paths[:-1]:
                files.discard(path, path.with_suffix(".parquet"))
        for path in self.quarantine.glob("????-??/*.parquet"):
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)

    def _window(self, commit: WindowCommit, done: Erased) -> None:
        self.landing.check(commit.batches)
        batches: list[Manifest] = []
        old: list[Path] = []
        for batch in commit.batches:
            rewritten = self._batch(batch, done)
            batches.append(rewritten or batch)
            old += [batch.path, batch.path.with_suffix(".json")] if rewritten else []
        replaced = self._rejects(commit, done)
        notes = self.redaction.value(dict(commit.notes))
        if notes != commit.notes:
            done.add(self.folder / "windows" / f"{commit.window_id}.json", 0, 1)
        if not self.apply:
            return
        aside = self._set_aside(commit, without=replaced)
        erased = sum(batch.erased for batch in batches) + aside.erased
        # The numbers differ without old files where an earlier erasure died before this commit.
        if not (old or replaced or notes != commit.notes or erased != commit.erased):
            return
        fresh = replace(
            commit,
            batches=tuple(batches),
            records=sum(batch.records for batch in batches),
            quarantined=aside.records if aside.erased else commit.quarantined,
            unnamed=aside.unnamed if aside.erased else commit.unnamed,
            erased=erased,
            notes=notes,
        )
        path = self.folder / "windows" / f"{commit.window_id}.json"
        files.write_json(path, commit_record(fresh), "commit")
        for gone in (*old, *replaced):
            gone.unlink(missing_ok=True)

    def _set_aside(self, commit: WindowCommit, without: list[Path]) -> "_SetAside":
        """Return the numbers of the window's quarantined rows, by the records of their files."""
        paths = self.quarantine.glob(f"????-??/{commit.window_id}-*.json")
        stored = [files.read_json(path) for path in paths if path not in without]
        return _SetAside(
            records=sum(record["records"] for record in stored),
            unnamed=sum(record.get("unnamed", record["records"]) for record in stored),
            erased=sum(record.get("erased", 0) for record in stored),
        )

    def _batch(self, batch: Manifest, done: Erased) -> Manifest | None:
        """Return the manifest of a batch without the subject; None where it stays as it is."""
        removed, changed = self._counted(batch)
        done.add(batch.path, removed, changed)
        if not self.apply or not (removed or changed):
            return None
        path = _next_version(batch.path)
        with files.replacing(path, "batch") as temporary:
            _copy(batch.path, temporary, self._parts(batch))
        written = FileSum.of(path)
        manifest = replace(
            batch,
            path=path,
            records=batch.records - removed,
            bytes=written.bytes,
            sha256=written.sha256,
            erased=batch.erased + removed,
            rewritten=ERASED,
        )
        files.write_json(path.with_suffix(".json"), manifest_record(manifest), "manifest")
        return manifest

    def _counted(self, batch: Manifest) -> tuple[int, int]:
        removed = changed = 0
        with pq.ParquetFile(batch.path) as file:
            for part in file.iter_batches(_ROWS):
                erased = self.eraser.landed(part, self.connection, self.object)
                removed += erased.removed
                changed += erased.changed
        return removed, changed

    def _parts(self, batch: Manifest) -> Iterator[pa.RecordBatch]:
        hasher = records.RecordHasher()
        try:
            with pq.ParquetFile(batch.path) as file:
                for part in file.iter_batches(_ROWS):
                    erased = self.eraser.landed(part, self.connection, self.object)
                    rest = erased.batch
                    if erased.changed:
                        index = rest.schema.get_field_index("_record_hash")
                        hashes = hasher.hashes(rest.select(records.raw_names(rest)))
                        rest = rest.set_column(index, rest.schema.field(index), hashes)
                    yield rest
        finally:
            hasher.close()

    def _rejects(self, commit: WindowCommit, done: Erased) -> list[Path]:
        """Rewrite the quarantine files of a window; return the old files."""
        replaced: list[Path] = []
        for path in sorted(self.quarantine.glob(f"????-??/{commit.window_id}-*.parquet")):
            _, rejects = read_rejects(path)
            rest = [row for row in map(self._reject, rejects) if row is not None]
            gone = len(rejects) - len(rest)
            changed = sum(row not in rejects for row in rest)
            done.add(path, gone, changed)
            if self.apply and (gone or changed):
                self._write_rejects(path, rest, gone)
                replaced += [path, path.with_suffix(".json")]
        return replaced

    def _reject(self, reject: Reject) -> Reject | None:
        """Return a reject without the subject; None for one of the subject."""
        own = self.subject.by_object.get((self.connection, self.object), frozenset())
        if reject.source_id in own:
            return None
        raw = self.redaction.bytes(reject.raw)
        if raw == reject.raw:
            return reject
        # Without an id it may be the person's own record.
        return replace(reject, raw=raw) if reject.source_id else None

    def _write_rejects(self, path: Path, rest: list[Reject], gone: int) -> None:
        record = files.read_json(path.with_suffix(".json"))
        fresh = _next_version(path)
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

    def _rows_of_builds(self, done: Erased) -> None:
        """Erase from the rows that the last builds left out; the files are replaced, the record last."""
        for record_path in sorted(self.quarantine.glob("normalized/*.json")):
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
                for path in self.quarantine.glob("normalized/*.parquet"):
                    is_of = path.name.startswith(f"{record_path.stem}-")
                    if is_of and path.name not in sums:
                        path.unlink(missing_ok=True)

    def _rewritten_rows(self, path: Path) -> _Rewritten:
        removed = changed = 0
        parts = []
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            for part in file.iter_batches(_ROWS):
                erased = self.eraser.landed(part, self.connection, self.object)
                removed += erased.removed
                changed += erased.changed
                parts.append(erased.batch)
        if not self.apply or not (removed or changed):
            return _Rewritten(None, removed, changed)
        fresh = _next_version(path)
        with files.replacing(fresh, "rejects") as temporary:
            pq.write_table(pa.Table.from_batches(parts, schema), temporary, compression="zstd")
        return _Rewritten(fresh, removed, changed)


class _free:  # noqa: N801 - stands in for a lock
    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        return None


def _copy(source: Path, target: Path, parts: Iterator[pa.RecordBatch]) -> None:
    """Write the parts of a batch like the file that they come from."""
    with pq.ParquetFile(source) as file:
        schema = file.schema_arrow
    with pq.ParquetWriter(
        target,
        schema,
        compression="zstd",
        compression_level=1,
        write_statistics=list(records.KEY_COLUMNS),
    ) as writer:
        for part in parts:
            if part.num_rows:
                writer.write_batch(part)


def is_rewritten(path: Path) -> bool:
    """Say whether a file was written by an erasure."""
    return _VERSION.search(path.stem) is not None


def _next_version(path: Path) -> Path:
    """Return the name of a rewritten file: `<batch>.e<n>`, so that no name is used again."""
    match = _VERSION.search(path.stem)
    stem = path.stem[: match.start()] if match else path.stem
    number = int(match[1]) + 1 if match else 1
    return path.with_name(f"{stem}.e{number}{path.suffix}")


def _versions_of(paths: Iterator[Path]) -> dict[Path, list[Path]]:
    """Return files by their first name, each with its versions in order, whole ones only."""
    versions: dict[Path, list[Path]] = {}
    for path in paths:
        if path.with_suffix(".parquet").exists():
            versions.setdefault(path.with_name(_VERSION.sub("", path.stem)), []).append(path)
    return {first: sorted(each, key=_number) for first, each in versions.items()}


def _number(path: Path) -> int:
    match = _VERSION.search(path.stem)
    return int(match[1]) if match else 0


def _unnamed(rejects: list[Reject]) -> int:
    return sum(not row.source_id for row in rejects)
