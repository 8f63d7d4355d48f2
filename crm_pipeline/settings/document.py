"""A YAML file that remembers on which line each key stands.

Duplicate keys are an error here, where PyYAML would let the last one win in silence. Dates stay text.
`document_bounds.py` says how large a file may be.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings.document_bounds import (
    Growth,
    read_bounded,
    require_aliases,
    require_depth,
    require_size,
)

_YAML = "tag:yaml.org,2002:"
_TIMESTAMP = f"{_YAML}timestamp"
_LINE_END = re.compile("\r\n?")
_LARGEST = 1 << 63
# What PyYAML's own constructors raise where a text does not fit its tag.
_UNFIT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class _Loader(yaml.SafeLoader):
    """The safe loader with limits on size; dates such as `2018-01-01` stay texts."""

    path: Path
    _depth = _aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node, unless it lies too deep or is one alias too many."""
        line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
        self._aliases += bool(self.check_event(yaml.AliasEvent))
        self._depth += 1
        require_aliases(self.path, line, self._aliases)
        require_depth(self.path, line, self._depth)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node; one that its tag does not fit is no YAML."""
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and abs(value) > _LARGEST:
                raise OverflowError
        except _UNFIT:
            tag = node.tag.replace(_YAML, "!!")
            text = f"the value is none of type {tag}, or too large"
            raise ConstructorError(None, None, text, node.start_mark) from None
        return value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Document:
    """A parsed YAML file: its values, and where they stand.

    Args:
        path: names the file in errors.
        text: what it says.

    Raises:
        ConfigError: the text is no YAML, or a mapping has a key twice.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        require_size(path, len(text.encode(errors="replace")))
        loader = _Loader(text)
        loader.path = path
        try:
            self._root = loader.get_single_node()
            if self._root is not None:
                Growth(path).require_bounded(self._root)
            self._refuse_duplicates(self._root)
            self.data: Any = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except yaml.YAMLError:
            raise ConfigError(
                f"{path}: is no readable YAML.", cure="Restore the file, or write it anew as UTF-8."
            ) from None
        finally:
            loader.dispose()

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Read a file.

        Raises:
            ConfigError: it cannot be read, or is no YAML.
        """
        try:
            return cls(path, "\n".join(_LINE_END.split(read_bounded(path).decode())))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "no such file"
            raise ConfigError(
                f"{path} cannot be read: {reason}.", cure="Check its path and permissions."
            ) from None
        except UnicodeDecodeError:
            raise ConfigError(f"{path} is not UTF-8 text.", cure="Save it as UTF-8.") from None

    def line(self, location: Sequence[str | int]) -> int:
        """Return the line of a key, or of the nearest key or value around it that exists."""
        node, line = self._root, 1
        for step in location:
            key, value = self._child(node, step)
            if value is None:
                break
            node = value
            line = int((key or value).start_mark.line) + 1
        return line

    def node(self, location: Sequence[str | int]) -> tuple[yaml.Node | None, int]:
        """Return the node of a key's value, and the column of the key; None where there is none."""
        node, column = self._root, 0
        for step in location:
            key, node = self._child(node, step)
            if node is None:
                return None, 0
            column = int((key or node).start_mark.column)
        return node, column

    def _child(
        self, node: yaml.Node | None, step: str | int
    ) -> tuple[yaml.Node | None, yaml.Node | None]:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    return key, value
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            return None, node.value[step] if step < len(node.value) else None
        return None, None

    def _refuse_duplicates(self, node: yaml.Node | None) -> None:
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_duplicates(item)
        if not isinstance(node, yaml.MappingNode):
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise ConfigError(
                        f"{self.path}:{line}: the key '{key.value}' stands here for a second time "
                        f"(first on line {seen[key.value]}).",
                        cure="Keep one of the two.",
                    )
                seen[key.value] = line
            self._refuse_duplicates(value)

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ConfigError:
        # PyYAML's own text quotes the offending line, which may hold a secret that was pasted in.
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return ConfigError(
            f"{self.path}:{line}: is no valid YAML: {error.problem or error.context}.",
            cure="Look for a missing colon, quote or bracket, a tab, or an indentation that is off, "
            "on this line and the one before.",
        )
