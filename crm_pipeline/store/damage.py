"""Damaged files: named with what to do, where a check before reading or a step that fails finds them.

What is as it was written is told by `store.checksums`. Here are the sentences, and the search for a
culprit when a step fails all the same, as files of earlier versions have no checksum.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, DiskFull, StoreError
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store.checksums import Verifier
from crm_pipeline.store.manifest import Manifest
from crm_pipeline.store.tables import Tables, TableVersion

COPY_CURE = "Remove it: the next build of its tables makes it anew from what landed."
"""About what was made of batches that were read again, see `rereads`."""


@contextmanager
def blamed_on(find: Callable[[], CorruptFile | None]) -> Iterator[None]:
    """Where the block fails and `find` finds a damaged file, raise that.

    Raises:
        CorruptFile: what was found.
    """
    try:
        yield
    except (CorruptFile, DiskFull):  # no file is to blame for a full disk
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
    """Say what to do about a batch that is damaged."""
    if batch.is_copy:
        return COPY_CURE
    commit = batch.path.parent.parent / "windows" / f"{batch.window_id}.json"
    return (
        f"Restore it from a backup; or move {commit} away, then `crm-pipeline backfill "
        f"{batch.connection}` reads what the file held again."
    )


def aside_cure(path: Path) -> str:
    """Say what to do about records that a read has set aside and the disk has damaged."""
    connection = from_path_name(path.parent.parent.parent.name)
    return (
        f"Restore {path.stem}.* from a backup; or remove both files in {path.parent}, then `crm-pipeline "
        f"backfill {connection}` reads its window again and sets the rows aside anew."
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
    damaged = damaged_version(versions, tables.verifier)
    if damaged is not None:
        raise damaged


def damaged_version(versions: Iterable[TableVersion], verifier: Verifier) -> CorruptFile | None:
    """Return what is wrong with the first file of versions that is not as it was written.

    Files that have no checksum, because an earlier version wrote them, are read to their end.
    """
    owners = {path: version for version in versions for path in version.paths}
    summed = [(path, one.sums[path]) for path, one in owners.items() if path in one.sums]
    unproven = (path for path, one in owners.items() if path not in one.sums)
    damaged = verifier.damaged(summed) or [path for path in unproven if not is_readable(path)]
    if not damaged:
        return None
    return CorruptFile(
        f"{damaged[0]} is damaged or gone: it is not as it was written.",
        cure=table_cure(owners[damaged[0]].name),
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


def is_readable(path: Path) -> bool:
    """Say whether a Parquet file can be read to its end; that finds less than a checksum does."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException):
        return False
    return True
