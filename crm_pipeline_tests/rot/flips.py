"""Flip single bits in the files of a small data folder: does `scrub` name the file, or is it used silently?

The files are found by listing the folder, not by asking `scrub` which there are. A flip leaves size and
times as they were, as a disk does.
"""

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import duckdb

from crm_pipeline.kernel.errors import CorruptFile, CrmError
from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.rot.world import World

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    # kind: pattern, and the uses that come to such a file
    "window commits": ("landing/*/*/windows/*.json", ("refreshed", "gone on")),
    "markers": ("landing/*/*/windows/*.open", ("gone on",)),
    "schemas": ("landing/*/*/schemas/*.json", ("refreshed", "gone on")),
    "landed batches": ("landing/*/*/????-??/*.parquet", ("gone on",)),
    "manifests": ("landing/*/*/????-??/*.json", ("gone on",)),
    "spool: notes": ("landing/*/*/spool/*/*.json", ("gone on",)),
    "spool: pages": ("landing/*/*/spool/*/*.csv", ("gone on",)),
    "judgements": ("landing/*/*/*/*ed", ("gone on",)),  # refused, accepted
    "sights": ("landing/*/*/windows/*.sight", ("gone on",)),
    "read again: copies": ("*/reread/*.parquet", ("refreshed", "gone on")),
    "read again: notes": ("*/reread/*.json", ("refreshed", "gone on")),
    "quarantine: rows": ("quarantine/*/*/[2n]*.parquet", ("gone on",)),
    "quarantine: records": ("quarantine/*/*/[2n]*.json", ("gone on",)),
    "quarantine: what is missing": ("quarantine/*/*/outstanding.json", ("gone on",)),
    "looks": ("looks/*.json", ()),
    "account facts": ("landing/*/account.json", ("refreshed", "gone on")),
    "table parts": ("tables/*.parquet", ("refreshed", "gone on")),
    "table versions": ("tables/*/version.json", ("refreshed", "gone on")),
    "releases": ("tables/release*.json", ("refreshed",)),
    "snapshots": ("snapshots/*.duckdb", ("asked", "refreshed")),
    "snapshots: sums": ("snapshots/*.json", ("asked", "refreshed")),
    "published files": ("published/*.parquet", ("refreshed", "gone on")),
    "published: sums": ("published/*.json", ("refreshed", "gone on")),
}
USES: Mapping[str, Callable[[World], dict[str, Any]]] = {
    "asked": World.asked,
    "refreshed": World.refreshed,
    "gone on": World.gone_on,
}


@dataclass(frozen=True)
class Flip:
    """One bit of one file; `path` is relative to the data folder."""

    kind: str
    path: Path
    offset: int
    bit: int

    def __str__(self) -> str:
        return f"{self.kind}: bit {self.bit} of byte {self.offset} of {self.path}"


def kind_of(path: Path) -> str:
    """Return the kind of a file; every file below the data folder has one."""
    [kind] = [kind for kind, (pattern, _) in KINDS.items() if fnmatch(str(path), pattern)]
    return kind


def flips(data: Path, count: int, seed: int) -> Iterator[Flip]:
    """Draw bits, equally many of each kind, and of each kind's files."""
    drawn = random.Random(seed)
    by_kind: dict[str, list[Path]] = {}
    for path in sorted(data.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            relative = path.relative_to(data)
            by_kind.setdefault(kind_of(relative), []).append(relative)
    assert by_kind.keys() == KINDS.keys()
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        path = drawn.choice(by_kind[kind])
        size = (data / path).stat().st_size
        yield Flip(kind, path, drawn.randrange(size), drawn.randrange(8))


@contextmanager
def flipped(data: Path, flip: Flip) -> Iterator[None]:
    """Flip a bit for the length of the block."""
    flip_bit(data / flip.path, flip.offset, flip.bit)
    try:
        yield
    finally:
        flip_bit(data / flip.path, flip.offset, flip.bit)


def flip_bit(path: Path, offset: int | None = None, bit: int = 0) -> None:
    """Flip one bit of a file, by default in its middle; its size and times stay.

    A negative offset counts from the end.
    """
    times = path.stat()
    with path.open("r+b") as file:
        place = times.st_size // 2 if offset is None else offset % times.st_size
        file.seek(place)
        [byte] = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ (1 << bit)]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def copied(data: Path, target: Path) -> Path:
    """Copy a data folder as it is, links among its files and times included."""
    subprocess.run(["cp", "-a", str(data), str(target)], check=True)
    return target


def is_named(data: Path, flip: Flip) -> bool:
    """Say whether `scrub` names the file of a flip."""
    with flipped(data, flip):
        return data / flip.path in {one.path for one in scrub(data).corruption}


def used(data: Path, flip: Flip, use: str, expected: Mapping[str, Any]) -> str:
    """Return the result of a use after a flip: `refused` with an error of ours, `equal`, or what is wrong.

    Args:
        data: a copy that the use may change.
        flip: of a bit that is flipped in it.
        use: by its name in `USES`.
        expected: what the use came to without the flip.
    """
    try:
        found = USES[use](World(data))
    except CorruptFile as error:
        return "refused" if error.cure else f"no cure: {error}"
    except CrmError as error:
        return "refused" if str(flip.path) in str(error) else f"{type(error).__name__}: {error}"
    except duckdb.Error as error:  # what an analyst's own program shows
        return "refused" if "Corrupt database file" in str(error) else f"raw: {error}"
    except Exception as error:  # noqa: BLE001 - whatever else it is, it is wrong
        return f"raw {type(error).__name__}: {error}"
    if found == expected:
        return "equal"
    parts = [key for key in expected if found.get(key) != expected[key]]
    return f"used in silence: {parts}"
