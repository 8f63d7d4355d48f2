"""How large connections.yaml may be, with its aliases written out.

A few lines of aliases can stand for billions of values, and deep nesting ends Python. Without limits one file
could stop every command, and the whole machine.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import yaml

from crm_pipeline.kernel.errors import ConfigError

MOST_BYTES = 512 << 10
DEEPEST = 20
MOST_ALIASES = 200
MOST_VALUES = 100_000
MOST_CONNECTIONS = 200
MOST_OBJECTS = 1_000
MOST_PROVIDERS = 20
MOST_FIELDS = 1_000
"""Of an object, kept out or hashed."""


def read_bounded(path: Path) -> bytes:
    """Read a regular file that is not too long; a pipe or a device might never end.

    Raises:
        ConfigError: it is too long, or something else than a file.
        OSError: it cannot be read.
    """
    # A pipe is opened without waiting for its writer.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(
                f"{path} is a pipe, a socket or a device, and not a file.",
                cure="Put a file there, or a link to one.",
            )
        content = file.read(MOST_BYTES + 1)
    require_size(path, max(len(content), status.st_size))
    return content


def require_size(path: Path, size: int) -> None:
    """Make sure that a file is not too long.

    Raises:
        ConfigError: it is.
    """
    if size > MOST_BYTES:
        raise ConfigError(
            f"{path} has {size:,} bytes; at most {MOST_BYTES:,} are read.",
            cure="Split it: another folder with a connections.yaml, named by CRM_HOME, is a pipeline of "
            "its own.",
        )


def require_depth(path: Path, line: int, depth: int) -> None:
    """Make sure that a value does not lie too deep.

    Raises:
        ConfigError: it does.
    """
    if depth > DEEPEST:
        raise ConfigError(
            f"{path}:{line}: a value lies {depth} levels deep; at most {DEEPEST} are read.",
            cure="Look for brackets or an indentation that are off: no key of docs/connections.md lies "
            "deeper than six.",
        )


def require_aliases(path: Path, line: int, aliases: int) -> None:
    """Make sure that a file does not use too many aliases.

    Raises:
        ConfigError: it does.
    """
    if aliases > MOST_ALIASES:
        raise ConfigError(
            f"{path}:{line}: this is alias number {aliases}; at most {MOST_ALIASES} are read.",
            cure="Write out what the aliases stand for.",
        )


class Growth:
    """Measures a document with its aliases written out, and refuses one that is too large.

    Args:
        path: names the file in errors.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._measures: dict[int, tuple[int, int]] = {}
        self._around: set[int] = set()

    def require_bounded(self, node: yaml.Node, depth: int = 1) -> tuple[int, int]:
        """Return how many values a node holds, and over how many levels.

        Raises:
            ConfigError: they are too many or too deep, or an alias stands inside of what it names.
        """
        line = node.start_mark.line + 1
        if id(node) in self._around:
            raise ConfigError(
                f"{self._path}:{line}: an alias stands inside of what it names, without end.",
                cure="Write out what the alias is to stand for.",
            )
        if id(node) not in self._measures:
            require_depth(self._path, line, depth)
            self._around.add(id(node))
            self._measures[id(node)] = self._measured(node, depth, line)
            self._around.remove(id(node))
        values, levels = self._measures[id(node)]
        require_depth(self._path, line, depth + levels - 1)
        return values, levels

    def _measured(self, node: yaml.Node, depth: int, line: int) -> tuple[int, int]:
        values, levels = 1, 1
        for child in _nested(node):
            more, below = self.require_bounded(child, depth + 1)
            values, levels = values + more, max(levels, below + 1)
            if values > MOST_VALUES:
                raise ConfigError(
                    f"{self._path}:{line}: this holds {values:,} values and more; at most "
                    f"{MOST_VALUES:,} are read, aliases written out.",
                    cure="Leave out aliases of aliases, and what nobody needs.",
                )
        return values, levels


def _nested(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
