"""Adds objects to a connection in the text of connections.yaml, leaving everything else as it is."""

import re
from collections.abc import Sequence

import yaml

from crm_pipeline.settings.document import Document


def with_objects(document: Document, connection: str, names: Sequence[str]) -> str:
    """Return the text of the document with these objects added to the connection's own.

    Comments and order stay. A list in brackets becomes one with a line for each object.
    """
    node, column = document.node(("connections", connection, "objects"))
    text = document.text
    if not names or node is None:
        return text
    if _is_block(node):
        return _appended(text, node, names)
    present = _present(node)
    is_mapping = isinstance(node, yaml.MappingNode)
    indent = " " * (column + 2)
    block = "".join(
        f"\n{indent}{line}" for line in (*present, *(_line(n, is_mapping) for n in names))
    )
    start, end = node.start_mark.index, node.end_mark.index
    return text[:start].rstrip(" ") + block + text[end:]


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)


def _appended(text: str, node: yaml.Node, names: Sequence[str]) -> str:
    is_mapping = isinstance(node, yaml.MappingNode)
    indent = " " * node.start_mark.column
    end = _last_leaf(node).end_mark.index
    line_end = text.find("\n", end)
    if line_end < 0:
        text, line_end = text + "\n", len(text)
    added = "".join(f"\n{indent}{_line(name, is_mapping)}" for name in names)
    return text[:line_end] + added + text[line_end:]


def _last_leaf(node: yaml.Node) -> yaml.Node:
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_leaf(last[1] if isinstance(last, tuple) else last)
    return node


def _present(node: yaml.Node) -> list[str]:
    if isinstance(node, yaml.SequenceNode):
        return [f"- {item.value}" for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return [f"{key.value}:{_options(value)}" for key, value in node.value]
    return []


def _options(value: yaml.Node) -> str:
    if not isinstance(value, yaml.MappingNode):
        return ""
    pairs = ", ".join(f"{key.value}: {option.value}" for key, option in value.value)
    return f" {{{pairs}}}"


def _line(name: str, is_mapping: bool) -> str:
    quoted = name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) else f'"{name}"'
    return f"{quoted}:" if is_mapping else f"- {quoted}"
