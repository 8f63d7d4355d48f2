"""The files of a new project, as data of this package. `crm-pipeline init` writes them.

Files that the repository uses itself (connections.yaml, dagster.yaml, the docs) are links to it here, and
files in the wheel. This module imports nothing of the package.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

# Where each file goes in a project, and its name here: names with a dot in front would be left out of the wheel.
_ALWAYS: Mapping[str, str] = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "dagster.yaml": "dagster.yaml",
    "workspace.yaml": "workspace.yaml",
    "workspace.docker.yaml": "workspace.docker.yaml",
    "Dockerfile": "Dockerfile",
    "docker-compose.yaml": "docker-compose.yaml",
    "constraints.txt": "constraints.txt",
    ".dockerignore": "dockerignore",
    ".gitignore": "gitignore",
    "contracts/README.md": "contracts.md",
}
# The last file that is written is the one that makes a folder a project.
_WITH_SANDBOX: Mapping[str, str] = {
    ".env.example": "env.example",
    "connections.yaml": "connections.yaml",
}
_WITHOUT: Mapping[str, str] = {
    ".env.example": "env_empty.example",
    "connections.yaml": "connections_empty.yaml",
}
# Pages link to those of the other folders.
_PAGES = {"docs": ".md", "docs/analysts": ".sql", "docs/decisions": ".md", "docs/reference": ".md"}


def project_files(version: str, *, sandbox: bool) -> Mapping[str, str]:
    """Return the texts of a new project's files by their paths in it, in the order in which they are written.

    Args:
        version: of this package, which the files name.
        sandbox: whether the connections are emulated accounts; without, the file holds a commented example.
    """
    extra = "[sandbox]" if sandbox else ""
    texts = dict(_pages())
    for path, name in {**_ALWAYS, **(_WITH_SANDBOX if sandbox else _WITHOUT)}.items():
        text = project_file(name)
        texts[path] = text.replace("@VERSION@", version).replace("@EXTRA@", extra)
    return texts


def project_file(name: str) -> str:
    """Return the text of one file, by its name here."""
    return _folder().joinpath(name).read_text(encoding="utf-8")


def _pages() -> Iterator[tuple[str, str]]:
    """Yield the docs, which error texts refer to."""
    for folder, suffix in _PAGES.items():
        entries = _folder().joinpath(folder).iterdir()
        for page in sorted(entries, key=lambda entry: entry.name):
            if page.name.endswith(suffix):
                yield f"{folder}/{page.name}", _within(folder, page.read_text(encoding="utf-8"))


def _within(folder: str, page: str) -> str:
    """Return a page without pictures, and with the words only of links that lead out of the docs."""
    up = r"\.\./" * len(folder.split("/"))
    return re.sub(rf"\[([^\]]+)\]\({up}[^)]*\)", r"\1", re.sub(r"(?m)^!\[.*\)\n+", "", page))


def _folder() -> Traversable:
    return files(__package__).joinpath("files")
