"""Brings `published/*.parquet` up to date: table files under another name, or copies of a query."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.stages.published.stored import separate_files
from crm_pipeline.store import files
from crm_pipeline.store.files import permissions
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import share
from crm_pipeline.store.tables.published_files import PublishedFiles

_NOTED = "crm_pipeline_versions"


@dataclass(frozen=True)
class _File:
    """One file of `published/`.

    Attributes:
        sql: its rows.
        identity: a text that changes when the rows may.
        same: the table's file that holds exactly these rows, and `sum` what that is.
    """

    sql: str
    identity: str
    same: Path | None
    sum: FileSum | None


def bring_up_to_date(
    published: PublishedFiles,
    tables: Sequence[PublishedTable],
    engine: Engine,
    layout: int,
    derived: Sequence[Derived] = (),
) -> None:
    """Write the files whose rows changed, remove those of no table, and record what they are.

    Tables that are made of others are prepared in the engine by now.

    Raises:
        StoreError: the folder is not writable or the disk is full.
    """
    folder = files.make_folder(published.folder)
    wanted = {name: one for table in tables for name, one in _files_of(table, engine, layout)}
    for made in derived:
        wanted[f"{made.name}.parquet"] = _File(made.sql, f"{layout}:{made.identity}", None, None)
    stale = [name for name, one in wanted.items() if not _is_current(published, name, one, engine)]
    gone = [path for path in folder.glob("*.parquet") if path.name not in wanted]
    sums = {name: one.sum or published.sum_of(name) for name, one in wanted.items()}
    published.forget([*stale, *(path.name for path in gone)])
    for name in stale:
        sums[name] = _written(published, name, wanted[name], engine)
    for path in gone:
        reached("outdated", "begin")
        path.unlink()
        reached("outdated", "removed")
    published.record({name: one for name, one in sums.items() if one is not None})


def _files_of(table: PublishedTable, engine: Engine, layout: int) -> Iterator[tuple[str, _File]]:
    known: Mapping[Path, FileSum] = {
        path: one for version in table.versions for path, one in version.sums.items()
    }
    identity = f"{layout}:{fingerprint([table.columns, table.identity])}"
    live, deleted = separate_files(engine, table)
    for name, sql, same in (
        (table.name, table.live_sql, live),
        (table.deleted_name, table.deleted_sql, deleted),
    ):
        yield f"{name}.parquet", _File(sql, identity, same, known.get(same) if same else None)


def _is_current(published: PublishedFiles, name: str, one: _File, engine: Engine) -> bool:
    path = published.folder / name
    if not path.exists():
        return False
    if one.same is not None:
        if path.samefile(one.same):
            return True
        # A copy, where the file system has no links.
        return one.sum == published.sum_of(name) and published.is_whole(name)
    return published.is_whole(name) and _noted(path, engine) == one.identity


def _noted(path: Path, engine: Engine) -> str | None:
    """Return what a file says that its rows are of; None where it says nothing."""
    try:
        noted = engine.rows(
            f"SELECT decode(value) FROM parquet_kv_metadata({literal(str(path))}) "
            f"WHERE decode(key) = {literal(_NOTED)}"
        )
    except StoreError:  # damaged: it is written again
        return None
    return str(noted[0][0]) if len(noted) == 1 else None


def _written(published: PublishedFiles, name: str, one: _File, engine: Engine) -> FileSum | None:
    """Write a file and return its checksum; None where it is a table's file that has none."""
    path = published.folder / name
    if one.same is not None:
        share(one.same, path)
        return one.sum
    with files.replacing(path, "parquet") as temporary:
        engine.copy_to(one.sql, temporary, metadata={_NOTED: one.identity})
        permissions.follow(published.folder, temporary)
        return published.taken(temporary)
