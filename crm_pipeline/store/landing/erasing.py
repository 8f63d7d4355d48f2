"""Erase a subject from landing, object by object and window by window.

A batch without the subject is a new file under a new name, see `rewriting`. The window's commit is replaced in one step
and names the new files; then the old ones are removed, and with them what merges have kept for readers. A process that
dies before the commit leaves new files that nothing names, one that dies after it leaves old ones. The next erasure
removes both: it begins with files that no commit names.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
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
from crm_pipeline.store.erasing.rows import ErasedRows, RowEraser
from crm_pipeline.store.erasing.subject import Erased, Subject
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.landing import compaction, origins, records, rewriting
from crm_pipeline.store.landing.erasing_quarantine import QuarantineEraser
from crm_pipeline.store.landing.file_versions import next_version
from crm_pipeline.store.landing.landing import Landing
from crm_pipeline.store.landing.manifest import Manifest, WindowCommit
from crm_pipeline.store.landing.outstanding import FILE as OUTSTANDING
from crm_pipeline.store.landing.recovery import is_being_written
from crm_pipeline.store.landing.rereads import FOLDER as REREAD

ERASED = "erased"
_REASON = "a person was erased"
_ROWS = 20_000


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
class _Found:
    """What a batch holds of a subject: own rows by the batch that they landed in, and others with values."""

    own: Counter[str]
    others: int

    def __bool__(self) -> bool:
        return bool(self.own or self.others)


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
    def quarantine(self) -> QuarantineEraser:
        folder = self.landing.quarantine(self.connection, self.object)
        return QuarantineEraser(folder, self._erased, self._own, self.redaction, self.apply)

    @property
    def _own(self) -> frozenset[str]:
        return self.subject.by_object.get((self.connection, self.object), frozenset())

    @property
    def _commits(self) -> list[WindowCommit]:
        return self.landing.windows(self.connection, self.object)

    def _erased(self, rows: pa.RecordBatch) -> ErasedRows:
        return self.eraser.landed(rows, self.connection, self.object)

    def erase(self, done: Erased) -> None:
        if not self.apply:
            self._windows(done)
            return
        self._clear_interrupted()
        self.quarantine.clear_interrupted()
        before = done.rows + done.values
        if (self.folder / "windows").is_dir():
            # Only one process replaces commits, and nobody merges what is about to go.
            with compaction.merge_lock(self.folder) as is_locked:
                if not is_locked:
                    raise self._busy()
                compaction.remove_replaced(self.folder, self._commits)
                self._remove_unnamed()
                self._windows(done)
                self._remove_unnamed()
        else:
            self._windows(done)
        self._remove_derived(is_changed=done.rows + done.values > before)

    def _windows(self, done: Erased) -> None:
        for commit in self._commits:
            self._window(commit, done)
        self.quarantine.erase_rows_of_builds(done)

    def _remove_unnamed(self) -> None:
        rewriting.remove_unnamed(self.folder, lambda: self._commits)

    def _remove_derived(self, *, is_changed: bool) -> None:
        """Remove what is made of batches and quarantined rows, and would be made again."""
        for folder in (self.folder, self.quarantine.folder):
            # Where an erasure died, the batches are rewritten already, and the copies are not.
            if (folder / REREAD).exists() and (is_changed or self._is_in(folder / REREAD)):
                rmtree(folder / REREAD)
        if is_changed or self._own:
            files.discard(self.quarantine.folder / OUTSTANDING)

    def _is_in(self, rereads: Path) -> bool:
        try:
            return any(_found(path, self._erased) for path in rereads.rglob("*.parquet"))
        except (OSError, pa.ArrowException):  # damaged
            return True

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

    def _window(self, commit: WindowCommit, done: Erased) -> None:
        self.landing.check(commit.batches)
        found = [_found(batch.path, self._erased) for batch in commit.batches]
        for batch, hits in zip(commit.batches, found, strict=True):
            done.add(batch.path, hits.own.total(), hits.others)
        replaced = self.quarantine.erase_window(commit, done)
        is_noted = self._is_noted(commit)
        if is_noted:
            done.add(self.folder / "windows" / f"{commit.window_id}.json", 0, 1)
        if not self.apply:
            return
        erased = sum(batch.erased for batch in commit.batches)
        erased += sum(hits.own.total() for hits in found)
        # The numbers differ without old files where an earlier erasure died before this commit.
        is_settled = erased + self.quarantine.counts(commit, replaced).erased == commit.erased
        if any(found) or replaced or is_noted or not is_settled:
            self._rewrite(commit, found, replaced)

    def _is_noted(self, commit: WindowCommit) -> bool:
        """Say whether notes of the connector hold an address, those of merged commits included."""
        merged = self.landing.merged_commits(self.connection, self.object, commit)
        return any(self._notes(one) != one.notes for one in (commit, *(one for one, _ in merged)))

    def _notes(self, commit: WindowCommit) -> dict[str, Any]:
        value: dict[str, Any] = self.redaction.value(dict(commit.notes))
        return value

    def _rewrite(self, commit: WindowCommit, found: list[_Found], replaced: list[Path]) -> None:
        """Write the batches with hits, what was merged into the commit, and the commit."""
        targets = {
            batch.batch_id: replace(batch, path=next_version(batch.path), rewritten=ERASED)
            for batch, hits in zip(commit.batches, found, strict=True)
            if hits
        }
        after = replace(commit, batches=tuple(targets.get(b.batch_id, b) for b in commit.batches))
        if commit.origins:
            after = replace(after, origins_version=commit.origins_version + 1)
        paths = {*rewriting.files_of(self.folder, commit), *rewriting.files_of(self.folder, after)}
        now = self.landing.clock.now()
        rewriting.note_replaced(self.folder, commit.window_id, paths, now, _REASON)
        batches = []
        own: Counter[str] = Counter()
        for batch, hits in zip(commit.batches, found, strict=True):
            if target := targets.get(batch.batch_id):
                target = replace(target, erased=batch.erased + hits.own.total())
                batches.append(rewriting.rewrite(target, self._rest_of(batch), "batch"))
                own += hits.own
            else:
                batches.append(batch)
        fresh = self._numbered(commit, batches, replaced)
        if commit.origins:
            fresh = origins.rewritten(
                self.folder,
                fresh,
                Verifier(),
                lambda one: self._numbered(
                    one, [_less(batch, own) for batch in one.batches], replaced
                ),
            )
        rewriting.recommit(self.folder, fresh, "commit")
        files.discard(*replaced)

    def _numbered(
        self, commit: WindowCommit, batches: list[Manifest], replaced: list[Path]
    ) -> WindowCommit:
        """Return a commit with the numbers of its batches and its quarantined rows as they are now."""
        aside = self.quarantine.counts(commit, replaced)
        return replace(
            commit,
            batches=tuple(batches),
            records=sum(batch.records for batch in batches),
            quarantined=aside.records if aside.erased else commit.quarantined,
            unnamed=aside.unnamed if aside.erased else commit.unnamed,
            erased=sum(batch.erased for batch in batches) + aside.erased,
            notes=self._notes(commit),
        )

    def _rest_of(self, batch: Manifest) -> Iterator[pa.RecordBatch]:
        hasher = records.RecordHasher()
        for part in rewriting.rows_of(batch):
            erased = self._erased(part)
            rest = erased.batch
            if erased.changed:
                index = rest.schema.get_field_index("_record_hash")
                hashes = hasher.hashes(rest.select(records.raw_names(rest)))
                rest = rest.set_column(index, rest.schema.field(index), hashes)
            yield rest


def _found(path: Path, erased: Callable[[pa.RecordBatch], ErasedRows]) -> _Found:
    own: Counter[str] = Counter()
    others = 0
    with pq.ParquetFile(path) as file:
        for part in file.iter_batches(_ROWS):
            rest = erased(part)
            others += rest.changed
            if rest.removed:
                own.update(part.column("_batch_id").to_pylist())
                own.subtract(rest.batch.column("_batch_id").to_pylist())
    return _Found(+own, others)


def _less(batch: Manifest, own: Mapping[str, int]) -> Manifest:
    """Return a merged manifest without the rows that were removed from the file that holds its rows."""
    gone = own.get(batch.batch_id, 0)
    return replace(batch, records=batch.records - gone, erased=batch.erased + gone)
