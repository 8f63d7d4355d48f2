"""Landing: raw records as they came, append-only, with windows that commit.

A batch is one Parquet file and its manifest. Batches belong to a window; nobody reads them before
the window's own file says that it was read to its end. The watermark of an object is derived from
the committed windows and kept nowhere else.

Layout: `landing/<connection>/<object>/<yyyy-mm>/<batch>.parquet` and `.json`, `windows/<id>.json`,
`schemas/<fingerprint>.json`; `windows/<id>.open` names the process that is writing a window, and
`windows/<id>.accepted` says that a person believes it (see `acceptance`), `windows/<id>.sight` what the
login saw when it was read again (see `sight`).
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
from crm_pipeline.store.landing import acceptance, compaction
from crm_pipeline.store.landing.corruption import schema_cure, unreadable_batch, window_cure
from crm_pipeline.store.landing.manifest import (
    Kind,
    Manifest,
    Shape,
    WindowCommit,
    commit_from,
    commit_record,
)
from crm_pipeline.store.landing.records import KEY_COLUMNS, STAMP, SeenVersions, version_keys
from crm_pipeline.store.landing.recovery import Interrupted, claimed, described, remove_interrupted
from crm_pipeline.store.landing.rejects import Reject, read_rejects
from crm_pipeline.store.landing.visibility import note_sight, noted_at, sight_at
from crm_pipeline.store.landing.watermark import Edge, edge_of
from crm_pipeline.store.landing.window import WindowWriter

_SIGHT_LASTS = timedelta(days=1)  # one or two calls an object are a part of what a refresh costs
_log = structlog.get_logger("crm_pipeline.store")


class Landing:
    """The landing zone below one data folder (`settings.data`)."""

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self.root = root
        self.clock = clock or SystemClock()
        # A commit is written once under a name of its own, so each is read and parsed once.
        self._commits: dict[Path, WindowCommit] = {}
        self._verifier = Verifier()

    def folder(self, connection: str, obj: str) -> Path:
        """Return the folder of one object."""
        return self.root / "landing" / path_name(connection) / path_name(obj)

    def quarantine(self, connection: str, obj: str) -> Path:
        """Return the folder of an object's rows that could not be landed."""
        return self.root / "quarantine" / path_name(connection) / path_name(obj)

    def objects(self, connection: str) -> list[str]:
        """Return the objects of a connection that have landed something, by name."""
        folder = self.root / "landing" / path_name(connection)
        if not folder.is_dir():
            return []
        return sorted(from_path_name(entry.name) for entry in folder.iterdir() if entry.is_dir())

    def windows(self, connection: str, obj: str) -> list[WindowCommit]:
        """Return the committed windows of an object in the order of their commits.

        What a person has accepted is marked.

        Raises:
            CorruptFile: a commit cannot be read; nothing is skipped silently.
        """
        folder = self.folder(connection, obj)
        commits = compaction.current(self._commits_in(folder))
        accepted = acceptance.accepted(folder)
        if accepted:
            commits = [replace(c, is_accepted=c.window_id in accepted) for c in commits]
        return sorted(commits, key=lambda commit: (commit.committed_at, commit.window_id))

    def _commits_in(self, folder: Path) -> list[WindowCommit]:
        names = compaction.commit_names(folder)
        while True:
            commits: list[WindowCommit] = []
            with suppress(FileNotFoundError):  # somebody merged it just now
                commits = [self._commit(folder / "windows" / name, folder) for name in names]
            # A listing taken while files come and go may miss both the old and the new one; two
            # alike cannot.
            before, names = names, compaction.commit_names(folder)
            if names == before and len(commits) == len(names):
                return commits

    def _commit(self, path: Path, folder: Path) -> WindowCommit:
        known = self._commits.get(path)
        if known is None:
            cure = window_cure(folder, path.stem)
            record = files.read_json(path, cure=cure)
            try:
                known = self._commits[path] = commit_from(record, folder)
            except (KeyError, TypeError, ValueError) as error:
                raise CorruptFile(
                    f"the window commit {path} cannot be read: {error!r}.", cure=cure
                ) from error
        return known

    def batches(self, connection: str, obj: str) -> list[Manifest]:
        """Return the committed batches of an object, oldest commit first."""
        return [batch for commit in self.windows(connection, obj) for batch in commit.batches]

    def check(self, batches: Iterable[Manifest]) -> None:
        """Make sure that batches are as they were landed, before they are read.

        Raises:
            CorruptFile: one is not; the text names it and what to do.
        """
        by_path = {batch.path: batch for batch in batches}
        damaged = self._verifier.damaged((path, one.sum) for path, one in by_path.items())
        if damaged:
            raise unreadable_batch(by_path[damaged[0]])

    def discard_damaged_copies(self, batches: Iterable[Manifest]) -> bool:
        """Remove copies of batches that are not as they were written; say whether there were any.

        Who reads the batches again makes them anew.
        """
        copies = [(batch.path, batch.sum) for batch in batches if batch.is_copy]
        damaged = self._verifier.damaged(copies)
        files.discard(*damaged)
        return bool(damaged)

    def rejects(self, window: WindowCommit | WindowWriter) -> list[Reject]:
        """Return the records that a window set aside; fewer than it counted where files are gone.

        Raises:
            CorruptFile: a file with some is damaged.
        """
        if not window.quarantined:
            return []
        folder = self.quarantine(window.connection, window.object)
        found: list[Reject] = []
        for path in sorted(folder.glob(f"????-??/{window.window_id}-*.parquet")):
            found += read_rejects(path)[1]
        return found

    def watermark(self, connection: str, obj: str) -> datetime | None:
        """Return the instant before which every change of the object has been read.

        It is the upper edge of the gap-free union of committed windows, as far as those are believed
        (never a maximum over records); None before a window without lower edge was committed.
        """
        return self.edge(connection, obj).at

    def edge(self, connection: str, obj: str, present: datetime | None = None) -> Edge:
        """Return the watermark and what the windows claim; none is believed beyond `present`."""
        return edge_of(self.windows(connection, obj), present)

    def accept(self, connection: str, obj: str, window_id: str) -> None:
        """Note that a person believes a window: what it lacks is deleted, what it emptied is empty."""
        acceptance.accept_window(self.folder(connection, obj), window_id, self.clock.now())

    def accept_schema(self, connection: str, obj: str, fingerprint: str) -> None:
        """Note that a person believes a description of an object, until it is read with another."""
        now, last = self.clock.now(), self._last_commit(connection, obj)
        if last is not None:  # the clock may have been set back
            now = max(now, last + timedelta(microseconds=1))
        acceptance.accept_schema(self.folder(connection, obj), fingerprint, now)

    def sight(self, commit: WindowCommit) -> str:
        """Return what stood for what the login saw at the last read that a commit stands for; "" if unknown."""
        return sight_at(self.folder(commit.connection, commit.object), commit)

    def is_sight_due(self, commit: WindowCommit) -> bool:
        """Say whether what a login sees has to be asked for again: it is not known, or a day old."""
        folder = self.folder(commit.connection, commit.object)
        age = self.clock.now() - noted_at(folder, commit)
        return not sight_at(folder, commit) or age >= _SIGHT_LASTS

    def note_sight(self, commit: WindowCommit, sight: str) -> None:
        """Note what the login saw at a read that a commit stands for, too."""
        folder = self.folder(commit.connection, commit.object)
        note_sight(folder, commit, sight, self.clock.now())

    def notes(self, connection: str, obj: str) -> Mapping[str, Any]:
        """Return what the connector noted with the window of an object that was committed last."""
        commits = [one for one in self.windows(connection, obj) if one.kind == "window"]
        return commits[-1].notes if commits else {}

    def schema(self, connection: str, obj: str, fingerprint: str) -> Schema:
        """Return the fields of an object as they were described when a batch was read.

        Raises:
            CorruptFile: the file is gone, or is not what its name, a fingerprint, stands for.
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
        """Return the fields of an object as its last committed window saw them."""
        commits = self.windows(connection, obj)
        if not commits:
            return None
        return self.schema(connection, obj, commits[-1].schema_fingerprint)

    def known(self, connection: str, obj: str, since: datetime, shape: Shape) -> SeenVersions:
        """Return the versions of records landed with a stamp >= `since`."""
        keys: dict[bool, list[pa.Array]] = {True: [], False: []}
        for batch in self._reaching(connection, obj, since):
            table = _since(batch, since, [*KEY_COLUMNS, "_record_hash"])
            is_same = batch.shape == shape
            for part in table.to_batches():
                hashes = part.column("_record_hash") if is_same else None
                keys[is_same].append(version_keys(part, hashes))
        return SeenVersions(exact=_distinct(keys[True]), stamped=_distinct(keys[False]))

    def newest(self, connection: str, obj: str, since: datetime) -> tuple[int, datetime | None]:
        """Return how many records landed with a stamp >= `since`, and the newest stamp of all."""
        ids: list[pa.Array] = []
        newest: datetime | None = None
        for batch in self._reaching(connection, obj, since):
            table = _since(batch, since, ["_source_id", "_modified_at"])
            ids.extend(table.column("_source_id").chunks)
            found = pc.max(table.column("_modified_at")).as_py()
            newest = max(filter(None, (newest, found)), default=None)
        return len(_distinct(ids)), newest

    def _reaching(self, connection: str, obj: str, since: datetime) -> list[Manifest]:
        """Return the batches that may hold stamps >= `since`, checked."""
        found = [
            batch
            for batch in self.batches(connection, obj)
            if batch.kind != "window" or batch.window.to_at > since
        ]
        self.check(found)
        return found

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
        """Open a window for writing, after clearing what dead processes left unfinished.

        Old windows that landed nothing are merged as well, once there are many.

        Args:
            connection: whose object it is.
            obj: the object.
            window: what is being read.
            schema: the fields as they are described now.
            kind: see `Manifest`.
            purpose: what the reader will want to know again if this process dies; see `interrupted`.
            reader: see `Manifest`.
        """
        folder = files.make_folder(self.folder(connection, obj))
        self.clear_interrupted(connection, obj)
        if compaction.is_worthwhile(folder):
            self.merge_unchanged(connection, obj)
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
        """Return the windows that dead processes left and that can be resumed, newest first."""
        found = []
        for marker in self._markers(connection, obj):
            with claimed(marker, self.clock.now()) as record:
                left = described(marker, record) if record else None
            if left is not None:
                found.append(left)
        return sorted(found, key=lambda left: left.window_id, reverse=True)

    def resume(
        self, connection: str, obj: str, left: Interrupted, schema: Schema, *, reader: int = 0
    ) -> WindowWriter | None:
        """Go on with a window that a dead process left; None if somebody else does by now.

        The batches of the pages that were done stay, everything else of that process goes; all of it
        where the disk has damaged what it wrote.
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
            writer.checkpoint.distrust()
        try:
            writer.take_over(list(writer.checkpoint.all_done()))
        except CorruptFile as error:
            _log.warning("an unfinished window is not gone on with", reason=str(error))
            remove_interrupted(writer.folder, self.quarantine(connection, obj), writer.window_id)
            return None
        return writer

    def merge_unchanged(self, connection: str, obj: str) -> int:
        """Merge old window commits that landed nothing; say how many were replaced.

        Watermark and batches stay as they are. If another process is at it, nothing is done.

        Raises:
            StoreError: the disk is full or not writable; nothing is lost.
        """
        folder = self.folder(connection, obj)
        with compaction.alone(folder) as is_alone:
            if not is_alone:
                return 0
            compaction.remove_replaced(folder, self._commits_in(folder))  # if one died before that
            merged = compaction.merged(self.windows(connection, obj))
            for commit in merged:
                path = folder / "windows" / f"{commit.window_id}.json"
                files.write_json(path, commit_record(commit))
            compaction.remove_replaced(folder, merged)
        return sum(len(commit.supersedes) for commit in merged)

    def clear_interrupted(self, connection: str, obj: str) -> int:
        """Remove the batches of windows whose writer died before the commit; say how many.

        A window that another living process is writing stays untouched.
        """
        folder, quarantine = self.folder(connection, obj), self.quarantine(connection, obj)
        cleared = 0
        for place in (
            folder / "schemas",
            folder / "windows",
        ):  # writers that died before the marker
            files.discard(*files.abandoned(place.glob(".*"), self.clock.now()))
        for marker in self._markers(connection, obj):
            with claimed(marker, self.clock.now()) as record:
                if record is not None:
                    cleared += remove_interrupted(folder, quarantine, marker.stem)
        return cleared

    def _last_commit(self, connection: str, obj: str) -> datetime | None:
        commits = self.windows(connection, obj)
        return commits[-1].committed_at if commits else None

    def _markers(self, connection: str, obj: str) -> list[Path]:
        return sorted((self.folder(connection, obj) / "windows").glob("*.open"))


def _since(batch: Manifest, since: datetime, columns: list[str]) -> pa.Table:
    """Read columns of the records of a batch that were changed since a moment."""
    try:
        return pq.read_table(
            batch.path,
            columns=columns,
            filters=pc.field("_modified_at") >= pa.scalar(since, STAMP),
        )
    except (OSError, pa.ArrowException) as error:
        raise unreadable_batch(batch) from error


def _distinct(arrays: list[pa.Array]) -> pa.Array:
    return pa.chunked_array(arrays, pa.string()).combine_chunks().unique()
