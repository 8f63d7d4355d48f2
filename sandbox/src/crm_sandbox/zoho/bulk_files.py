"""The files of bulk jobs: a ZIP with one file of lines, written once for each question.

A query that is asked again while nothing has changed is not run again: the vendor's work is done on the
vendor's machines, and what shares ours with it should not pay for it.
"""

import shutil
import struct
import tempfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib

_REMEMBERED = 8
# A member in the format of PKWARE's APPNOTE: deflated, name in UTF-8, sizes known only at the end.
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_DEFLATED, _UTF8, _DATE = 8, 0x800, 0x21


@dataclass(frozen=True)
class Lines:
    """Lines that were zipped: how many, the last row's id, whether there would be more."""

    path: Path
    count: int
    last: int
    more: bool


class FileShelf:
    """Where the files of one org's jobs are kept."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-zoho-bulk-"))
        self._lock = threading.Lock()
        self._made = 0
        self._kept: OrderedDict[Any, Lines] = OrderedDict()

    def new_path(self) -> Path:
        """Return a path that nobody uses."""
        with self._lock:
            self._made += 1
            return self._folder / f"{self._made:06d}.zip"

    def known(self, key: Any) -> Lines | None:
        """Return the lines of a question that was asked before."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: Any, lines: Lines) -> None:
        """Remember the lines of a question; files of jobs that still name them stay."""
        with self._lock:
            self._kept[key] = lines
            while len(self._kept) > _REMEMBERED:
                self._kept.popitem(last=False)

    def close(self) -> None:
        """Remove every file."""
        shutil.rmtree(self._folder, ignore_errors=True)


def texts_of(batch: Any) -> bytes:
    """Return the texts of a batch's first column as one piece."""
    lines = batch.column(0)
    width = np.int64 if str(lines.type) == "large_string" else np.int32
    _, offsets, data = lines.buffers()
    edges = np.frombuffer(offsets, dtype=width)[lines.offset : lines.offset + len(lines) + 1]
    return bytes(memoryview(data)[int(edges[0]) : int(edges[-1])])


def zip_member(path: Path, name: str, pieces: Iterator[bytes]) -> None:
    """Write a ZIP with one member.

    Args:
        path: the file.
        name: the member's name, in ASCII.
        pieces: its content.
    """
    packer = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
    written = name.encode("ascii")
    checksum, size, packed = 0, 0, 0
    with path.open("wb") as file:
        file.write(b"\0" * (_LOCAL.size + len(written)))
        for piece in pieces:
            checksum = zlib.crc32(piece, checksum)
            size += len(piece)
            packed += file.write(packer.compress(piece))
        packed += file.write(packer.flush())
        start = file.tell()
        common = (20, _UTF8, _DEFLATED, 0, _DATE, checksum, packed, size, len(written), 0)
        central = _CENTRAL.pack(b"PK\1\2", 20, *common, 0, 0, 0, 0o600 << 16, 0)
        file.write(central + written)
        end = len(central) + len(written)
        file.write(_END.pack(b"PK\5\6", 0, 0, 1, 1, end, start, 0))
        file.seek(0)
        file.write(_LOCAL.pack(b"PK\3\4", *common) + written)
