"""Checksums of whole files: taken when a file is written, compared before it is read.

Neither DuckDB nor, by default, Arrow notices a flipped bit in a Parquet file: most give another value.
So a file is hashed before it is read. It is written once and never changed, so what was compared is
what is read then; and a process hashes it once, whatever reads it how often.
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
        """Read a file and return what it is now.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            return cls(os.fstat(file.fileno()).st_size, _sha256(file))

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(int(record["bytes"]), str(record["sha256"]))

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON-able mapping."""
        return {"bytes": self.bytes, "sha256": self.sha256}


Recorded = tuple[Path, FileSum]
"""A file, and what was recorded of it when it was written."""


class Verifier:
    """Compares files with what was recorded of them, each once as long as it is the same file.

    Safe with threads.
    """

    def __init__(self) -> None:
        self._hashed: dict[_Identity, str] = {}

    def damaged(self, recorded: Iterable[Recorded]) -> list[Path]:
        """Return the files that are not as recorded, or gone; several are hashed at once."""
        given = list(recorded)
        if len(given) < 2:
            whole: Sequence[bool] = [self.is_whole(*one) for one in given]
        else:
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
                whole = list(pool.map(lambda one: self.is_whole(*one), given))
        return [path for (path, _), is_whole in zip(given, whole, strict=True) if not is_whole]

    def is_whole(self, path: Path, recorded: FileSum) -> bool:
        """Say whether a file is there and as recorded."""
        try:
            with path.open("rb") as file:
                identity = _identity(file)
                if os.fstat(file.fileno()).st_size != recorded.bytes:
                    return False
                found = self._hashed.get(identity) or _sha256(file)
                # Of a file that is being written meanwhile nothing is remembered.
                if _identity(file) == identity:
                    self._hashed[identity] = found
        except OSError:
            return False
        return found == recorded.sha256

    def taken(self, path: Path) -> FileSum:
        """Return the sum of a file that was just written, and remember it.

        Raises:
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            found = FileSum(os.fstat(file.fileno()).st_size, _sha256(file))
            self._hashed[_identity(file)] = found.sha256
        return found


@contextmanager
def summed(path: Path, verifier: Verifier) -> Iterator[Future[FileSum]]:
    """Take the checksum of a finished file while the block does something else.

    The result raises OSError where the file cannot be read.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="checksum") as hasher:
        yield hasher.submit(verifier.taken, path)


def flushed(path: Path, verifier: Verifier) -> FileSum:
    """Flush a finished file to the disk and, while that is at work, take its checksum.

    Raises:
        OSError: the disk fails.
    """
    with summed(path, verifier) as taken:
        files.sync_file(path)
        return taken.result()


def crc32_of(path: Path) -> str:
    """Return the CRC-32 of a file in hexadecimal: a tenth of the time of a SHA-256.

    For pages of the spool, which live for minutes and are many times what is landed of them. It finds
    every flipped bit, and of other damage all but one of four thousand million.

    Raises:
        OSError: it cannot be read.
    """
    found = 0
    with path.open("rb", buffering=0) as file:
        block = memoryview(bytearray(_BLOCK_BYTES))
        while size := file.readinto(block):
            found = isal_zlib.crc32(block[:size], found)
    return f"{found:08x}"


def _sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(file: BufferedReader) -> _Identity:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
