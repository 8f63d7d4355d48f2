"""The page of errors: every class, and every text with its cure, as they stand in the source."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crm_pipeline.cli.failures import FAILED, INTERRUPTED, UNEXPECTED, USAGE
from crm_pipeline.kernel import errors as tree
from reference.text import cell, documentation, first_sentence, page, plain, table

_INTRO = f"""\
An error is one paragraph: what is wrong, what was expected, and what to do (its *cure*). Exit codes of commands: 0 done, {FAILED} failed, {USAGE} wrong
usage or configuration, {UNEXPECTED} a bug in this package, {INTERRUPTED} interrupted. In Python every error is a `crm_pipeline.kernel.errors.CrmError`, whose `cure` is a
text of its own.

To find what a message means, search this page for words of it that are not a name, a number or the vendor's: those are shown as `…` here."""
_MOST_CHARACTERS = 400


@dataclass(frozen=True)
class Text:
    """An error of the source: the class that is raised (or the function that makes it), its text and its cure."""

    module: str
    raised: str
    message: str
    cure: str


def errors(root: Path) -> str:
    """Return the page."""
    sections = ["## Classes", table(["class", "is a", "when"], _classes()), "## Texts and cures"]
    by_module: dict[str, list[Text]] = {}
    for text in texts(root / "crm_pipeline"):
        by_module.setdefault(text.module, []).append(text)
    for module, found in by_module.items():
        rows = [(f"`{text.raised}`", plain(text.message), plain(text.cure)) for text in found]
        sections.append(f"### {module}\n\n{table(['raised', 'text', 'cure'], rows)}")
    return page("Errors", _INTRO, sections)


def classes() -> list[type[tree.CrmError]]:
    """Return the classes of errors in the order of their module."""
    found = [thing for thing in vars(tree).values() if inspect.isclass(thing)]
    return [thing for thing in found if issubclass(thing, tree.CrmError)]


def _classes() -> Iterator[list[str]]:
    for kind in classes():
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        yield [f"`{kind.__name__}`", bases, first_sentence(documentation(kind))]


@cache
def texts(folder: Path) -> tuple[Text, ...]:
    """Return every call that gives a `cure`, in the order of the source."""
    return tuple(_texts(folder))


def _texts(folder: Path) -> Iterator[Text]:
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        )
        written = path.read_text(encoding="utf-8")
        if "cure=" not in written:
            continue
        source = ast.parse(written)
        constants = {
            target.id: node.value
            for node in source.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        seen = set()
        calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
        for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
            text = _text(module, call, constants)
            if text and text not in seen:
                seen.add(text)
                yield text


def _text(module: str, call: ast.Call, constants: dict[str, ast.expr]) -> Text | None:
    cure = next((keyword.value for keyword in call.keywords if keyword.arg == "cure"), None)
    if cure is None:
        return None
    said = next(
        (_words(argument, constants) for argument in call.args if _is_text(argument, constants)),
        "…",
    )
    cured = _words(cure, constants)
    if not said.strip("… .") and not cured.strip("… ."):
        return None  # a function that passes both on; its callers are listed
    return Text(
        module, _raised(call), cell(said)[:_MOST_CHARACTERS], cell(cured)[:_MOST_CHARACTERS]
    )


def _raised(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    return "its own" if name.startswith("super()") else name.rsplit(".", 1)[-1]


def _is_text(node: ast.expr, constants: dict[str, ast.expr]) -> bool:
    return bool(_words(node, constants).strip("… "))


def _words(node: ast.expr, constants: dict[str, ast.expr]) -> str:
    """Return a text of the source with `…` for what is known only when it is raised."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_words(part, constants) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left, constants) + _words(right, constants)
        case ast.IfExp(body=body, orelse=other):
            return " / ".join(filter(None, (_words(body, constants), _words(other, constants))))
        case ast.Name(id=name) if name in constants:
            return _words(constants[name], {})
        case ast.Call(func=ast.Attribute(value=value, attr="format")):
            return _words(value, constants)
        case _:
            return "…"
