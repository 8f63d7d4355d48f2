"""Find the corrupt file behind a failed step; files of earlier versions have no checksum."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.errors import CorruptFile, DiskFull, StoreError


@contextmanager
def blamed_on(find: Callable[[], CorruptFile | None]) -> Iterator[None]:
    """Raise the corruption that `find` returns, where the block fails and there is one.

    Raises:
        CorruptFile: the corruption.
    """
    try:
        yield
    except (CorruptFile, DiskFull):  # a full disk is not the fault of a file
        raise
    except StoreError as error:
        corruption = find()
        if corruption is None:
            raise
        raise corruption from error


def is_readable(path: Path) -> bool:
    """Say whether a Parquet file can be read to its end, which finds less than a checksum."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except (OSError, pa.ArrowException):
        return False
    return True
