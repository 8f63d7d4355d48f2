"""Pages of the documentation that are made from the code: docs/reference/ and llms.txt.

`make docs` writes them (`python .ci/reference`); a test fails where one is not current. They say what there
is; why and when to use it stands on the pages that people write.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.api import api
from reference.commands import commands
from reference.errors import errors
from reference.llms import llms
from reference.settings import settings

ROOT = Path(__file__).parents[2]
PAGES: Mapping[str, Callable[[Path], str]] = {
    "docs/reference/commands.md": commands,
    "docs/reference/settings.md": settings,
    "docs/reference/errors.md": errors,
    "docs/reference/api.md": api,
    "llms.txt": llms,  # the last one: it quotes the others
}


def stale(root: Path = ROOT) -> list[str]:
    """Return the pages that differ from what the code says."""
    return [page for page, make in PAGES.items() if _text(root / page) != make(root)]


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
