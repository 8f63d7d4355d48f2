"""A check of one file by `store.scrub`, and the ways to check."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import AnySum
from crm_pipeline.store.files.corruption import is_readable

COMMITS = "window commits"
SCHEMAS = "schemas"
BATCHES = "landed batches"
MANIFESTS = "manifests"
REREADS = "batches read again"
UNFINISHED = "unfinished reads"
QUARANTINE = "quarantine"
LOOKS = "looks"
ACCOUNTS = "account facts"
TABLES = "tables"
RELEASES = "releases"
SNAPSHOTS = "snapshots"
PUBLISHED = "published files"
KINDS = (
    *(COMMITS, SCHEMAS, BATCHES, MANIFESTS, REREADS, UNFINISHED, QUARANTINE, LOOKS, ACCOUNTS),
    *(TABLES, RELEASES, SNAPSHOTS, PUBLISHED),
)


@dataclass(frozen=True)
class Verdict:
    """The result of a check of one file.

    Attributes:
        problem: the end of a sentence about the file; "" where it is whole.
        is_proven: False where there is no checksum, so that only unreadable files are found.
    """

    problem: str = ""
    is_proven: bool = True


@dataclass(frozen=True)
class Check:
    """One file to check.

    Attributes:
        step: for reports of progress.
        cure: what to do where it is damaged.
        look: makes the check; it may raise CorruptFile and OSError.
        is_needed: an undamaged file names this file, so it must exist.
        is_used: False for a file that nothing current uses, so that nothing has to be done.
    """

    kind: str
    step: str
    path: Path
    cure: str
    look: Callable[[], Verdict]
    is_needed: bool = False
    is_used: bool = True


Read = Callable[[Mapping[str, Any]], str]
"""Reads a record and returns what is wrong with it, or ""; invalid records may raise various errors."""


def sum_look(path: Path, recorded: AnySum | None) -> Callable[[], Verdict]:
    """Return a check that compares a Parquet file with its checksum, or reads it where there is none."""
    return partial(_summed, path, recorded)


def json_look(path: Path, read: Read) -> Callable[[], Verdict]:
    """Return a check of a JSON file: its seal, and whether `read` can read it."""
    return partial(_parsed, path, read)


def _summed(path: Path, recorded: AnySum | None) -> Verdict:
    if recorded is None:
        return Verdict("" if is_readable(path) else "it cannot be read to its end", is_proven=False)
    if path.stat().st_size != recorded.bytes:
        return Verdict(f"it has {path.stat().st_size:,} bytes and had {recorded.bytes:,}")
    return Verdict("" if type(recorded).of(path) == recorded else "its checksum does not fit")


def _parsed(path: Path, read: Read) -> Verdict:
    record, is_sealed = files.read_sealed(path)
    try:
        return Verdict(read(record), is_proven=is_sealed)
    except CorruptFile:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        return Verdict(f"it makes no sense ({type(error).__name__})")
