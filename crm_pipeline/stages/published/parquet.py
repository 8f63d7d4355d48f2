"""Bring `published/*.parquet` up to date: each is a link to a table's file, or the result of a query."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.settings.retention import DAILY, OFF
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.stages.published.stored import separate_files
from crm_pipeline.store import files
from crm_pipeline.store.files import permissions
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import share
from crm_pipeline.store.tables.published_files import Held, PublishedFiles

AT_ONCE_ROWS = 100_000
"""Files with at most so many rows are written with each publish that changed them."""
_A_DAY = timedelta(days=1)
_IDENTITY_KEY = "crm_pipeline_versions"


@dataclass(frozen=True)
class _File:
    """One file of `published/`.

    Attributes:
        table: the table of the published file with its rows.
        identity: a text that changes when the rows may have changed.
        same: the table's file that holds exactly these rows; None where there is none.
        sum: the checksum of `same`.
    """

    table: str
    identity: str
    same: Path | None = None
    sum: FileSum | None = None


@dataclass(frozen=True)
class When:
    """When files whose rows changed are written again.

    Attributes:
        mode: `each`: with each publish; `daily`: large ones once a day; `off`: there are no files.
        now: the present.
        release: the release that is published.
        is_full: whether the published file was built from nothing; then large files are written, too.
    """

    mode: str
    now: datetime
    release: int
    is_full: bool = False

    def may_wait(self, rows: int, held: Held | None) -> bool:
        """Say whether a file with so many rows stays as it is for now; its record says how old it is."""
        if self.mode != DAILY or self.is_full or rows <= AT_ONCE_ROWS or held is None:
            return False
        return self.now - held.at < _A_DAY


@dataclass(frozen=True)
class Source:
    """The published file that the rows are read from.

    Attributes:
        engine: the engine that has it attached.
        crm: SQL for its schema `crm`.
        layout: version of its layout.
    """

    engine: Engine
    crm: str
    layout: int


def bring_up_to_date(
    published: PublishedFiles,
    source: Source,
    when: When,
    *,
    tables: Sequence[PublishedTable],
    derived: Sequence[Derived] = (),
    of_stages: Sequence[StageRows] = (),
) -> tuple[str, ...]:
    """Write the files whose rows changed, remove files without a table, and record checksums and releases.

    Returns:
        The names of the files whose rows are those of an earlier release.

    Raises:
        StoreError: the folder is not writable or the disk is full.
    """
    folder = files.make_folder(published.folder)
    wanted = {} if when.mode == OFF else _wanted(source, tables, derived, of_stages)
    stale = [
        name
        for name, file in wanted.items()
        if not _is_current(published, name, file, source.engine, is_hashed=when.is_full)
    ]
    waiting = tuple(
        name for name in stale if _may_wait(published, name, wanted[name], source, when)
    )
    stale = [name for name in stale if name not in waiting]
    gone = [path for path in folder.glob("*.parquet") if path.name not in wanted]
    sums = {name: file.sum or published.sum_of(name) for name, file in wanted.items()}
    sums |= {name: published.sum_of(name) for name in waiting}
    published.forget([*stale, *(path.name for path in gone)])
    for name in stale:
        sums[name] = _written(published, name, wanted[name], source)
    for path in gone:
        reached("outdated", "begin")
        path.unlink()
        reached("outdated", "removed")
    held = {name: published.held(name) for name in wanted}
    published.record(
        {name: file_sum for name, file_sum in sums.items() if file_sum is not None},
        {
            name: _held_now(held[name], file, when, is_kept=name in waiting)
            for name, file in wanted.items()
        },
    )
    return waiting


def _held_now(held: Held | None, file: _File, when: When, *, is_kept: bool) -> Held:
    now = Held(when.release, when.now, file.identity)
    is_same = held is not None and (held.release, held.identity) == (now.release, now.identity)
    return held if held is not None and (is_kept or is_same) else now


def _wanted(
    source: Source,
    tables: Sequence[PublishedTable],
    derived: Sequence[Derived],
    of_stages: Sequence[StageRows],
) -> dict[str, _File]:
    wanted = {
        name: file
        for table in tables
        for name, file in _files_of(table, source.engine, source.layout)
    }
    for made in derived:
        wanted[f"{made.name}.parquet"] = _File(made.name, f"{source.layout}:{made.identity}")
    for rows in of_stages:
        same, identity = rows.same, f"{source.layout}:{rows.identity}"
        file_sum = rows.versions[0].sums.get(same) if same else None
        wanted[f"{rows.name}.parquet"] = _File(rows.name, identity, same, file_sum)
    return wanted


def _may_wait(
    published: PublishedFiles, name: str, file: _File, source: Source, when: When
) -> bool:
    if when.mode != DAILY or file.same is not None:
        return False
    [rows] = source.engine.row(f"SELECT count(*) FROM {source.crm}.{quoted(file.table)}")
    held = published.held(name)
    return when.may_wait(int(rows), held) and published.has_its_size(name)


def _files_of(table: PublishedTable, engine: Engine, layout: int) -> Iterator[tuple[str, _File]]:
    sums: Mapping[Path, FileSum] = {
        path: file_sum for version in table.versions for path, file_sum in version.sums.items()
    }
    identity = f"{layout}:{fingerprint([table.columns, table.identity])}"
    live, deleted = (None, None) if table.followed else separate_files(engine, table)
    for name, same in ((table.name, live), (table.deleted_name, deleted)):
        yield f"{name}.parquet", _File(name, identity, same, sums.get(same) if same else None)


def _is_current(
    published: PublishedFiles, name: str, file: _File, engine: Engine, *, is_hashed: bool
) -> bool:
    """Say whether a file has the rows that it should have; `is_hashed` compares its bytes as well."""
    path = published.folder / name
    if not path.exists():
        return False
    if file.same is not None:
        if path.samefile(file.same):
            return True
        # A copy, where the file system has no links.
        return file.sum == published.sum_of(name) and published.is_whole(name)
    if not (published.is_whole(name) if is_hashed else published.has_its_size(name)):
        return False
    held = published.held(name)
    stored = held.identity if held is not None else _stored_identity(path, engine)
    return stored == file.identity


def _stored_identity(path: Path, engine: Engine) -> str | None:
    """Return the identity stored in a file's metadata; None where there is none."""
    try:
        values = engine.rows(
            f"SELECT decode(value) FROM parquet_kv_metadata({literal(str(path))}) "
            f"WHERE decode(key) = {literal(_IDENTITY_KEY)}"
        )
    except StoreError:  # damaged: it is written again
        return None
    return str(values[0][0]) if len(values) == 1 else None


def _written(published: PublishedFiles, name: str, file: _File, source: Source) -> FileSum | None:
    """Write a file and return its checksum; None where it is a table's file without one."""
    path = published.folder / name
    if file.same is not None:
        share(file.same, path)
        return file.sum
    with files.replacing(path, "parquet") as temporary:
        rows = f"SELECT * FROM {source.crm}.{quoted(file.table)}"
        source.engine.copy_to(rows, temporary, metadata={_IDENTITY_KEY: file.identity})
        permissions.follow(published.folder, temporary)
        return published.taken(temporary)
