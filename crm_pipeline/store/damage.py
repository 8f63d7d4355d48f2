"""Damaged files: named with what to do, where a check before reading or a step that fails finds them.

What is as it was written is told by `store.checksums`. Here are the sentences, and the search for a
culprit when a step fails all the same, as files of earlier versions have no checksum.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store.checksums import Verifier
from crm_pipeline.store.manifest import Manifest
from crm_pipeline.store.tables import Tables, TableVersion


@contextmanager
def blamed_on(find: Callable[[], CorruptFile | None]) -> Iterator[None]:
    """Where the block fails and `find` finds a damaged file, raise that.

    Raises:
        CorruptFile: what was found.
    """
    try:
        yield
    except CorruptFile:
        raise
    except StoreError as error:
        found = find()
        if found is None:
            raise
        raise found from error


def damaged_batch(batches: Iterable[Manifest]) -> CorruptFile | None:
    """Return what is wrong with the first landed batch that is not as it was written."""
    verifier = Verifier()  # of what was compared before nothing is believed
    for batch in batches:
        if not verifier.is_whole(batch.path, batch.sum):
            return unreadable_batch(batch)
    return None


def unreadable_batch(batch: Manifest) -> CorruptFile:
    """Say which batch it is, and how its window is read again."""
    return CorruptFile(
        f"{batch.path} is damaged or gone: it is not as it was landed.", cure=batch_cure(batch)
    )


def batch_cure(batch: Manifest) -> str:
    """Say what to do about a landed batch that is damaged."""
    commit = batch.path.parent.parent / "windows" / f"{batch.window_id}.json"
    return (
        f"Restore it from a backup; or move {commit} away, then `crm-pipeline backfill "
        f"{batch.connection}` reads what the file held again."
    )


def rejects_cure(connection: str, path: Path) -> str:
    """Say what to do about a file of records that were set aside and that is damaged."""
    return (
        f"Restore {path.stem}.* from a backup, or remove both files: `crm-pipeline backfill {connection}` reads "
        "its window again and sets the rows aside anew."
    )


def commit_cure(connection: str) -> str:
    """Say what to do about a window's commit that is damaged."""
    return (
        f"Restore it from a backup; or move it away, then `crm-pipeline backfill {connection}` reads "
        "its window again."
    )


def schema_cure(connection: str) -> str:
    """Say what to do about an object's stored fields that are damaged."""
    return (
        f"Restore it from a backup; or move it away, and `crm-pipeline backfill {connection}` writes "
        "it again if the fields are the same as then."
    )


def check_versions(tables: Tables, versions: Iterable[TableVersion]) -> None:
    """Make sure that the files of versions are as they were written, before they are read.

    Raises:
        CorruptFile: one is not; the text names it and what to do.
    """
    owners = {path: version for version in versions for path in version.sums}
    damaged = tables.verifier.damaged((path, one.sums[path]) for path, one in owners.items())
    if damaged:
        raise damaged_part(owners[damaged[0]], damaged[0])


def damaged_part(version: TableVersion, path: Path) -> CorruptFile:
    """Say which file of a table it is, and how the table is built again."""
    return CorruptFile(
        f"{path} is damaged or gone: it is not as it was written.", cure=table_cure(version.name)
    )


def table_cure(name: str) -> str:
    """Say what to do about a damaged file of a table's current version."""
    return (
        "Nothing of it was used. The next `crm-pipeline refresh "
        f"{connection_of(name)}` finds that and builds the table {name} again from data/landing."
    )


def connection_of(name: str) -> str:
    """Return the connection that a table belongs to, for a command line."""
    return name.split("/")[1] if name.count("/") == 2 else "CONNECTION"


def damaged_version(versions: Iterable[TableVersion]) -> CorruptFile | None:
    """Return what is wrong with the first table that cannot be read to its end."""
    for version in versions:
        for path in version.paths:
            if not is_readable(path):
                return CorruptFile(
                    f"{path} is damaged or gone.",
                    cure=f"Remove {path.parent}; the next run (`crm-pipeline refresh "
                    f"{connection_of(version.name)}`) builds the table {version.name} again from "
                    "data/landing.",
                )
    return None


def broken_part(tables: Tables, version: TableVersion) -> Path | None:
    """Return the first file of a version that is not as it was written; None where all are.

    Of files that have no checksum, because an earlier version wrote them, only the ends are read.
    """
    damaged = tables.verifier.damaged(version.sums.items())
    if damaged:
        return damaged[0]
    for path in version.paths:
        if path not in version.sums:
            try:
                pq.read_metadata(path)
            except (OSError, pa.ArrowException):
                return path
    return None


def is_readable(path: Path) -> bool:
    """Say whether a Parquet file can be read to its end; that finds less than a checksum does."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException):
        return False
    return True
