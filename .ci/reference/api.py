"""The page of the Python API: what may be imported, and is kept by the policy of CONTRIBUTING.md."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from reference.text import documentation, page

FACES: Mapping[str, Sequence[str]] = {
    "crm_pipeline": (),  # what its `__all__` lists
    "crm_pipeline.client": ("Client", "connect"),
    "crm_pipeline.connectors.base": ("ObjectInfo", "Usage"),
    "crm_pipeline.model.schema": ("Schema", "Field"),
    "crm_pipeline.contracts": ("implies", "not_before"),
    "crm_pipeline.configuration": ("load_settings",),
    "crm_pipeline.store.tables.published": ("open_published",),
    "crm_sandbox": (),
}
"""Modules and their public names; everything else may move without notice."""
_INTRO = """\
The names that may be imported, and that [the policy](../../CONTRIBUTING.md#versions-and-deprecations) keeps. [From Python](../python.md) shows how
they are used, [contracts](../contracts.md) the rules for rows, [the sandbox](../../sandbox/README.md#in-tests) its fixtures; errors have
[a page of their own](errors.md). Everything else in the packages may move without notice."""


def api(_root: Path) -> str:
    """Return the page."""
    return page("Python API", _INTRO, [part for module in FACES for part in _module(module)])


def public(module: str) -> list[str]:
    """Return the public names of a module."""
    return list(FACES[module] or importlib.import_module(module).__all__)


def _module(name: str) -> Iterator[str]:
    module = importlib.import_module(name)
    yield f"## {name}"
    for exported in public(name):
        thing = getattr(module, exported)
        home = getattr(thing, "__module__", name)
        if not callable(thing):
            yield f"### `{exported}`\n\nA text, such as `{thing!r}`."
        elif home != name and exported in FACES.get(home, ()):
            yield f"### `{exported}`\n\nThat of [`{home}`](#{home.replace('.', '')})."
        else:
            yield from _described(exported, thing)


def _described(name: str, thing: Any) -> Iterator[str]:
    kind = "class " if inspect.isclass(thing) else ""
    yield f"### `{kind}{name}`"
    yield f"```text\n{name}{_signature(thing)}\n```"
    yield _docstring(documentation(thing))
    if inspect.isclass(thing):
        yield from _members(name, thing)


def _members(name: str, kind: type) -> Iterator[str]:
    for attribute, member in vars(kind).items():
        if attribute.startswith("_") or not (
            inspect.isfunction(member) or isinstance(member, property)
        ):
            continue
        signature = "" if isinstance(member, property) else _signature(member)
        text = inspect.cleandoc(member.__doc__ or "")
        yield f"#### `{name}.{attribute}{signature}`\n\n{_docstring(text)}"


def _signature(thing: Any) -> str:
    try:
        signature = str(inspect.signature(thing))
    except (TypeError, ValueError):
        return ""
    return (
        signature.replace("self, ", "")
        .replace("(self)", "()")
        .replace("collections.abc.", "")
        .replace("typing.", "")
        .replace("pathlib._local.", "")
        .replace("pathlib.", "")
        .replace("crm_pipeline.connectors.base.", "")
        .replace("crm_pipeline.model.schema.", "")
        .replace("crm_pipeline.client.", "")
    )


def _docstring(text: str) -> str:
    """Return a docstring in Google form as Markdown."""
    lines = []
    for line in text.split("\n"):
        head = line.strip()
        if head in {"Args:", "Returns:", "Raises:", "Attributes:", "Yields:"}:
            lines += ["", f"**{head.removesuffix(':')}**", ""]
        elif line.startswith("    ") and not line.startswith("     ") and ":" in head:
            name, _, meaning = head.partition(":")
            lines.append(f"* `{name}`:{meaning}")
        elif line.startswith("      ") and lines and lines[-1].startswith("* "):
            lines[-1] += f" {head}"
        else:
            lines.append(head)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
