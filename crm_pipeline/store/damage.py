"""Damaged files: named with what to do, where a check before reading or a step that fails finds them.

What is as it was written is told by `store.checksums`. Here are the sentences, and the search for a
culprit when a step fails all the same, as files of earlier versions have no checksum.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, DiskFull, StoreError
from crm_pipeline.kernel.identity import from_path_name
from crm_pipeline.store.checksums import Verifier
from crm_pipeline.store.manifest import Manifest
from crm_pipeline.store.tables import Tables, TableVersion, connection_of

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
    return window_cure(batch.path.parent.parent, batch.window_id)


def window_cure(folder: Path, window_id: str) -> str:
    """Say what to do where a file of a window is damaged, of an object with this landing folder."""
    return (
        f"Restore it from a backup; or move all files of its window away ({window_files(folder, window_id)}), "
        f"then `{backfill_command(folder)}` reads the object again."
    )


def window_files(folder: Path, window_id: str) -> str:
    """Return shell patterns for the files of a window: its commit, its batches, what it set aside."""
    quarantine = folder.parents[2] / "quarantine" / folder.parent.name / folder.name
    names = f"{window_id}*"
    places = [folder, *([quarantine] if any(quarantine.glob(f"*/{names}")) else [])]
    return " ".join(f"{place}/*/{names}" for place in places)


def schema_cure(folder: Path) -> str:
    """Say what to do about stored fields that are damaged, of an object with this landing folder."""
    return (
        f"Restore it from a backup; or move it away, and `{backfill_command(folder)}` writes it again if the "
        "fields are the same as then."
    )


def quarantine_cure(path: Path) -> str:
    """Say what to do about rows that could not be landed and whose file, or record, is damaged."""
    return (
        f"Restore {path.stem}.* from a backup, or remove both files: `{backfill_command(path.parents[1])}` reads "
        "the object again and sets the rows aside anew."
    )


def backfill_command(folder: Path) -> str:
    """Return the command that reads an object again, by its folder below `landing` or `quarantine`."""
    connection, obj = from_path_name(folder.parent.name), from_path_name(folder.name)
    return f"crm-pipeline backfill {connection} --object {quote(obj)}"


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


def is_readable(path: Path) -> bool:
    """Say whether a Parquet file can be read to its end; that finds less than a checksum does."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException):
        return False
    return True
