"""Markdown from values: heads of pages, cells of tables, sentences of docstrings."""

import inspect
import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Made from the code by `make docs`; changes by hand are lost. -->"


def page(title: str, intro: str, sections: Iterable[str]) -> str:
    """Return a page."""
    return "\n\n".join([f"# {title}", NOTE, intro, *sections]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, its cells on one line each."""
    lines = [head, ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Return a text that stays within one cell."""
    return " ".join(text.split()).replace("|", r"\|")


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring or paragraph."""
    flat = " ".join(text.split("\n\n", 1)[0].split())
    match = re.match(r"(.+?[.!?])(?=\s+[A-Z`*]|$)", flat)
    return match[1] if match else flat


def documentation(thing: object) -> str:
    """Return the docstring of an object, without the section of its arguments' types."""
    return inspect.cleandoc(inspect.getdoc(thing) or "")


def plain(text: str) -> str:
    """Return a text in which Markdown sees no tags (`<connection>` would vanish); code stays as it is."""
    parts = text.split("`")
    parts[::2] = [
        part.replace("<", "&lt;").replace("*", r"\*").replace("_", r"\_") for part in parts[::2]
    ]
    return "`".join(parts)
