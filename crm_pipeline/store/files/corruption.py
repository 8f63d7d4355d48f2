"""Finding the corrupt file behind a step that failed: files of earlier versions have no checksum."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, DiskFull, StoreError


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


def is_readable(path: Path) -> bool:
    """Say whether a Parquet file can be read to its end; that finds less than a checksum does."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException):
        return False
    return True
