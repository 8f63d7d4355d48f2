"""Landing: raw records as received, append-only, in windows that commit.

A batch is one Parquet file and its manifest. Batches belong to a window; they are not read before the window's
own file says that the window was read to its end. The watermark of an object is derived from the committed
windows and stored nowhere else.

Layout: `landing/<connection>/<object>/<yyyy-mm>/<batch>.parquet` and `.json`, `windows/<id>.json`,
`schemas/<fingerprint>.json`; `windows/<id>.open` names the process that is writing a window, and
`windows/<id>.accepted` says that a person believes it (see `acceptance`), `windows/<id>.sight` holds what the
login could see when it was read again (see `visibility`).
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog

from crm_pipeline.kernel.clock import Clock, SystemClock, Window
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.kernel.identity import from_path_name, path_name
from crm_pipeline.model.schema import Schema, is_fingerprint
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.landing import acceptance, compaction, origins, rewriting
from crm_pipeline.store.landing.corruption import schema_cure, unreadable_batch, window_cure
from crm_pipeline.store.landing.manifest import (
    Kind,
    Manifest,
    Shape,
    WindowCommit,
    commit_from,
)
from crm_pipeline.store.landing.merging import carry_out
from crm_pipeline.store.landing.origins import Place
from crm_pipeline.store.landing.point_times import PointTimes
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP, SeenVersions, version_keys
from crm_pipeline.store.landing.recovery import Interrupted, claimed, remove_interrupted, resumable
from crm_pipeline.store.landing.rejects import Reject, read_rejects
from crm_pipeline.store.landing.visibility import note_sight, noted_at, sight_at
from crm_pipeline.store.landing.watermark import Edge, edge_of
from crm_pipeline.store.landing.window import WindowWriter

_SIGHT_LASTS = timedelta(days=1)  # asking costs one or two calls an object, a part of a refresh
_CLOCKS_DIFFER = timedelta(days=1)  # more than that is an error that reads report
_log = structlog.get_logger("crm_pipeline.store")
_Identity = tuple[int, int, int]


class Landing:
    """The landing zone below one data folder (`settings.data`)."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self.root = root
        self.clock = clock or SystemClock()
        # A commit is hardly ever replaced, so it is parsed once; by folder, name and identity of the file.
        self._commits: dict[Path, dict[str, tuple[_Identity, WindowCommit]]] = {}
        self._verifier = Verifier()

    def folder(self, connection: str, obj: str) -> Path:
        """Return the folder of one object."""
        return self.root / "landing" / path_name(connection) / path_name(obj)

    def quarantine(self, connection: str, obj: str) -> Path:
        """Return the folder of an object's rows that could not be landed."""
        return self.root / "quarantine" / path_name(connection) / path_name(obj)

    def connections(self) -> list[str]:
        """Return the connections with landed records, sorted by name; some may not be configured any more."""
        folder = self.root / "landing"
        if not folder.is_dir():
            return []
        return sorted(from_path_name(entry.name) for entry in folder.iterdir() if entry.is_dir())

    def objects(self, connection: str) -> list[str]:
        """Return the objects of a connection with landed records, sorted by name."""
        folder = self.root / "landing" / path_name(connection)
        if not folder.is_dir():
            return []
        return sorted(from_path_name(entry.name) for entry in folder.iterdir() if entry.is_dir())

    def windows(self, connection: str, obj: str) -> list[WindowCommit]:
        """Return the committed windows of an object in the order of their commits.

        Windows that a person has accepted are marked.

        Raises:
            CorruptFile: a commit cannot be read; nothing is skipped silently.
        """
        folder = self.folder(connection, obj)
        commits = compaction.current(self._commits_in(folder))
        accepted = acceptance.accepted(folder)
        if accepted:
            commits = [replace(c, is_accepted=c.window_id in accepted) for c in commits]
        return sorted(commits, key=lambda commit: (commit.committed_at, commit.window_id))

    def object_reads(self, connection: str, obj: str) -> list[WindowCommit]:
        """Return the commits of an object without those of single records, which say nothing about the object."""
        return [commit for commit in self.windows(connection, obj) if not commit.is_point]

    def _commits_in(self, folder: Path) -> list[WindowCommit]:
        names = compaction.commit_names(folder)
        while True:
            commits: list[WindowCommit] = []
            with suppress(FileNotFoundError):  # another process has just merged it
                commits = [self._commit(folder, name) for name in names]
            # A listing taken while files come and go may miss both the old and the new one; two equal
            # listings cannot.
            before, names = names, compaction.commit_names(folder)
            if names == before and len(commits) == len(names):
                self._forget(folder, names)
                return commits

    def _commit(self, folder: Path, name: str) -> WindowCommit:
        path = folder / "windows" / name
        status = path.stat()
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        known, commit = self._commits.setdefault(folder, {}).get(name, (None, None))
        if commit is None or known != identity:
            cure = window_cure(folder, path.stem)
            record = files.read_json(path, cure=cure)
            try:
                commit = commit_from(record, folder)
            except (KeyError, TypeError, ValueError) as error:
                raise CorruptFile(
                    f"the window commit {path} cannot be read: {error!r}.", cure=cure
                ) from error
            self._commits[folder][name] = identity, commit
        return commit

    def _forget(self, folder: Path, names: set[str]) -> None:
        known = self._commits.get(folder, {})
        for name in known.keys() - names:
            known.pop(name, None)

    def places(self, connection: str, obj: str, commits: Iterable[WindowCommit]) -> list[Place]:
        """Return the landed batches of commits, those that were merged included, in the order of folding.

        Raises:
            CorruptFile: the file of what was merged is damaged.
        """
        folder = self.folder(connection, obj)
        return origins.ordered(
            place
            for commit in commits
            for place in (
                origins.merged_places(folder, commit, self._verifier)
                if commit.origins
                else origins.places_of(commit)
            )
        )

    def merged_facts(self, connection: str, obj: str, commit: WindowCommit) -> pa.Table:
        """Return the facts of the batches that were merged into a commit, see `origins.facts`."""
        return origins.facts(self.folder(connection, obj), commit, self._verifier)

    def merged_commits(
        self, connection: str, obj: str, commit: WindowCommit
    ) -> list[tuple[WindowCommit, dict[str, str]]]:
        """Return the commits that were merged into one, see `origins.merged_commits`."""
        return origins.merged_commits(self.folder(connection, obj), commit, self._verifier)

    def batches(self, connection: str, obj: str) -> list[Manifest]:
        """Return the committed batches of an object, oldest commit first."""
        return [batch for commit in self.windows(connection, obj) for batch in commit.batches]

    def check(self, batches: Iterable[Manifest]) -> None:
        """Make sure, before batches are read, that their files are as they were landed.

        Raises:
            CorruptFile: a file is not; the text names it and what to do.
        """
        by_path = {batch.path: batch for batch in batches}
        damaged = self._verifier.damaged((path, batch.sum) for path, batch in by_path.items())
        if damaged:
            raise unreadable_batch(by_path[damaged[0]])

    def discard_damaged_copies(self, batches: Iterable[Manifest]) -> bool:
        """Remove damaged copies of batches; say whether there were any.

        The next reread of the batches makes the copies again.
        """
        copies = [(batch.path, batch.sum) for batch in batches if batch.is_copy]
        damaged = self._verifier.damaged(copies)
        files.discard(*damaged)
        return bool(damaged)

    def rejects(self, window: WindowCommit | WindowWriter) -> list[Reject]:
        """Return the records that a window quarantined; fewer than it counted where files are gone.

        Raises:
            CorruptFile: a file of them is damaged.
        """
        if not window.quarantined:
            return []
        folder = self.quarantine(window.connection, window.object)
        rejects: list[Reject] = []
        writing = (window.window_id,)
        for window_id in window.rejected_ids if isinstance(window, WindowCommit) else writing:
            for path in sorted(folder.glob(f"????-??/{window_id}-*.parquet")):
                rejects += read_rejects(path)[1]
        return rejects

    def watermark(self, connection: str, obj: str) -> datetime | None:
        """Return the instant before which every change of the object has been read.

        It is the upper edge of the gap-free union of committed windows, as far as they are believed (see
        `watermark`), never a maximum over records. None before a window without lower edge has committed.
        """
        return self.edge(connection, obj).at

    def edge(self, connection: str, obj: str, present: datetime | None = None) -> Edge:
        """Return the watermark and the end that the windows state; no window is believed beyond `present`."""
        return edge_of(self.windows(connection, obj), present)

    def accept(self, connection: str, obj: str, window_id: str) -> None:
        """Note that a person believes a window: the records that it lacks are deleted."""
        acceptance.accept_window(self.folder(connection, obj), window_id, self.clock.now())

    def accept_schema(self, connection: str, obj: str, fingerprint: str) -> None:
        """Note that a person believes a schema of an object, until the object is read with another one."""
        now, last = self.clock.now(), self._last_commit(connection, obj)
        if last is not None:  # the clock may have been set back
            now = max(now, last + timedelta(microseconds=1))
        acceptance.accept_schema(self.folder(connection, obj), fingerprint, now)

    def sight(self, commit: WindowCommit) -> str:
        """Return the fingerprint of what the login could see at the last read of a commit; "" if unknown."""
        return sight_at(self.folder(commit.connection, commit.object), commit)

    def is_sight_due(self, commit: WindowCommit) -> bool:
        """Say whether the login's visibility has to be asked for again: it is unknown, or a day old."""
        folder = self.folder(commit.connection, commit.object)
        age = self.clock.now() - noted_at(folder, commit)
        return not sight_at(folder, commit) or age >= _SIGHT_LASTS

    def note_sight(self, commit: WindowCommit, sight: str) -> None:
        """Note what the login could see at a repeated read of a commit."""
        folder = self.folder(commit.connection, commit.object)
        note_sight(folder, commit, sight, self.clock.now())

    def notes(self, connection: str, obj: str) -> Mapping[str, Any]:
        """Return the connector's notes in the last committed window of an object."""
        commits = [c for c in self.windows(connection, obj) if c.kind == "window"]
        return commits[-1].notes if commits else {}

    def schema(self, connection: str, obj: str, fingerprint: str) -> Schema:
        """Return the schema of an object as it was when a batch was read.

        Raises:
            CorruptFile: the file is gone, or its content does not fit its name, which is a fingerprint.
        """
        path = self.folder(connection, obj) / "schemas" / f"{fingerprint}.json"
        cure = schema_cure(self.folder(connection, obj))
        try:
            stored = files.read_json(path, cure=cure)
            if not is_fingerprint(fingerprint, stored):
                raise CorruptFile(f"the schema {path} is not what its name stands for.", cure=cure)
            return Schema.from_dict(stored)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise CorruptFile(f"the schema {path} cannot be read: {error!r}.", cure=cure) from error

    def latest_schema(self, connection: str, obj: str) -> Schema | None:
        """Return the schema of an object's last committed window; single records, read by their ids, have no say."""
        commits = self.object_reads(connection, obj)
        if not commits:
            return None
        return self.schema(connection, obj, commits[-1].schema_fingerprint)

    def seen_versions(
        self, connection: str, obj: str, since: datetime, shape: Shape
    ) -> SeenVersions:
        """Return the landed versions of records modified at or after `since`.

        A version counts only if its record was not read by its id since: then another version may be the newest
        one, and only landing this one again makes it the newest.
        """
        keys: dict[bool, list[pa.Array]] = {True: [], False: []}
        points = PointTimes.of(self._points(connection, obj, since))
        for batch in self._reaching(connection, obj, since):
            table = _since(batch, since, [*KEY_COLUMNS, "_record_hash", "_extracted_at"])
            table = points.without_later(table)
            is_same = batch.shape == shape
            for part in table.to_batches():
                hashes = part.column("_record_hash") if is_same else None
                keys[is_same].append(version_keys(part, hashes))
        return SeenVersions(exact=_distinct(keys[True]), unhashed=_distinct(keys[False]))

    def landed_since(
        self, connection: str, obj: str, since: datetime
    ) -> tuple[int, datetime | None]:
        """Return how many records modified at or after `since` have landed, and the latest modification.

        Only reads of the object count. Records that were read by their ids do not say that others have landed.
        """
        ids: list[pa.Array] = []
        latest: datetime | None = None
        for batch in self._reaching(connection, obj, since):
            table = _since(batch, since, ["_source_id", "_modified_at"])
            ids.extend(table.column("_source_id").chunks)
            modified_at = pc.max(table.column("_modified_at")).as_py()
            latest = max(filter(None, (latest, modified_at)), default=None)
        return len(_distinct(ids)), latest

    def _reaching(self, connection: str, obj: str, since: datetime) -> list[Manifest]:
        """Return the batches that may hold records modified at or after `since`, checked."""
        batches = [
            batch
            for commit in self.object_reads(connection, obj)
            for batch in commit.batches
            if batch.kind != "window" or batch.window.to_at > since
        ]
        self.check(batches)
        return batches

    def _points(self, connection: str, obj: str, since: datetime) -> list[Manifest]:
        """Return the batches of records that were read by their ids at or after `since`, checked."""
        begin = (
            since - _CLOCKS_DIFFER
        )  # the vendor's clock set `since`, ours the time of the commits
        batches = [
            batch
            for commit in self.windows(connection, obj)
            if commit.is_point and commit.committed_at >= begin
            for batch in commit.batches
        ]
        self.check(batches)
        return batches

    def begin(
        self,
        connection: str,
        obj: str,
        window: Window,
        schema: Schema,
        kind: Kind = "window",
        *,
        purpose: Mapping[str, Any] | None = None,
        reader: int = 0,
    ) -> WindowWriter:
        """Open a window for writing, after removing the interrupted windows of dead processes.

        Old windows are merged as well, once there are many. A read of single records leaves an interrupted window
        that can be resumed: the next read of the object resumes it.

        Args:
            connection: the object's connection.
            obj: the object.
            window: the time that is being read.
            schema: the object's fields as they are now.
            kind: see `Manifest`.
            purpose: facts that the reader needs again if this process dies; see `interrupted`.
            reader: see `Manifest`.
        """
        folder = files.make_folder(self.folder(connection, obj))
        self.clear_interrupted(connection, obj, keep_resumable=kind == "point")
        if compaction.is_worthwhile(folder):
            self.merge(connection, obj)
        path = folder / "schemas" / f"{schema.fingerprint}.json"
        if not path.exists():
            files.write_json(path, schema.to_dict(), "schema")
        return WindowWriter(
            folder=folder,
            quarantine=self.quarantine(connection, obj),
            connection=connection,
            obj=obj,
            window=window,
            kind=kind,
            schema=schema,
            clock=self.clock,
            purpose=purpose,
            not_before=self._last_commit(connection, obj),
            reader=reader,
        )

    def interrupted(self, connection: str, obj: str) -> list[Interrupted]:
        """Return the interrupted windows that can be resumed, newest first."""
        windows = []
        for marker in self._markers(connection, obj):
            with claimed(marker, self.clock.now()) as record:
                left = resumable(marker, record) if record else None
            if left is not None:
                windows.append(left)
        return sorted(windows, key=lambda left: left.window_id, reverse=True)

    def resume(
        self, connection: str, obj: str, left: Interrupted, schema: Schema, *, reader: int = 0
    ) -> WindowWriter | None:
        """Resume an interrupted window; None if another process has it by now, or its files are damaged.

        The batches of finished pages stay, everything else of the dead process is removed. Everything is
        removed where the disk has damaged its files.
        """
        with claimed(left.marker, self.clock.now()) as record:
            if record is None:
                return None
            writer = WindowWriter(
                folder=self.folder(connection, obj),
                quarantine=self.quarantine(connection, obj),
                connection=connection,
                obj=obj,
                window=left.window,
                kind=left.kind,
                schema=schema,
                clock=self.clock,
                purpose=left.purpose,
                window_id=left.window_id,
                not_before=self._last_commit(connection, obj),
                reader=reader,
            )
        if not left.same_boot:
            writer.checkpoint.discard_unflushed()
        try:
            writer.take_over(list(writer.checkpoint.all_done()))
        except CorruptFile as error:
            _log.warning("an unfinished window is not gone on with", reason=str(error))
            remove_interrupted(writer.folder, self.quarantine(connection, obj), writer.window_id)
            return None
        return writer

    def merge(self, connection: str, obj: str) -> int:
        """Merge old windows, see `compaction`; return how many were replaced.

        If another process is merging, nothing is done.

        Raises:
            StoreError: the disk is full or not writable; nothing is lost.
        """
        folder = self.folder(connection, obj)
        with compaction.merge_lock(folder) as is_locked:
            if not is_locked:
                return 0
            stored = self._commits_in(folder)
            compaction.remove_replaced(folder, stored)  # of a process that died before that
            rewriting.collect(folder, compaction.current(stored), self.clock.now())
            busy = frozenset(marker.stem for marker in self._markers(connection, obj))
            merged: list[WindowCommit] = []
            by_id = {commit.window_id: commit for commit in stored}
            try:
                for merge in compaction.merges(self.windows(connection, obj), busy):
                    now = self.clock.now()
                    merged.append(carry_out(folder, merge, by_id, self._verifier, now))
            except CorruptFile as error:
                # The refresh goes on; the next build reports the file as well, and how to mend it.
                _log.warning("small windows are not merged", reason=str(error))
            compaction.remove_replaced(folder, merged)
        return sum(len(commit.supersedes) for commit in merged)

    def clear_interrupted(self, connection: str, obj: str, *, keep_resumable: bool = False) -> int:
        """Remove the batches of windows whose writer died before the commit; return how many.

        A window that a living process is writing stays untouched, and with `keep_resumable` one that can be resumed.
        """
        folder, quarantine = self.folder(connection, obj), self.quarantine(connection, obj)
        cleared = 0
        for part in (
            folder / "schemas",
            folder / "windows",
        ):  # of writers that died before the marker
            files.discard(*files.abandoned(part.glob(".*"), self.clock.now()))
        for marker in self._markers(connection, obj):
            with claimed(marker, self.clock.now()) as record:
                if record is None or (keep_resumable and resumable(marker, record)):
                    continue
                cleared += remove_interrupted(folder, quarantine, marker.stem)
        return cleared

    def _last_commit(self, connection: str, obj: str) -> datetime | None:
        commits = self.windows(connection, obj)
        return commits[-1].committed_at if commits else None

    def _markers(self, connection: str, obj: str) -> list[Path]:
        return sorted((self.folder(connection, obj) / "windows").glob("*.open"))


def _since(batch: Manifest, since: datetime, columns: list[str]) -> pa.Table:
    """Read columns of a batch, of the records modified at or after `since`."""
    try:
        return pq.read_table(
            batch.path,
            columns=columns,
            filters=pc.field("_modified_at") >= pa.scalar(since, TIMESTAMP),
        )
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error


def _distinct(arrays: list[pa.Array]) -> pa.Array:
    return pa.chunked_array(arrays, pa.string()).combine_chunks().unique()
