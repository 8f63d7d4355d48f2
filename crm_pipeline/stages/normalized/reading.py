"""SQL that reads texts from landed records: by path from JSON, by name from CSV columns.

JSON is parsed by one `json_transform` however many paths are read. An empty text is no value, as null
is: CSV cannot tell them apart, and to HubSpot and Pipedrive an empty text clears a field.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crm_pipeline.model.schema import Multiple
from crm_pipeline.store.engine import literal, quoted

RAW = "src."
"""Prefix of raw columns, so that no source field clashes with a common column."""
_TEXT = '"VARCHAR"'
_LIST = '["JSON"]'
_IDS = r"\s*[0-9]{1,18}\s*(,\s*[0-9]{1,18}\s*)*"

Path = tuple[str, ...]


def raw(source: str) -> str:
    """Return the quoted column that carries a source's text."""
    return quoted(RAW + source)


@dataclass(frozen=True)
class Source:
    """One text that rows are made of, and where it stands in landed records.

    Attributes:
        name: what mappings call it.
        column: the CSV column; "" where CSV has none.
        paths: keys from the root of JSON records, newest first.
        multiple: as `Field.multiple`.
        is_mapped: whether columns are made of it. Others only go to `custom`, where their empty texts
            are told from values once for the whole record; one by one that took most of the time.
    """

    name: str
    column: str
    paths: tuple[Path, ...]
    multiple: Multiple = ""
    is_mapped: bool = True


@dataclass
class _Node:
    kind: str = ""
    children: dict[str, "_Node"] = field(default_factory=dict)

    def want(self, kind: str) -> None:
        # A key that is wanted both as a text and as what is in it is read as a text first.
        self.kind = kind if self.kind in {"", kind} else _TEXT

    @property
    def structure(self) -> str:
        """The node as `json_transform` writes it."""
        if self.kind:
            return _TEXT if self.children else self.kind
        entries = (f"{_json_text(key)}:{node.structure}" for key, node in self.children.items())
        return "{" + ",".join(entries) + "}"


class Layout:
    """What is read from one JSON document: texts and lists, each by its path."""

    def __init__(self, texts: Iterable[Path], lists: Iterable[Path] = ()) -> None:
        self._root = _Node()
        for kind, paths in ((_TEXT, texts), (_LIST, lists)):
            for path in paths:
                node = self._root
                for key in path:
                    node = node.children.setdefault(key, _Node())
                node.want(kind)

    def transform(self, document: str) -> str:
        """Return SQL that parses a document once; NULL where nothing is read."""
        if not self._root.children:
            return "NULL"
        return f"json_transform({document}, {literal(self._root.structure)})"

    def text(self, parsed: str, path: Path) -> str:
        """Return SQL for the text at a path of what `transform` returned."""
        return self._value(parsed, path)[0]

    def elements(self, parsed: str, path: Path) -> str:
        """Return SQL for the elements (JSON[]) of the list at a path; NULL where there is none."""
        sql, kind = self._value(parsed, path)
        return sql if kind == _LIST else as_json(sql, _LIST)

    def _value(self, parsed: str, path: Path) -> tuple[str, str]:
        node, sql = self._root, parsed
        for depth, key in enumerate(path, 1):
            node, sql = node.children[key], f"{sql}.{quoted(key)}"
            if node.kind and depth < len(path):
                below = "$" + "".join(f".{_json_text(key)}" for key in path[depth:])
                found = f"json_extract_string({sql}, {literal(below)})"
                return f"CASE WHEN json_valid({sql}) THEN {found} END", _TEXT
        return sql, _TEXT if node.children else node.kind


def as_json(text: str, structure: str) -> str:
    """Return SQL that reads a text as JSON of a structure; NULL where it is none."""
    return f"CASE WHEN json_valid({text}) THEN json_transform({text}, {literal(structure)}) END"


def json_columns(layout: Layout, parsed: str, sources: Sequence[Source]) -> list[str]:
    """Return the raw columns of sources in a parsed document, "" as NULL where they are mapped."""
    columns = []
    for source in sources:
        texts = [layout.text(parsed, path) for path in source.paths]
        text = texts[0] if len(texts) == 1 else f"coalesce({', '.join(texts)})"
        value = f"nullif({text}, '')" if source.is_mapped else text
        if source.multiple == ",":
            value = _array(value, ",")
        if source.multiple in {",", "json"}:
            value = f"nullif({value}, '[]')"
        columns.append(f"{value} AS {raw(source.name)}")
    return columns


def csv_columns(present: Mapping[str, str], sources: Sequence[Source]) -> list[str]:
    """Return the raw columns of sources in a CSV batch, "" as NULL where they are mapped.

    `present` are the columns of the batch by their names in lower case.
    """
    columns = []
    for source in sources:
        found = present.get(source.column.lower())
        value = quoted(found) if found else "NULL::VARCHAR"
        if found and (source.is_mapped or source.multiple):
            value = f"nullif({value}, '')"
        if found and source.multiple in {",", "json"}:
            separator = ";" if source.multiple == "json" else ","
            value = f"nullif({_array(value, separator)}, '[]')"
        columns.append(f"{value} AS {raw(source.name)}")
    return columns


def _array(text: str, separator: str) -> str:
    """Return SQL that writes a text of several values as a JSON array; one that is it already stays."""
    parts = f"list_transform(string_split({text}, {literal(separator)}), lambda p: trim(p))"
    kept = f"list_filter({parts}, lambda p: p <> '')"
    written = f"CAST(to_json({kept}) AS VARCHAR)"
    if separator == ",":
        # Ids of options are numbers where the vendor writes the array itself.
        numbers = f"CAST(to_json(CAST({kept} AS BIGINT[])) AS VARCHAR)"
        written = f"CASE WHEN regexp_full_match({text}, '{_IDS}') THEN {numbers} ELSE {written} END"
    return f"CASE WHEN starts_with({text}, '[') THEN {text} ELSE {written} END"


def _json_text(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
