"""Damaged Parquet files: found when a step fails, and named with what to do instead of the failure.

Nothing is looked for while all goes well: reading everything twice would cost more than it tells.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.manifest import Manifest
from crm_pipeline.store.tables import TableVersion


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
    for batch in batches:
        try:
            is_whole = files.sha256_of(batch.path) == batch.sha256
        except OSError:
            is_whole = False
        if not is_whole:
            return unreadable_batch(batch)
    return None


def unreadable_batch(batch: Manifest) -> CorruptFile:
    """Say which batch it is, and how its window is read again."""
    commit = batch.path.parent.parent / "windows" / f"{batch.window_id}.json"
    return CorruptFile(
        f"{batch.path} is damaged or gone: it is not as it was landed.",
        cure=f"Restore it from a backup; or move {commit} away, then `crm-pipeline backfill "
        f"{batch.connection}` reads what the file held again.",
    )


def damaged_version(versions: Iterable[TableVersion]) -> CorruptFile | None:
    """Return what is wrong with the first table that cannot be read to its end."""
    for version in versions:
        for path in (*version.base, *version.delta, *version.tombstones):
            if not _is_readable(path):
                return CorruptFile(
                    f"{path} is damaged or gone.",
                    cure=f"Remove {path.parent}; the next run (`crm-pipeline refresh CONNECTION`) "
                    f"builds the table {version.name} again from data/landing.",
                )
    return None


def has_footers(version: TableVersion) -> bool:
    """Say, from the ends of its files alone, whether a table's version is there."""
    try:
        for path in (*version.base, *version.delta, *version.tombstones):
            pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def _is_readable(path: Path) -> bool:
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException):
        return False
    return True
