"""llms.txt: the pages of the documentation, each with its first sentence, for programs that read them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from sources import ELSEWHERE

from reference.text import first_sentence

_ABOUT = "crm_pipeline"


class _Loader(yaml.SafeLoader):
    """YAML that leaves mkdocs' Python objects alone."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def llms(root: Path) -> str:
    """Return the file; its links are those of the repository."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    lines = [f"# {_ABOUT}", "", f"> {_paragraph(readme)}", ""]
    site = _site(root)
    for section, pages in _sections(yaml.load(site, Loader=_Loader)["nav"]):  # noqa: S506 - a SafeLoader
        lines += [f"## {section}", ""]
        for title, page in pages:
            source = _source(page)
            summary = first_sentence(_paragraph((root / source).read_text(encoding="utf-8")))
            lines.append(f"- [{title}]({source}): {summary}")
        lines.append("")
    return "\n".join(lines)


def _site(root: Path) -> str:
    return (root / "mkdocs.yml").read_text(encoding="utf-8")


def _sections(nav: list[Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    for entry in nav:
        [(title, below)] = entry.items()
        if isinstance(below, str):
            yield title, [(title, below)]
        else:
            yield title, [next(iter(page.items())) for page in below]


def _source(page: str) -> str:
    return ELSEWHERE.get(page, f"docs/{page}")


def _paragraph(text: str) -> str:
    """Return the first paragraph of a page, links as their words."""
    for block in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).split("\n\n"):
        if block.strip() and not block.startswith(("#", "!", "```", "|", "    ")):
            return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(block.split()))
    return ""
