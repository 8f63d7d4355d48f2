"""SQL that reads texts at paths of a JSON document, whatever its keys are.

A document is parsed by one call of `json_transform` for all paths. It returns a struct, whose names may not be
empty, have NUL or differ in case only. Values under such keys are read by JSON pointers (RFC 6901), all in one
further call.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from crm_pipeline.model.names import encodable, literal, quoted

_TEXT = '"VARCHAR"'
_LIST = '["JSON"]'

Path = tuple[str, ...]


@dataclass
class _Node:
    kind: str = ""
    children: dict[str, "_Node"] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)

    def want(self, kind: str) -> None:
        # A key that is read both as a text and by its parts is parsed as a text first.
        self.kind = kind if self.kind in {"", kind} else _TEXT

    def takes(self, key: str) -> bool:
        """Say whether a key can be a further name of the struct."""
        return key != "" and "\0" not in key and self.folded.get(key.lower(), key) == key

    def child(self, key: str) -> "_Node":
        self.folded[key.lower()] = key
        return self.children.setdefault(key, _Node())

    @property
    def structure(self) -> str:
        """The node as `json_transform` writes it."""
        if self.kind:
            return _TEXT if self.children else self.kind
        entries = (f"{_key(key)}:{node.structure}" for key, node in self.children.items())
        return "{" + ",".join(entries) + "}"


class Layout:
    """The texts and lists that are read from one JSON document, each by its path."""

    def __init__(self, texts: Iterable[Path], lists: Iterable[Path] = ()) -> None:
        self._root = _Node()
        self._odd: dict[Path, int] = {}
        for kind, paths in ((_TEXT, texts), (_LIST, lists)):
            for path in paths:
                self._add(path, kind)

    def columns(self, document: str, name: str) -> str:
        """Return the columns of a parsed document; `text` and `elements` read them by `name`."""
        parsed = (
            f"json_transform({document}, {literal(self._root.structure)})"
            if self._root.children
            else "NULL"
        )
        columns = f"{parsed} AS {quoted(name)}"
        if not self._odd:
            return columns
        pointers = ", ".join(pointer(path) for path in self._odd)
        return f"{columns}, json_extract_string({document}, [{pointers}]) AS {_odd(name)}"

    def text(self, name: str, path: Path) -> str:
        """Return SQL for the text at a path of the document that `columns` parsed."""
        return self._value(name, path)[0]

    def elements(self, name: str, path: Path) -> str:
        """Return SQL for the elements (JSON[]) of the list at a path; NULL where there is none."""
        sql, kind = self._value(name, path)
        return sql if kind == _LIST else as_json(sql, _LIST)

    def _add(self, path: Path, kind: str) -> None:
        if not self._takes(path):
            self._odd.setdefault(path, len(self._odd) + 1)
            return
        node = self._root
        for key in path:
            node = node.child(key)
        node.want(kind)

    def _takes(self, path: Path) -> bool:
        node: _Node | None = self._root
        for key in path:
            if not (node or _Node()).takes(key):
                return False
            node = node.children.get(key) if node else None
        return True

    def _value(self, name: str, path: Path) -> tuple[str, str]:
        if path in self._odd:
            return f"{_odd(name)}[{self._odd[path]}]", _TEXT
        node, sql = self._root, quoted(name)
        for depth, key in enumerate(path, 1):
            node, sql = node.children[key], f"{sql}.{quoted(key)}"
            if node.kind and depth < len(path):
                text = f"json_extract_string({sql}, {pointer(path[depth:])})"
                return f"CASE WHEN json_valid({sql}) THEN {text} END", _TEXT
        return sql, _TEXT if node.children else node.kind


def as_json(text: str, structure: str) -> str:
    """Return SQL that reads a text as JSON of a structure; NULL where it is no JSON."""
    return f"CASE WHEN json_valid({text}) THEN json_transform({text}, {literal(structure)}) END"


def list_of(keys: Sequence[str]) -> str:
    """Return the structure of a list of objects, with the keys that are read as texts."""
    return "[{" + ",".join(f"{_key(key)}:{_TEXT}" for key in keys) + "}]"


def _key(key: str) -> str:
    return json.dumps(encodable(key), ensure_ascii=False)


def pointer(path: Path) -> str:
    """Return SQL for the JSON pointer (RFC 6901) of a path."""
    escaped = (key.replace("~", "~0").replace("/", "~1") for key in path)
    return literal("".join(f"/{key}" for key in escaped))


def _odd(name: str) -> str:
    return quoted(f"{name} odd")
