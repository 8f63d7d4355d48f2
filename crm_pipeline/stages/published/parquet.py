"""Bring `published/*.parquet` up to date: each is a link to a table's file, or the result of a query."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.kernel.failpoint import reached
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.names import literal
from crm_pipeline.stages.published.derived import Derived
from crm_pipeline.stages.published.relations import PublishedTable
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.stages.published.stored import separate_files
from crm_pipeline.store import files
from crm_pipeline.store.files import permissions
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import share
from crm_pipeline.store.tables.published_files import PublishedFiles

_IDENTITY_KEY = "crm_pipeline_versions"


@dataclass(frozen=True)
class _File:
    """One file of `published/`.

    Attributes:
        sql: selects its rows.
        identity: a text that changes when the rows may have changed.
        same: the table's file that holds exactly these rows; None where there is none.
        sum: the checksum of `same`.
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
    *,
    derived: Sequence[Derived] = (),
    of_stages: Sequence[StageRows] = (),
) -> None:
    """Write the files whose rows changed, remove files without a table, and record the checksums.

    The derived tables have to be prepared in the engine before.

    Raises:
        StoreError: the folder is not writable or the disk is full.
    """
    folder = files.make_folder(published.folder)
    wanted = {name: file for table in tables for name, file in _files_of(table, engine, layout)}
    for table in derived:
        identity = f"{layout}:{table.identity}"
        wanted[f"{table.name}.parquet"] = _File(table.sql, identity, None, None)
    for rows in of_stages:
        same, identity = rows.same, f"{layout}:{rows.identity}"
        file_sum = rows.versions[0].sums.get(same) if same else None
        wanted[f"{rows.name}.parquet"] = _File(rows.sql, identity, same, file_sum)
    stale = [
        name for name, file in wanted.items() if not _is_current(published, name, file, engine)
    ]
    gone = [path for path in folder.glob("*.parquet") if path.name not in wanted]
    sums = {name: file.sum or published.sum_of(name) for name, file in wanted.items()}
    published.forget([*stale, *(path.name for path in gone)])
    for name in stale:
        sums[name] = _written(published, name, wanted[name], engine)
    for path in gone:
        reached("outdated", "begin")
        path.unlink()
        reached("outdated", "removed")
    published.record({name: file_sum for name, file_sum in sums.items() if file_sum is not None})


def _files_of(table: PublishedTable, engine: Engine, layout: int) -> Iterator[tuple[str, _File]]:
    sums: Mapping[Path, FileSum] = {
        path: file_sum for version in table.versions for path, file_sum in version.sums.items()
    }
    identity = f"{layout}:{fingerprint([table.columns, table.identity])}"
    live, deleted = separate_files(engine, table)
    for name, sql, same in (
        (table.name, table.live_sql, live),
        (table.deleted_name, table.deleted_sql, deleted),
    ):
        yield f"{name}.parquet", _File(sql, identity, same, sums.get(same) if same else None)


def _is_current(published: PublishedFiles, name: str, file: _File, engine: Engine) -> bool:
    path = published.folder / name
    if not path.exists():
        return False
    if file.same is not None:
        if path.samefile(file.same):
            return True
        # A copy, where the file system has no links.
        return file.sum == published.sum_of(name) and published.is_whole(name)
    return published.is_whole(name) and _stored_identity(path, engine) == file.identity


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


def _written(published: PublishedFiles, name: str, file: _File, engine: Engine) -> FileSum | None:
    """Write a file and return its checksum; None where it is a table's file without one."""
    path = published.folder / name
    if file.same is not None:
        share(file.same, path)
        return file.sum
    with files.replacing(path, "parquet") as temporary:
        engine.copy_to(file.sql, temporary, metadata={_IDENTITY_KEY: file.identity})
        permissions.follow(published.folder, temporary)
        return published.taken(temporary)
