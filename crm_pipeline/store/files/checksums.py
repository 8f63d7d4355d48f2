"""Checksums of whole files: taken when a file is written, compared before it is read.

Neither DuckDB nor, by default, Arrow notices a flipped bit in a Parquet file: most flips give another value.
So a file is hashed before it is read. Files are written once and never changed, so each process hashes a file
only once.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

from isal import isal_zlib

from crm_pipeline.store.files import atomic as files
from crm_pipeline.store.files.blocks import BlockSums

_THREADS = min(4, os.cpu_count() or 1)  # hashing lets go of the interpreter's lock
_BLOCK_BYTES = 1 << 20
_Identity = tuple[int, int, int, int]


@dataclass(frozen=True)
class FileSum:
    """Size and SHA-256 of a file as it was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the size and checksum of a file as it is now.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            return cls.read(file)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Return the checksum that `to_dict` wrote."""
        return cls(int(record["bytes"]), str(record["sha256"]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {"bytes": self.bytes, "sha256": self.sha256}

    @classmethod
    def read(cls, file: BufferedReader) -> Self:
        """Return the size and checksum of an open file as it is now."""
        return cls(os.fstat(file.fileno()).st_size, _sha256(file))


AnySum = FileSum | BlockSums
Recorded = tuple[Path, AnySum]
"""A file, and its checksum as recorded when it was written."""


class Verifier:
    """Compares files with their recorded checksums; each file is hashed once while it stays the same.

    Safe with threads.
    """

    def __init__(self) -> None:
        self._hashed: dict[tuple[_Identity, type[AnySum]], AnySum] = {}

    def damaged(self, recorded: Iterable[Recorded]) -> list[Path]:
        """Return the files that differ from their record or are gone; several are hashed in parallel."""
        pairs = list(recorded)
        if len(pairs) < 2:
            whole: Sequence[bool] = [self.is_whole(*pair) for pair in pairs]
        else:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
                whole = list(pool.map(lambda pair: self.is_whole(*pair), pairs))
        return [path for (path, _), is_whole in zip(pairs, whole, strict=True) if not is_whole]

    def is_whole(self, path: Path, recorded: AnySum) -> bool:
        """Say whether a file exists and fits its record."""
        kind = type(recorded)
        try:
            with path.open("rb") as file:
                identity = _identity(file)
                if os.fstat(file.fileno()).st_size != recorded.bytes:
                    return False
                found = self._hashed.get((identity, kind)) or kind.read(file)
                # The hash of a file that changes meanwhile is not remembered.
                if _identity(file) == identity:
                    self._hashed[identity, kind] = found
        except OSError:
            return False
        return found == recorded

    def taken(self, path: Path) -> FileSum:
        """Return the checksum of a file that was just written, and remember it.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            file_sum = FileSum.read(file)
            self._hashed[_identity(file), FileSum] = file_sum
        return file_sum

    def remember(self, path: Path, known: AnySum) -> None:
        """Remember the checksum of a file that was just written.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            self._hashed[_identity(file), type(known)] = known


@contextmanager
def summed(path: Path, verifier: Verifier) -> Iterator[Future[FileSum]]:
    """Compute the checksum of a finished file in a thread while the block runs.

    The result raises OSError where the file cannot be read.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="checksum") as hasher:
        yield hasher.submit(verifier.taken, path)


def flushed(path: Path, verifier: Verifier) -> FileSum:
    """Flush a finished file to the disk, and compute its checksum at the same time.

    Raises:
        OSError: the disk fails.
    """
    with summed(path, verifier) as taken:
        files.sync_file(path)
        return taken.result()


def crc32_of(path: Path) -> str:
    """Return the CRC-32 of a file in hexadecimal: a tenth of the time of a SHA-256.

    For pages of a checkpoint, which exist for minutes and are much larger than the landed files. CRC-32 finds
    every flipped bit, and other corruption except in one of four thousand million cases.

    Raises:
        OSError: it cannot be read.
    """
    crc32 = 0
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(_BLOCK_BYTES))
        while size := file.readinto(block):
            crc32 = isal_zlib.crc32(block[:size], crc32)
    return f"{crc32:08x}"


def _sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(file: BufferedReader) -> _Identity:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
