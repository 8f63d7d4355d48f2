"""Hooks of mkdocs: pages that stand outside docs/, and links as they are written for the repository.

Every page reads well where it stands, so its links are relative to its own file. `README.md` becomes the
site's first page, and a link to `../CONTRIBUTING.md` leads to `contributing.md`. A link to a file that is no
page is an error unless it is an asset below docs/.
"""

import os
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from sources import ELSEWHERE, ROOT

_SOURCES: dict[str, str] = {}
_PAGES = {source: page for page, source in ELSEWHERE.items()}
_LINK = re.compile(r"(\]\(|\]:\s+)([^)\s#<>]+)(#[^)\s]*)?(?=[)\s])")
_FENCE = re.compile(r"^ *```", re.MULTILINE)
_LIST_ITEM = re.compile(r" *(?:[*+-]|\d+\.) ")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand outside docs/."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Return a page with links that hold on the site, and lists that Python-Markdown sees."""
    here = page.file.src_uri
    source = ELSEWHERE.get(here, f"docs/{here}")
    parts = _FENCE.split(markdown)
    parts[::2] = [
        with_lists(_LINK.sub(lambda m: _link(m, source, here), part)) for part in parts[::2]
    ]
    _SOURCES[here] = "```".join(parts)
    return _SOURCES[here]


def _link(match: re.Match[str], source: str, here: str) -> str:
    head, target, anchor = match[1], match[2], match[3] or ""
    if re.match(r"[a-z]+:", target):
        return match[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    if not (ROOT / path).is_file():
        raise PluginError(f"{source}: the link '{target}' leads to no file; looked for {path}.")
    page = _PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if page is None:
        raise PluginError(
            f"{source}: the link '{target}' leads to {path}, which is no page of the site. "
            "Name it as text, or add it to ELSEWHERE in .ci/site.py."
        )
    return f"{head}{posixpath.relpath(page, posixpath.dirname(here) or '.')}{anchor}"


def with_lists(text: str) -> str:
    """Return Markdown with an empty line before each list, which Python-Markdown needs and GitHub does not."""
    lines: list[str] = []
    for line in text.split("\n"):
        before = lines[-1] if lines else ""
        is_start = (
            _LIST_ITEM.match(line) and before.strip() and not before.startswith((" ", "|", "#"))
        )
        if is_start and not _LIST_ITEM.match(before):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Keep mkdocs and its theme from asking the network or advertising."""
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "true")
    return config


def on_post_build(config: MkDocsConfig, **_: Any) -> None:
    """Put llms.txt and the pages' Markdown beside the HTML, for programs that read them."""
    site = Path(config.site_dir)
    for name, markdown in _SOURCES.items():
        (site / name).write_text(markdown, encoding="utf-8")
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    (site / "llms.txt").write_text(
        _LINK.sub(lambda m: _link(m, "llms.txt", "llms.txt"), text), encoding="utf-8"
    )
