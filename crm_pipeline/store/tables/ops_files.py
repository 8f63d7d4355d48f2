"""The file of operations, `ops.duckdb`: a link to an immutable file beside the snapshots, replaced in one step.

It is built apart from the data, after every refresh. Belongs here: naming, swapping and collecting these files.
Does not belong here: their contents. A reader that has opened one keeps it, as with snapshots (`published.py`).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store import files
from crm_pipeline.store.files import permissions

DATABASE = "ops_now"
"""The name under which the file is attached beside `crm.duckdb`."""
_KEPT = 2
# Between reading the link and opening its target a reader needs the file.
_OPENED_WITHIN = timedelta(minutes=1)


class OpsFiles:
    """The files of operations below one data folder (`settings.data`)."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.link = data / "ops.duckdb"
        self.folder = data / "snapshots"

    def current(self) -> Path | None:
        """Return the file that the link points to; None before the first one."""
        try:
            target = self.data / self.link.readlink()
        except OSError:
            return None
        return target if target.exists() else None

    def age(self, now: datetime) -> timedelta | None:
        """Return how old the current file is by the machine's clock; None where there is none.

        A file of the future was written by a wrong clock; its age says nothing.
        """
        current = self.current()
        if current is None:
            return None
        with suppress(FileNotFoundError):
            age = now - datetime.fromtimestamp(current.stat().st_mtime, UTC)
            return age if age >= timedelta(0) else None
        return None

    def kept(self) -> list[Path]:
        """Return all files of operations, in the order of their names."""
        return sorted(self.folder.glob("ops-*.duckdb"))

    @contextmanager
    def building(self) -> Iterator[tuple[Path, Path | None]]:
        """Yield a path to build a file at, and the current file; on success the new one becomes the current one.

        One file is built at a time, so an older state never replaces a later one.

        Raises:
            StoreError: the folder is not writable or the disk is full; the current one stays.
        """
        files.make_folder(self.folder)
        target = self.folder / f"ops-{sortable_id()}.duckdb"
        temporary = self.folder / f".{target.name}{files.TEMPORARY_SUFFIX}"
        try:
            with files.explained(target), self._locked():
                reached("ops", "begin")
                yield temporary, self.current()
                reached("ops", "written")
                permissions.follow(self.folder, temporary)
                files.sync_file(temporary)
                temporary.replace(target)
                reached("ops", "named")
                files.sync_folder(self.folder)
                self._swap(target)
                reached("ops", "swapped")
                self._collect(target)
        finally:
            files.discard(temporary, temporary.with_name(f"{temporary.name}.wal"))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time build; a killed process releases the lock."""
        handle = os.open(self.folder / ".ops.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _swap(self, target: Path) -> None:
        fresh = self.data / f".ops.duckdb.{sortable_id()}{files.TEMPORARY_SUFFIX}"
        fresh.symlink_to(target.relative_to(self.data))
        fresh.replace(self.link)
        files.sync_folder(self.data)

    def _collect(self, current: Path) -> None:
        """Remove earlier files, except the last ones and those that a reader may be about to open."""
        now = datetime.now(UTC)
        # Names sort in the order of building, whatever the clock says of their age.
        earlier = [path for path in self.kept() if path != current]
        for path in earlier[: -(_KEPT - 1)]:
            with suppress(FileNotFoundError):
                made = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                if abs(now - made) >= _OPENED_WITHIN or len(earlier) > 10 * _KEPT:
                    path.unlink()
        leftovers = (self.folder.glob(".ops-*"), self.data.glob(f".{self.link.name}.*"))
        for listing in leftovers:
            for path in files.abandoned(listing, now):
                path.unlink(missing_ok=True)
