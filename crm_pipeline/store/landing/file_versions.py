"""The names of files that an erasure has written anew: `<name>.e<n>`, so that no name is used again."""

import re
from collections.abc import Iterable
from pathlib import Path

_VERSION = re.compile(r"\.e(\d+)$")


def is_rewritten(path: Path) -> bool:
    """Say whether a file was written by an erasure."""
    return _VERSION.search(path.stem) is not None


def next_version(path: Path) -> Path:
    """Return the name of the next version of a file."""
    return path.with_name(f"{_VERSION.sub('', path.stem)}.e{_number(path) + 1}{path.suffix}")


def versions_of(paths: Iterable[Path]) -> list[list[Path]]:
    """Return files grouped by their first name, each group in the order of its versions."""
    versions: dict[Path, list[Path]] = {}
    for path in paths:
        versions.setdefault(path.with_name(_VERSION.sub("", path.stem)), []).append(path)
    return [sorted(each, key=_number) for each in versions.values()]


def _number(path: Path) -> int:
    match = _VERSION.search(path.stem)
    return int(match[1]) if match else 0
