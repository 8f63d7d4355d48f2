"""The code blocks of the documentation, each with its page, line and language."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r" *```(\w*)")
_INDENTED = re.compile(r"    \S")


@dataclass(frozen=True)
class Block:
    """A block of code; `language` is what its fence says, "" without one."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return every page of the product that people read; the sandbox's own tests read the sandbox's."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


@cache
def blocks() -> tuple[Block, ...]:
    """Return the blocks of all pages."""
    return tuple(
        block
        for page in pages()
        for block in blocks_of(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))
    )


def of(*languages: str) -> list[Block]:
    """Return the blocks in a language."""
    return [block for block in blocks() if block.language in languages]


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of a page; text that is indented like code counts, without a language."""
    lines = iter(enumerate(text.splitlines(), 1))
    before = ""
    for number, line in lines:
        if fence := _FENCE.match(line):
            body = []
            for _, inside in lines:
                if inside.strip() == "```":
                    break
                body.append(inside)
            yield Block(page, number + 1, fence[1], textwrap.dedent("\n".join(body)))
        elif _INDENTED.match(line) and not before.strip():
            yield Block(page, number, "", line.strip())
        before = line


def prose() -> Iterator[tuple[str, str]]:
    """Yield what stands between backticks in running text, with its page."""
    for page in pages():
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", text):
            yield str(page.relative_to(ROOT)), code
