"""Pages of the documentation that are made from the code: docs/reference/ and llms.txt.

`make docs` writes them (`python .ci/reference`); a test fails where one is not current. They say what there
is; why and when to use it stands on the pages that people write.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.api import FACES, api
from reference.api import public as api_public
from reference.commands import commands, leaves, program
from reference.errors import classes as errors_classes
from reference.errors import errors
from reference.errors import texts as errors_texts
from reference.llms import llms
from reference.settings import keys as settings_keys
from reference.settings import settings

__all__ = [
    "FACES",
    "PAGES",
    "api_public",
    "errors_classes",
    "errors_texts",
    "program",
    "settings_keys",
]

ROOT = Path(__file__).parents[2]
PAGES: Mapping[str, Callable[[Path], str]] = {
    "docs/reference/commands.md": commands,
    "docs/reference/settings.md": settings,
    "docs/reference/errors.md": errors,
    "docs/reference/api.md": api,
    "llms.txt": llms,  # the last one: it quotes the others
}


def stale(root: Path = ROOT, pages: Iterable[str] = PAGES) -> list[str]:
    """Return the pages that differ from what the code says."""
    return [page for page in pages if _text(root / page) != PAGES[page](root)]


def verbs() -> dict[str, Any]:
    """Return every verb of `crm-pipeline` that does something, with its command, by its whole name."""
    return dict(leaves(program(), "crm-pipeline"))


def write(root: Path = ROOT) -> list[str]:
    """Write the pages that are not current, and return their names."""
    written = []
    for page, make in PAGES.items():
        text = make(root)
        if _text(root / page) != text:
            (root / page).write_text(text, encoding="utf-8")
            written.append(page)
    return written


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
