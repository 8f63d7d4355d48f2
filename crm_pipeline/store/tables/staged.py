"""A table version that is being written, and the commit of several versions in one release."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum, flushed
from crm_pipeline.store.tables.release import BESIDE, Beside, Part, Release, TableVersion

if TYPE_CHECKING:
    from crm_pipeline.store.tables.tables import Tables


class Staged:
    """A version that is being written; invisible before `commit`."""

    def __init__(self, tables: "Tables", name: str, key: Sequence[str]) -> None:
        self.tables = tables
        self.name = name
        self.key = tuple(key)
        self.version = sortable_id()
        self.folder = tables.folder(name) / self.version
        self.first_release = tables.current().number
        self.is_committed = False
        self._parts: dict[Part | Beside, list[Path]] = {
            "base": [],
            "delta": [],
            "tombstones": [],
            "changes": [],
            **{part: [] for part in BESIDE},
        }
        self._adopted: dict[Path, FileSum] = {}

    def path(self, part: Part | Beside = "base") -> Path:
        """Return the path of a new Parquet file of this version; the caller writes it."""
        files.make_folder(self.folder)
        with files.explained(self.folder):
            reached("part", "begin")
        paths = self._parts[part]
        paths.append(self.folder / f"{part}-{len(paths):05d}.parquet")
        return paths[-1]

    def paths(self, part: Part | Beside) -> tuple[Path, ...]:
        """Return the files of a part so far."""
        return tuple(self._parts[part])

    def adopt(self, version: TableVersion) -> None:
        """Take over the base files of an earlier version as they are, without writing them again."""
        self._take_over("base", version.base, version)

    def is_adopted(self, part: Part | Beside) -> bool:
        """Say whether files of a part were taken over from an earlier version."""
        return any(path in self._adopted for path in self._parts[part])

    def adopt_beside(self, version: TableVersion, part: Beside) -> None:
        """Take over files beside the rows of an earlier version likewise."""
        self._take_over(part, version.beside.get(part, ()), version)

    def _take_over(
        self, part: Part | Beside, sources: Sequence[Path], version: TableVersion
    ) -> None:
        files.make_folder(self.folder)
        for source in sources:
            path = self.folder / f"{part}-{len(self._parts[part]):05d}.parquet"
            with files.explained(path):
                os.link(source, path)
            self._parts[part].append(path)
            if source in version.sums:
                self._adopted[path] = version.sums[source]

    def commit(
        self, parent: TableVersion | None, rows: int, meta: Mapping[str, Any] | None = None
    ) -> Release:
        """Make this the current version of its table, provided that `parent` still is current.

        Raises:
            CommitConflict: another process committed in between; nothing changed.
            StoreError: a staged file is missing or could not be written.
        """
        return commit_all([Commit(self, parent, rows, meta or {})])

    def seal(self, parent: TableVersion | None, rows: int, meta: Mapping[str, Any]) -> None:
        """Flush the files, and write the record of the version; readers do not see it yet."""
        sums = self._flushed()
        names: dict[str, list[str]] = {
            part: [path.name for path in paths] for part, paths in self._parts.items()
        }
        beside = {part: listed for part in BESIDE if (listed := names.pop(part))}
        record: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "parent": parent.version if parent else None,
            "key": list(self.key),
            "rows": rows,
            **names,
            # Without a file of changes any row may differ from the parent's.
            "changes": names["changes"] or None,
            **({"beside": beside} if beside else {}),
            "files": {path.name: file_sum.to_dict() for path, file_sum in sums.items()},
            "meta": dict(meta),
            "committed_at": format_instant(datetime.now(UTC)),
        }
        files.write_json(self.folder / "version.json", record, "version")

    def _flushed(self) -> dict[Path, FileSum]:
        """Flush the files to the disk and return their checksums."""
        sums: dict[Path, FileSum] = {}
        for path in (path for paths in self._parts.values() for path in paths):
            if path in self._adopted:
                sums[path] = self._adopted[path]
                continue
            if not path.exists():
                raise StoreError(f"{path} was staged but never written.")
            with files.explained(path):
                reached("part", "written")
                sums[path] = flushed(path, self.tables.verifier)
                reached("part", "flushed")
        return sums


@dataclass(frozen=True)
class Commit:
    """One table's part in a commit.

    Attributes:
        parent: the version that has to be current; None for a new table.
        rows: the number of rows of the new version.
    """

    staged: Staged
    parent: TableVersion | None
    rows: int
    meta: Mapping[str, Any] = field(default_factory=dict)


def commit_all(commits: Sequence[Commit]) -> Release:
    """Make staged versions of several tables current in one release, provided that each parent still is.

    Raises:
        CommitConflict: another process committed one of the tables in between; nothing changed.
        StoreError: a staged file is missing or could not be written.
    """
    for commit in commits:
        commit.staged.seal(commit.parent, commit.rows, commit.meta)
    release = commits[0].staged.tables.advance(
        {c.staged.name: (c.parent.version if c.parent else None, c.staged.version) for c in commits}
    )
    for commit in commits:
        commit.staged.is_committed = True
    return release
