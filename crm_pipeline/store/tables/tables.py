"""Versioned Parquet tables and releases.

A table version is a folder with base, delta, tombstone and change files and a `version.json`, written once.
A release names the version of every table. `releases/<n>.json` is created with a hard link, which fails where the
number is taken. That is the compare-and-swap of a commit, without a lock that a killed process could leave behind.
A commit may change several tables, so that readers of a release get all of them or none.
`release.json` is a copy of the latest release for people and other programs; it is read where the disk has damaged
the original.

Layout: `tables/<table>/<version>/{base,delta,tombstones,changes}-*.parquet`, `tables/releases/<n>.json`.
`version.json` has the checksum of each file, except in table versions written by earlier versions of the product.
"""

import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from crm_pipeline.kernel.errors import CommitConflict, CorruptFile, StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.model.names import quoted
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import Verifier
from crm_pipeline.store.tables.engine import parquet_files
from crm_pipeline.store.tables.release import (
    Release,
    TableVersion,
    read_release,
    read_version,
    release_record,
)
from crm_pipeline.store.tables.staged import Staged

_log = structlog.get_logger("crm_pipeline.store")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
KEPT_FOR = timedelta(days=1)
"""How long a version stays after it was replaced; longer than any step reads or writes."""
_VERSION = re.compile(r"[0-9a-f]{26}\Z")
_EVER = datetime.min.replace(tzinfo=UTC)


class Tables:
    """All versioned tables below one data folder."""

    def __init__(self, root: Path) -> None:
        self.root = root / "tables"
        self.releases = self.root / "releases"
        self.pointer = self.root / "release.json"
        self.verifier = Verifier()
        self._warned: set[int] = set()

    def folder(self, name: str) -> Path:
        """Return the folder of a table; each part of the name is made safe as a path."""
        return self.root.joinpath(*(path_name(part) for part in name.split("/")))

    def current(self) -> Release:
        """Return the latest release.

        It is read from the folder, not from `release.json`: a writer that was delayed for long may set that file
        back to a release that the collector has removed.
        """
        numbers = self._numbers()
        return self.release(max(numbers)) if numbers else Release()

    def _numbers(self) -> list[int]:
        """Return the numbers of all releases, in no order; other files are ignored."""
        names = (path.stem for path in self.releases.glob("*.json"))
        return [int(name) for name in names if _NUMBER.fullmatch(name)]

    def release(self, number: int) -> Release:
        """Return a release by number.

        Raises:
            StoreError: there is none, or it was collected.
            CorruptFile: it is damaged, and `release.json` is not a copy of it.
        """
        path = self.releases / f"{number}.json"
        cure = (
            "Restore data/tables from a backup; or move that folder away, and `crm-pipeline refresh "
            "--all` builds all tables again from data/landing."
        )
        try:
            return read_release(files.read_json(path, cure=cure))
        except FileNotFoundError as error:
            raise StoreError(f"there is no release {number} in {self.releases}.") from error
        except CorruptFile:
            record = self._copy_of(number)
            if record is None:
                raise
            if number not in self._warned:
                self._warned.add(number)
                _log.warning("a release is damaged; its copy is read instead", file=str(path))
            return read_release(record)
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptFile(f"{path} is damaged: {error!r}.", cure=cure) from error

    def _copy_of(self, number: int) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, CorruptFile):
            record, is_sealed = files.read_sealed(self.pointer)
            if is_sealed and record["number"] == number:
                return record
        return None

    def names(self, prefix: str = "", release: Release | None = None) -> list[str]:
        """Return the tables of a release whose names start with `prefix`, sorted."""
        chosen = release or self.current()
        return sorted(name for name in chosen.tables if name.startswith(prefix))

    def version(self, name: str, release: Release | None = None) -> TableVersion | None:
        """Return the version of a table in a release, by default the latest; None if there is none.

        Raises:
            CorruptFile: the release names a version that cannot be read.
        """
        chosen = (release or self.current()).tables.get(name)
        if chosen is None:
            return None
        folder = self.folder(name) / chosen
        try:
            return read_version(folder, files.read_json(folder / "version.json"))
        except (FileNotFoundError, KeyError, TypeError, ValueError, CorruptFile) as error:
            raise CorruptFile(
                f"version {chosen} of table {name} is named by the current release but incomplete: "
                f"{folder / 'version.json'} is damaged or gone.",
                cure=f"Run `crm-pipeline refresh {connection_of(name)}`: it builds the table again from "
                "landing.",
            ) from error

    def unreadable(self, name: str) -> TableVersion | None:
        """Return the current version of a table without reading it, as if empty, so that it can be replaced."""
        chosen = self.current().tables.get(name)
        if chosen is None:
            return None
        return TableVersion(name, chosen, None, (), 0, (), (), (), {}, _EVER)

    @contextmanager
    def stage(self, name: str, key: Sequence[str] = ()) -> Iterator[Staged]:
        """Yield a new version to write to; it is removed unless it is committed."""
        staged = Staged(self, name, key)
        try:
            yield staged
        finally:
            if not staged.is_committed and not self._is_released(staged):
                shutil.rmtree(staged.folder, ignore_errors=True)

    def _is_released(self, staged: Staged) -> bool:
        """Say whether a release names the version, whatever error its commit raised.

        A commit may fail after its release was created, and readers follow the release.
        """
        latest = self.current()
        numbers = range(staged.first_release + 1, latest.number)
        try:
            return any(
                release.tables.get(staged.name) == staged.version
                for release in (latest, *map(self.release, numbers))
            )
        except StoreError:  # the release was collected; the collector removes unused folders
            return True

    def advance(self, changes: Mapping[str, tuple[str | None, str]]) -> Release:
        """Create the next release, with the versions of some tables changed by compare-and-swap; return it.

        Args:
            changes: by table, the version that has to be current, and the one that takes its place.

        Raises:
            CommitConflict: another version of one of the tables is current; nothing changed.
        """
        while True:
            current = self.current()
            for name, (parent, _) in changes.items():
                if current.tables.get(name) != parent:
                    raise CommitConflict(
                        f"table {name} was changed by another run while this one was working.",
                        cure="Run the step again: it starts from the new version.",
                    )
            versions = {name: version for name, (_, version) in changes.items()}
            release = Release(current.number + 1, {**current.tables, **versions}, datetime.now(UTC))
            record = release_record(release)
            if files.create_json(self.releases / f"{release.number}.json", record, "release"):
                # The release is valid even if its copy cannot be written.
                with suppress(StoreError):
                    files.write_json(self.pointer, record, "pointer")
                return release

    def collect(
        self, now: datetime, keep_for: timedelta = KEPT_FOR, pinned: Collection[int] = ()
    ) -> list[Path]:
        """Remove files that no recent release names: versions, old releases, leftovers of dead processes; return them.

        A release stays while a later release is younger than `keep_for`, and so do the versions that it names.

        Args:
            now: the present.
            keep_for: how long a release stays after it was replaced.
            pinned: numbers of releases that stay however old they are, such as the one that analysts see.
        """
        kept = self._since(now - keep_for)
        first = kept[-1].number
        kept += [self.release(number) for number in self._numbers() if number in pinned]
        versions = {
            (self.folder(name) / version)
            for release in kept
            for name, version in release.tables.items()
        }
        gone = [
            self.releases / f"{number}.json"
            for number in self._numbers()
            if number < first and number not in pinned
        ]
        gone += [
            path
            for path in (*self._version_folders(), *self.root.rglob(f".*{files.TEMPORARY_SUFFIX}"))
            if path not in versions and _is_older(path, now - keep_for)
        ]
        for path in gone:
            with files.explained(path), suppress(FileNotFoundError):  # removed by another process
                reached("collecting", "begin")
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                reached("collecting", "removed")
        return gone

    def _since(self, then: datetime) -> list[Release]:
        """Return the releases that were current then or later, latest first."""
        releases = [self.current()]
        while (
            (earliest := releases[-1]).number > 1
            and earliest.committed_at
            and earliest.committed_at > then
        ):
            # The release before was current until this one was committed.
            try:
                releases.append(self.release(earliest.number - 1))
            except StoreError:  # collected by another process
                break
        return releases

    def _version_folders(self) -> Iterator[Path]:
        """Yield the folders of all versions of all tables, tables without a commit included."""
        for path in self.root.rglob("*"):
            if _VERSION.match(path.name) and path.is_dir():
                yield path

    @staticmethod
    def relation(version: TableVersion) -> str:
        """Return SQL (DuckDB) for the rows of a version: base, less tombstones, with deltas.

        All rows of a key that is in a delta or a tombstone are removed from the base.

        Raises:
            CorruptFile: the version has no base, or deltas without a key.
        """
        if not version.base:
            raise CorruptFile(f"table {version.name} has no base files.")
        base = parquet_files(version.base)
        if not version.delta and not version.tombstones:
            return f"(SELECT * FROM {base})"
        key = ", ".join(quoted(column) for column in version.key)
        if not key:
            raise CorruptFile(f"table {version.name} has deltas but no key.")
        replaced = " UNION ALL ".join(
            f"SELECT {key} FROM {parquet_files(paths)}"
            for paths in (version.tombstones, version.delta)
            if paths
        )
        kept = f"SELECT * FROM {base} ANTI JOIN ({replaced}) USING ({key})"
        if not version.delta:
            return f"({kept})"
        delta = f"SELECT * FROM {parquet_files(version.delta)}"
        return f"({kept} UNION ALL BY NAME {delta})"


def connection_of(name: str) -> str:
    """Return the connection of a table, for a command line; for a table of all connections, that they are all read."""
    return name.split("/")[1] if name.count("/") == 2 else "--all"


def _is_older(path: Path, then: datetime) -> bool:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) < then
    except FileNotFoundError:  # removed by another process
        return False
