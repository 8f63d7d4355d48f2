"""Search every file below the data folder for values, with decoding: Parquet, gzip, ZIP, DuckDB, everything else as bytes."""

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.erasure.needles import Needles
from crm_pipeline.model.names import quoted

_CHUNK = 1 << 20
_ROWS = 20_000
_UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, pa.ArrowException, duckdb.Error)


@dataclass
class Searched:
    """What was searched, and what was found.

    Attributes:
        files, bytes: number and size of the files.
        kinds: number of files that were decoded, by form.
        found: the names of the values in each file, see `Needles`.
        unreadable: files that could only be searched as bytes, because they could not be decoded.
    """

    files: int = 0
    bytes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    found: dict[Path, set[str]] = field(default_factory=dict)
    unreadable: list[Path] = field(default_factory=list)

    def add(self, path: Path, names: set[str]) -> None:
        """Add what was found in a file."""
        if names:
            self.found.setdefault(path, set()).update(names)


def search(root: Path, needles: Needles) -> Searched:
    """Return where values stand below a folder; links are not followed, as what they lead to is below it as well."""
    searched = Searched()
    paths = [
        path
        for folder, _, names in os.walk(root)
        for path in (Path(folder, name) for name in sorted(names))
        if path.is_file() and not path.is_symlink()
    ]
    # Cells first: they show which longer addresses only contain a value, which bytes cannot tell.
    for path in paths:
        with suppress(FileNotFoundError):  # another process has removed it
            _decode(path, needles, searched)
    for path in paths:
        with suppress(FileNotFoundError), path.open("rb") as file:
            searched.add(path, _in_stream(file, needles) | needles.found(str(path).encode()))
            searched.bytes += file.tell()
            searched.files += 1
    return searched


def _decode(path: Path, needles: Needles, searched: Searched) -> None:
    kind, decode = _decoder(path)
    if decode is None:
        return
    searched.kinds[kind] = searched.kinds.get(kind, 0) + 1
    try:
        searched.add(path, decode(path, needles))
    except _UNREADABLE:
        searched.unreadable.append(path)


def _decoder(path: Path) -> tuple[str, Callable[[Path, Needles], set[str]] | None]:
    """Return the form of a file by its first bytes, and what decodes it."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[:4] == b"PAR1":
        return "parquet", _in_parquet
    if start[:2] == b"\x1f\x8b":
        return "gzip", _in_gzip
    if start[:4] == b"PK\x03\x04":
        return "zip", _in_zip
    if start[8:12] == b"DUCK":
        return "duckdb", _in_duckdb
    return "", None


def _in_stream(file: BinaryIO, needles: Needles) -> set[str]:
    names: set[str] = set()
    overlap = b""
    while chunk := file.read(_CHUNK):
        names |= needles.found(overlap + chunk)
        overlap = (overlap + chunk)[-needles.longest :]
    return names


def _in_gzip(path: Path, needles: Needles) -> set[str]:
    with gzip.open(path) as file:
        return _in_stream(file, needles)  # type: ignore[arg-type]


def _in_zip(path: Path, needles: Needles) -> set[str]:
    names: set[str] = set()
    with zipfile.ZipFile(path) as packed:
        for member in packed.infolist():
            names |= needles.found(member.filename.encode())
            with packed.open(member) as file:
                names |= _in_stream(file, needles)  # type: ignore[arg-type]
    return names


def _in_parquet(path: Path, needles: Needles) -> set[str]:
    names: set[str] = set()
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS):
            names |= _in_batch(batch, needles)
    return names


def _in_batch(batch: pa.RecordBatch, needles: Needles) -> set[str]:
    names: set[str] = set()
    for column in batch.columns:
        for leaf in _leaves(column):
            buffer = leaf.buffers()[2]
            if buffer is None or not needles.found(memoryview(buffer)):
                continue
            for cell in leaf.cast(pa.large_binary()).to_pylist():
                names |= needles.in_cell(cell) if cell else set()
    return names


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """Yield the arrays of texts and bytes in an array."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(array.dictionary)
    elif pa.types.is_struct(kind):
        for index in range(kind.num_fields):
            yield from _leaves(array.field(index))
    elif pa.types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _leaves(array.values)
    elif pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        yield array.cast(pa.large_binary())
    elif any(
        check(kind)
        for check in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    ):
        yield array


def _in_duckdb(path: Path, needles: Needles) -> set[str]:
    """Return what stands in the tables of a DuckDB file; its blocks are searched as bytes besides."""
    names: set[str] = set()
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        tables = connection.execute(
            "SELECT schema_name, table_name, sql, comment FROM duckdb_tables() WHERE NOT internal"
        ).fetchall()
        for schema, table, *texts in tables:
            names |= needles.found("\n".join(filter(None, texts)).encode("utf-8", "replace"))
            rows = connection.sql(f"FROM {quoted(schema)}.{quoted(table)}")
            for batch in rows.to_arrow_reader(_ROWS):
                names |= _in_batch(batch, needles)
        views = connection.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()
        names |= needles.found("\n".join(sql for (sql,) in views).encode("utf-8", "replace"))
    return names
