"""Make the file of a publish: from a copy of the last one where that is possible, else from nothing.

A full build once a day bounds what an error in an incremental one could do; it can be compared with the incremental one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import structlog

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.model.names import literal
from crm_pipeline.settings.retention import DAILY
from crm_pipeline.stages.published.basis import Basis, engine_version, shape_of, shapes_of
from crm_pipeline.stages.published.build import LAYOUT, Build, Made
from crm_pipeline.stages.published.compared import differing_tables
from crm_pipeline.stages.published.incremental import Increment
from crm_pipeline.stages.published.parquet import Source, When, bring_up_to_date
from crm_pipeline.store import files
from crm_pipeline.store.files.copying import copy_file
from crm_pipeline.store.tables.published import COPIED_FROM, Snapshots, damaged_file
from crm_pipeline.store.tables.published_files import PublishedFiles

FULL_AFTER = timedelta(hours=36)
"""So long after the last full build there is another one, where no nightly job asked for it."""
_NIGHTLY_AFTER = timedelta(hours=12)
_FILLED = "filled"
_log = structlog.get_logger("crm_pipeline.published")


def is_full_due(shown: Path | None, now: datetime) -> bool:
    """Say whether a nightly run has to build in full: the last full build is half a day old."""
    earlier = Basis.of(shown) if shown is not None else None
    return earlier is not None and abs(now - earlier.full_at) >= _NIGHTLY_AFTER


@dataclass
class Making:
    """One file that is being made.

    Args:
        build: what goes into it.
        currencies: the main currency of each connection whose account states it.
        snapshots: with the file that analysts see now.
        parquet_mode: when large Parquet files are written, see `settings.retention`.
        is_full: build from nothing.

    Attributes:
        basis: what the file is built from, to be noted beside it.
        why: why it was built from nothing; "" where it was not.
        differences: tables in which both ways differ, where both were asked for.
        copied_s: seconds that the copy took.
        is_spoiled: whether it was built from nothing because the last file, or what it was built from, is damaged.
    """

    build: Build
    currencies: Mapping[str, str]
    snapshots: Snapshots
    parquet_mode: str = DAILY
    is_full: bool = False
    basis: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    differences: tuple[str, ...] = ()
    copied_s: float = 0.0
    is_spoiled: bool = False

    def database(self, path: Path, *, is_compared: bool = False) -> Made:
        """Write the database file at a path where there is none yet."""
        build, now = self.build, self.build.landing.clock.now()
        basis = Basis(
            LAYOUT,
            engine_version(),
            build.release.number,
            build.release.tables,
            self.currencies,
            shape_of(build.schemas, build.plain, build.of_stages, build.derived, build.histories),
            shapes_of(build.views),
            now,
        )
        earlier = Basis.of(build.shown) if build.shown else None
        self.why = self._obstacle(basis, earlier, now)
        if earlier is not None and build.shown is not None and not self.why:
            made = self._incremental(path, earlier, build.shown)
            if made is not None and not is_compared:
                self.basis |= replace(basis, full_at=earlier.full_at).to_dict()
                self.basis[COPIED_FROM] = build.shown.name if build.shown else ""
                return made
        if is_compared and not self.why:
            made = self._compared(path)
        else:
            if self.is_spoiled:
                _log.warning("the published file is built in full", why=self.why)
            made = self._full(path)
        self.basis |= basis.to_dict()
        return made

    def _obstacle(self, basis: Basis, earlier: Basis | None, now: datetime) -> str:
        """Return why the last file cannot be brought up to date; "" where it can."""
        shown = self.build.shown
        if self.is_full:
            return "that was asked for"
        if shown is None:
            return "nothing was published before"
        if earlier is None:
            return "it is not known what the last file was built from"
        if (earlier.layout, earlier.engine) != (basis.layout, basis.engine):
            return "the last file was written by another version"
        if earlier.shape != basis.shape:
            return "the file gets other tables, columns or comments"
        # Of two clocks one may have been ahead: the last build may seem to lie in the future.
        if abs(now - earlier.full_at) > FULL_AFTER:
            return "the last full build is too long ago, or the clock was set back since"
        if not self.snapshots.is_whole(shown):
            self.is_spoiled = True
            return f"{shown.name} is damaged"
        return ""

    def _incremental(self, path: Path, earlier: Basis, shown: Path) -> Made | None:
        """Bring a copy of the last file up to date; None, and `why`, where that is not possible."""
        increment = Increment(self.build, earlier)
        try:
            self.why = increment.prepare()
            if self.why:
                return None
            started = time.perf_counter()
            with files.explained(path):
                copy_file(shown, path)
            self.copied_s = time.perf_counter() - started
            reached("snapshot_copy", "copied")
            made = increment.apply(path)
            self.build = increment.build
        except StoreError as error:
            # A damaged file, or one that was removed meanwhile; a full build needs neither the last file nor
            # earlier versions, and tells what is wrong with those that it needs.
            if not self._is_spoiled(error, earlier, shown):
                raise
            files.discard(path, path.with_name(f"{path.name}.wal"))
            self.is_spoiled = True
            self.why = f"the last file cannot be brought up to date: {error}"
            return None
        return made

    def _is_spoiled(self, error: StoreError, earlier: Basis, shown: Path) -> bool:
        """Say whether an error is about the last file, or about versions that it was built from."""
        cause = error.__cause__
        if isinstance(error, CorruptFile) or not shown.exists():
            return True
        if isinstance(cause, duckdb.Error) and damaged_file(shown, cause) is not None:
            return True
        folders = (self.build.tables.folder(name) / v for name, v in earlier.tables.items())
        return not all((folder / "version.json").exists() for folder in folders)

    def _full(self, path: Path) -> Made:
        """Build the file from nothing."""
        self.build = self.build.prepared()
        return self.build.database(path)

    def _compared(self, path: Path) -> Made:
        """Build in full beside the incremental file, and tell what differs."""
        other = path.with_name(f"{path.name}.incremental{files.TEMPORARY_SUFFIX}")
        path.replace(other)
        try:
            made = self._full(path)
            self.differences = tuple(differing_tables(self.build.engine, other, path))
        finally:
            files.discard(other)
        self.why = "it was compared with the incremental one"
        if self.differences:
            _log.error(
                "an incremental publish differs from a full one; the full one is published",
                tables=list(self.differences),
            )
        return made

    def parquet(self, path: Path) -> None:
        """Bring the Parquet files up to date from the new file; one with the same rows is not written again."""
        build = self.build
        when = When(
            self.parquet_mode,
            build.landing.clock.now(),
            build.release.number,
            is_full=bool(self.why),
        )
        shared = PublishedFiles(build.landing.root / "published", build.tables.verifier)
        build.engine.run(f"ATTACH {literal(str(path))} AS {_FILLED} (READ_ONLY)")
        try:
            source = Source(build.engine, f"{_FILLED}.crm", LAYOUT)
            bring_up_to_date(
                shared,
                source,
                when,
                tables=build.plain,
                derived=build.derived,
                of_stages=build.of_stages,
            )
        finally:
            build.engine.run(f"DETACH {_FILLED}")
