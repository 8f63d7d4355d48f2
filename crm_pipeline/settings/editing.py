"""Adds connections, objects and mapped fields to the text of connections.yaml, and changes nothing else."""

import json
import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeGuard

import yaml

from crm_pipeline.settings.document import Document


def with_objects(
    document: Document, connection: str, names: Sequence[str], whole: Collection[str] = ()
) -> str:
    """Return the text of the document with these objects added to the connection's own.

    Those in `whole` get `{snapshot: true}`.

    Comments and order stay. A list in brackets becomes one with a line for each object.
    """
    node, column = document.node(("connections", connection, "objects"))
    text = document.text
    if not names or node is None:
        return text
    if _is_block(node):
        return _appended(text, node, names, whole)
    present = _present(node)
    is_mapping = isinstance(node, yaml.MappingNode)
    indent = " " * (column + 2)
    block = "".join(
        f"\n{indent}{line}"
        for line in (*present, *(_line(n, is_mapping, n in whole) for n in names))
    )
    start, end = node.start_mark.index, node.end_mark.index
    return text[:start].rstrip(" ") + block + text[end:]


def _is_block(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)


def _appended(text: str, node: yaml.Node, names: Sequence[str], whole: Collection[str]) -> str:
    is_mapping = isinstance(node, yaml.MappingNode)
    indent = " " * node.start_mark.column
    end = _last_leaf(node).end_mark.index
    line_end = text.find("\n", end)
    if line_end < 0:
        text, line_end = text + "\n", len(text)
    added = "".join(f"\n{indent}{_line(name, is_mapping, name in whole)}" for name in names)
    return text[:line_end] + added + text[line_end:]


def _last_leaf(node: yaml.Node) -> yaml.Node:
    if isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        last = node.value[-1]
        return _last_leaf(last[1] if isinstance(last, tuple) else last)
    return node


def _present(node: yaml.Node) -> list[str]:
    if isinstance(node, yaml.SequenceNode):
        return [f"- {_entry(item)}" for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return [f"{key.value}:{_options(value)}" for key, value in node.value]
    return []


def _entry(item: yaml.Node) -> str:
    if isinstance(item, yaml.MappingNode):
        [(key, value)] = item.value
        return f"{key.value}:{_options(value)}"
    return str(item.value)


def _options(value: yaml.Node) -> str:
    if not isinstance(value, yaml.MappingNode):
        return ""
    pairs = ", ".join(f"{key.value}: {_value(option)}" for key, option in value.value)
    return f" {{{pairs}}}"


def _value(option: yaml.Node) -> str:
    if isinstance(option, yaml.SequenceNode):
        return f"[{', '.join(json.dumps(str(item.value)) for item in option.value)}]"
    return str(option.value)


def _line(name: str, is_mapping: bool, is_whole: bool) -> str:
    quoted = name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) else f'"{name}"'
    if is_whole:
        quoted += ": {snapshot: true}"
    elif is_mapping:
        quoted += ":"
    return quoted if is_mapping else f"- {quoted}"


def with_connection(document: Document, name: str, entry: Mapping[str, Any]) -> str:
    """Return the text of the document with this connection added behind all others.

    Comments and order stay.
    """
    text = document.text
    node, _ = document.node(("connections",))
    if _is_flow(node):
        assert node is not None
        end = node.end_mark.index - 1
        return f"{text[:end].rstrip().rstrip(',')}, {name}: {json.dumps(entry)}{text[end:]}"
    column = 2
    if node is None:
        text = f"{text.rstrip()}\n\nconnections:\n" if text.strip() else "connections:\n"
    elif isinstance(node, yaml.MappingNode) and node.value:
        column = node.value[0][0].start_mark.column
    else:
        text = text[: node.start_mark.index].rstrip(" ") + text[node.end_mark.index :]
    block = yaml.safe_dump({name: dict(entry)}, sort_keys=False, allow_unicode=True, width=1000)
    gap = "\n" if node is None or text.rstrip().endswith("connections:") else "\n\n"
    return text.rstrip() + gap + textwrap.indent(block, " " * column)


def _is_flow(node: yaml.Node | None) -> bool:
    return isinstance(node, yaml.MappingNode) and bool(node.flow_style) and bool(node.value)


def with_mapping(
    document: Document, connection: str, obj: str, columns: Mapping[str, str | None]
) -> str:
    """Return the text of the document with more fields of an object mapped to columns; None is `null`.

    Comments and order stay. A field that is mapped already is not looked at: one key may stand only once.
    """
    entry, _ = document.node(("connections", connection))
    assert isinstance(entry, yaml.MappingNode)
    mapping, at = document.node(("connections", connection, "mapping"))
    own, own_at = document.node(("connections", connection, "mapping", obj))
    if _is_filled(own):
        return _with_pairs(document.text, own, columns)
    if own is not None:  # `Contact:` without a value, or {}
        return _with_value(document.text, own, own_at + 2, columns)
    nested = {obj: columns}
    if _is_filled(mapping):
        return _with_pairs(document.text, mapping, nested)
    if mapping is not None:
        return _with_value(document.text, mapping, at + 2, nested)
    return _with_pairs(document.text, entry, {"mapping": nested})


Pairs = Mapping[str, Any]


def _is_filled(node: yaml.Node | None) -> TypeGuard[yaml.MappingNode]:
    return isinstance(node, yaml.MappingNode) and bool(node.value)


def _with_pairs(text: str, node: yaml.MappingNode, pairs: Pairs) -> str:
    """Return the text with pairs added behind those of a mapping that has some."""
    if node.flow_style:
        end = node.end_mark.index - 1
        return f"{text[:end].rstrip().rstrip(',')}, {_flow(pairs)[1:-1]}{text[end:]}"
    end = _last_leaf(node).end_mark.index
    line_end = text.find("\n", end)
    if line_end < 0:
        text, line_end = text + "\n", len(text)
    block = textwrap.indent(_block(pairs), " " * node.value[0][0].start_mark.column)
    return f"{text[:line_end]}\n{block}{text[line_end:]}"


def _with_value(text: str, node: yaml.Node, indent: int, pairs: Pairs) -> str:
    """Return the text with pairs in place of an empty value."""
    start, end = node.start_mark.index, node.end_mark.index
    block = textwrap.indent(_block(pairs), " " * indent)
    return f"{text[:start].rstrip(' ')}\n{block}{text[end:].lstrip(' ')}"


def _block(pairs: Pairs) -> str:
    return yaml.safe_dump(dict(pairs), sort_keys=False, allow_unicode=True, width=1000).rstrip("\n")


def _flow(pairs: Pairs) -> str:
    shown = yaml.safe_dump(
        dict(pairs), sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=True
    )
    return shown.strip()
