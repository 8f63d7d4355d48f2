"""The published database: `crm.duckdb`, a link to a snapshot, replaced in one step.

Belongs here: building snapshots, swapping the link, opening read-only, collecting old snapshots, their checksums
(`<snapshot>.json`). Does not belong here: the contents of the file.

A reader that has opened a snapshot keeps it, whatever is published or collected meanwhile: the link is resolved
when a connection opens, and a removed file exists until its last reader closes it. DuckDB compares the checksum of
each block that it reads, so a query never uses a damaged block.
"""

import errno
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store import files
from crm_pipeline.store.files import permissions
from crm_pipeline.store.files.blocks import BlockSums
from crm_pipeline.store.files.checksums import AnySum, FileSum, Verifier
from crm_pipeline.store.tables.ops_files import DATABASE, OpsFiles
from crm_pipeline.store.tables.reading import ReadLimits, attach_beside, open_closed

STORAGE_VERSION = "v1.2.0"
"""The oldest DuckDB that can read the file."""
COPIED_FROM = "copied_from"
"""What a snapshot is made of: the name of the snapshot that it is a changed copy of."""
_OPEN_ATTEMPTS = 5
_AGAIN = "Run `crm-pipeline refresh CONNECTION`, whichever connection: a snapshot that is damaged is built again."
_ANOTHER = "Restore it from a backup; or move it and its .json away, and the one before it answers for that day."
_USUAL = ReadLimits()
_UNKNOWN: Mapping[str, Any] = MappingProxyType({})
_OF_FILES = (
    duckdb.IOException,
    duckdb.SerializationException,
    duckdb.InternalException,
    duckdb.FatalException,
)
_DAMAGE = re.compile(r"\bcorrupt|not a valid duckdb|could not read enough", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


class Snapshots:
    """The published database below one data folder (`settings.data`).

    Args:
        data: the folder.
        verifier: with this process's hashes of files.
    """

    def __init__(self, data: Path, verifier: Verifier | None = None) -> None:
        self.data = data
        self._verifier = verifier or Verifier()
        self.link = data / "crm.duckdb"
        self.folder = data / "snapshots"

    def current(self) -> Path | None:
        """Return the snapshot that the link points to; None before the first publish."""
        try:
            target = self.data / self.link.readlink()
        except OSError:
            return None
        return target if target.exists() else None

    def require_link(self) -> None:
        """Make sure that `crm.duckdb` is a link to a snapshot, or does not exist yet.

        Raises:
            StoreError: it is another file, or the link's target is gone.
        """
        if self.link.is_symlink():
            if self.current() is None:
                raise StoreError(
                    f"{self.link} leads to {self.link.readlink()}, which is gone.", cure=_AGAIN
                )
        elif self.link.exists():
            raise StoreError(
                f"{self.link} is no link to a snapshot: somebody put something else there.",
                cure="Move it away, then run `crm-pipeline refresh CONNECTION`, which makes the link again.",
            )

    def later(self, release: int) -> Path | None:
        """Return the latest snapshot up to a release, if the current snapshot shows an older release."""
        current = self.current()
        kept = [path for path in self.kept() if release_number(path) <= release]
        latest = max(kept, key=release_number, default=None)
        if current is None or latest is None or not release_number(current):
            return None
        return latest if release_number(latest) > release_number(current) else None

    @contextmanager
    def building(
        self,
        name: str,
        shown: Path | None,
        also: Callable[[Path], object] = lambda _: None,
        made_of: Mapping[str, Any] = _UNKNOWN,
    ) -> Iterator[Path]:
        """Yield a path to build a snapshot at; on success it becomes the current one.

        If another publisher has published a later release since `shown`, nothing changes and the new file is
        removed.

        Args:
            name: the snapshot's file, `crm-<release>-<content>.duckdb`.
            shown: the snapshot that was current before the release was chosen.
            also: updates the files that belong to the snapshot, whose path it gets, under the same lock.
            made_of: what the next publish has to know about the file; `made_of` returns it.

        Raises:
            StoreError: the folder is not writable or the disk is full; the current one stays.
        """
        files.make_folder(self.folder)
        temporary = self.folder / f".{name}.{sortable_id()}{files.TEMPORARY_SUFFIX}"
        target = self.folder / name
        try:
            with files.explained(target):
                reached("snapshot", "begin")
                yield temporary
                reached("snapshot", "written")
                permissions.follow(self.folder, temporary)
                with ThreadPoolExecutor(1, thread_name_prefix="checksum") as hasher:
                    taken = hasher.submit(self._sums, temporary, _copied(made_of, shown))
                    files.sync_file(temporary)
                    reached("snapshot", "flushed")
                    with self._locked():
                        if self._is_overtaken(target, shown):
                            return
                        also(temporary)
                        record = {**taken.result().to_dict(), "made_of": dict(made_of)}
                        # The record of a former file of this name.
                        record_of(target).unlink(missing_ok=True)
                        temporary.replace(target)
                        reached("snapshot", "named")
                        files.sync_folder(self.folder)
                        files.write_json(record_of(target), record, "snapshot_sum")
                        self._swap(target)
        finally:
            files.discard(temporary, temporary.with_name(f"{temporary.name}.wal"))

    def _sums(self, path: Path, original: Path | None) -> BlockSums:
        """Return the checksums of a finished file, and remember them; of a copy only what changed is read."""
        sums = None
        if original is not None:
            with suppress(CorruptFile, FileNotFoundError):
                known = recorded_sum(original)
                if isinstance(known, BlockSums):
                    sums = BlockSums.after(path, original, known)
        sums = sums or BlockSums.of(path)
        self._verifier.remember(path, sums)
        return sums

    def collect(self, now: datetime, *, keep_last: int = 3, keep_days: int = 14) -> list[Path]:
        """Remove old snapshots, except the last few and the last of each day for some days; return them."""
        current = self.current()
        made = sorted(_dated(self.kept()), reverse=True)
        kept = {current} | {path for _, path in made[:keep_last]}
        days: set[str] = set()
        for at, path in made:
            day = at.date().isoformat()
            if day not in days and now - at <= timedelta(days=keep_days):
                days.add(day)
                kept.add(path)
        gone = [path for _, path in made if path not in kept]
        for path in [*gone, *self._abandoned(now)]:
            with files.explained(path):
                reached("old_snapshots", "begin")
                path.unlink(missing_ok=True)
                reached("old_snapshots", "removed")
        for record in self.folder.glob("crm-*.duckdb.json"):
            if not record.with_suffix("").exists():
                files.discard(record)
        return gone

    def is_whole(self, path: Path) -> bool:
        """Say whether a snapshot is as it was written; without a record, whether it opens."""
        try:
            recorded = recorded_sum(path)
        except CorruptFile:
            return False
        return can_be_opened(path) if recorded is None else self._verifier.is_whole(path, recorded)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one publisher at a time read and replace the link; a killed process releases the lock."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _is_overtaken(self, target: Path, shown: Path | None) -> bool:
        """Say whether a later release was published since `shown`.

        The snapshot in `shown` may itself be later: after older tables were restored, an older release is published.
        """
        current = self.current()
        if current is None or current == shown:
            return False
        return release_number(current) > release_number(target)

    def _swap(self, target: Path) -> None:
        fresh = self.data / f".crm.duckdb.{sortable_id()}{files.TEMPORARY_SUFFIX}"
        reached("link", "begin")
        fresh.symlink_to(target.relative_to(self.data))
        reached("link", "written")
        fresh.replace(self.link)
        reached("link", "named")
        files.sync_folder(self.data)

    def kept(self) -> list[Path]:
        """Return all snapshots, in no order."""
        return list(self.folder.glob("crm-*.duckdb")) if self.folder.is_dir() else []

    def _abandoned(self, now: datetime) -> list[Path]:
        """Return files of publishers that died: half a snapshot, a link, a Parquet file."""
        listings = (
            self.folder.glob(".crm-*"),
            self.data.glob(f".{self.link.name}.*"),
            (self.data / "published").glob(".*"),
        )
        return [path for listing in listings for path in files.abandoned(listing, now)]


def record_of(snapshot: Path) -> Path:
    """Return the file with the checksum of a snapshot."""
    return snapshot.with_name(f"{snapshot.name}.json")


def read_sum(record: Mapping[str, Any]) -> AnySum:
    """Return the checksum in the record of a snapshot; earlier versions noted that of the whole file."""
    return FileSum.from_dict(record) if "sha256" in record else BlockSums.from_dict(record)


def recorded_sum(snapshot: Path) -> AnySum | None:
    """Return the recorded checksum of a snapshot; None where an earlier version wrote it.

    Raises:
        CorruptFile: the record is damaged.
    """
    try:
        return read_sum(files.read_json(record_of(snapshot), cure=_AGAIN))
    except FileNotFoundError:
        return None


def _copied(made_of: Mapping[str, Any], shown: Path | None) -> Path | None:
    """Return the file that a snapshot was copied from; None where it was built from nothing."""
    return shown if shown is not None and made_of.get(COPIED_FROM) == shown.name else None


def made_of(snapshot: Path) -> Mapping[str, Any]:
    """Return what was noted about a snapshot when it was built; nothing where that is not known any more."""
    try:
        noted = files.read_json(record_of(snapshot), cure=_AGAIN).get("made_of")
    except (FileNotFoundError, CorruptFile):
        return _UNKNOWN
    return noted if isinstance(noted, dict) else _UNKNOWN


def release_number(snapshot: Path) -> int:
    """Return the number of the release that a snapshot shows; 0 for a file that is not ours."""
    match = re.match(r"crm-(\d+)", snapshot.name)
    return int(match[1]) if match else 0


def share(source: Path, path: Path) -> None:
    """Make `path` a hard link to `source`, which never changes; a copy where the disk has no links.

    Raises:
        StoreError: the folder is not writable or the disk is full; `path` is as it was.
    """
    if path.exists() and path.samefile(source):
        return
    with files.replacing(path, "parquet") as temporary:
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source, temporary)
        permissions.follow(path.parent, temporary)


def _dated(paths: Iterable[Path]) -> Iterator[tuple[datetime, Path]]:
    """Yield each file with the time of its last change; files removed meanwhile are left out."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield datetime.fromtimestamp(path.stat().st_mtime, UTC), path


def open_published(
    data: Path, limits: ReadLimits = _USUAL, *, unrestricted: bool = False
) -> duckdb.DuckDBPyConnection:
    """Open the published database read-only, in UTC; the caller closes the connection.

    The newest file of operations is attached beside it as `ops_now`, where there is one.

    Args:
        data: the data folder.
        limits: of memory and disk.
        unrestricted: SQL may do everything that this user may; otherwise it can only read the file.

    Raises:
        StoreError: nothing has been published yet, or the file cannot be read.
        CorruptFile: it is not the file that was published.
    """
    snapshots = Snapshots(data)
    attempts = 0
    while (target := snapshots.current()) is not None or snapshots.link.is_symlink():
        try:
            return _opened(
                target or snapshots.link, data, limits, unrestricted=unrestricted, with_ops=True
            )
        except (CorruptFile, duckdb.Error) as error:
            # A collector may remove the target after the link was read, and a publisher may just be replacing
            # it and its record. Only what fails while the link stays is a fault of the file.
            attempts += snapshots.current() == target
            if attempts < _OPEN_ATTEMPTS:
                continue
            if isinstance(error, CorruptFile):
                raise
            snapshots.require_link()
            raise damaged_file(snapshots.link, error, cure=_AGAIN) or StoreError(
                f"{snapshots.link} cannot be opened: {error}.", cure=_AGAIN
            ) from error
    snapshots.require_link()
    raise StoreError(
        f"nothing has been published to {snapshots.link} yet.",
        cure="Run `crm-pipeline demo`, or a backfill from the Dagster UI.",
    )


def can_be_opened(path: Path) -> bool:
    """Say whether DuckDB can open a file as a database."""
    try:
        duckdb.connect(str(path), read_only=True).close()
    except duckdb.Error:
        return False
    return True


def open_snapshot(
    path: Path, limits: ReadLimits = _USUAL, *, unrestricted: bool = False
) -> duckdb.DuckDBPyConnection:
    """Open one snapshot of a data folder read-only, in UTC; the caller closes the connection.

    Raises:
        StoreError: it was removed by a collector, or cannot be read.
        CorruptFile: it is not the file that was published.
    """
    try:
        return _opened(path, path.parent.parent, limits, unrestricted=unrestricted)
    except duckdb.Error as error:
        raise damaged_file(path, error) or StoreError(
            f"{path} cannot be opened: {error}", cure="Choose another one."
        ) from error


def damaged_file(path: Path, error: duckdb.Error, *, cure: str = "") -> CorruptFile | None:
    """Return the error for a database file that DuckDB found damaged; None for other errors.

    Args:
        path: the file, or the link to the current one.
        error: of DuckDB, while it opened the file or ran a query on it.
        cure: by default that for the link, or for an earlier snapshot.
    """
    # DuckDB has no error class for a wrong checksum. Its texts quote names, and end with the statement.
    is_of_files = type(error) is duckdb.Error or isinstance(error, _OF_FILES)
    if not is_of_files or not _DAMAGE.search(_QUOTED.sub("", _first_line(error))):
        return None
    usual = _AGAIN if path.is_symlink() else _ANOTHER
    return CorruptFile(f"{path} is damaged: {_first_line(error)}.", cure=cure or usual)


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _opened(
    path: Path, data: Path, limits: ReadLimits, *, unrestricted: bool, with_ops: bool = False
) -> duckdb.DuckDBPyConnection:
    ops = OpsFiles(data).current() if with_ops else None
    beside = {DATABASE: ops} if ops is not None else {}
    if unrestricted:
        connection = duckdb.connect(str(path), read_only=True)
        connection.execute("SET TimeZone = 'UTC'")
        attach_beside(connection, beside)
    else:
        connection = open_closed(path, data, limits, beside)
    try:
        _require_published(path, data, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_published(path: Path, data: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Make sure, by cheap checks, that a file is the one that was published under its name.

    DuckDB's checksums do not notice another undamaged database in its place.
    """
    try:
        recorded, size = recorded_sum(path), path.stat().st_size
    except (CorruptFile, FileNotFoundError):  # the next publish repairs the record
        recorded, size = None, 0
    defect = f"has {size:,} bytes and had {recorded.bytes:,}" if recorded else ""
    if recorded is None or size == recorded.bytes:
        shown, named = _stated_release(connection), release_number(path)
        if not named or shown in (None, named):
            return
        defect = f"shows release {shown} and is named after release {named}"
    is_current = Snapshots(data).current() == path
    raise CorruptFile(
        f"{path} is damaged: it {defect}, so it is not the file that was published.",
        cure=_AGAIN if is_current else _ANOTHER,
    )


def _stated_release(connection: duckdb.DuckDBPyConnection) -> int | None:
    try:
        [(release,)] = connection.execute("SELECT release FROM ops.publication").fetchall()
    except (duckdb.CatalogException, ValueError):  # of an earlier version, or not ours
        return None
    return int(release)
