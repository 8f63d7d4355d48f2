"""`init`: a new project in an empty folder."""

import importlib.util
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from crm_pipeline.kernel.errors import ConfigError, StoreError

# What people and their programs have in a folder before the project comes: a repository, a venv, an editor's notes.
_MAY_BE_THERE = frozenset(
    (".git", ".venv", "venv", ".python-version", "pyproject.toml", "uv.lock", "requirements.txt")
)
_EDITORS = frozenset((".idea", ".vscode", ".DS_Store"))
_WHEELS = "wheels"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; made if missing.")],
) -> None:
    """Make a project: connections.yaml, Dagster's files, a Makefile, Docker files, the docs.

    With the sandbox installed (`pip install "crm-pipeline[sandbox]"`) the connections are its emulated accounts,
    so that `demo` and `up` work at once; without it the file holds an example to fill in. Nothing is ever
    written over: the folder has to be empty, but for what git, editors and virtual environments put there. An
    `init` that was interrupted is finished by the same command.

    For instance:

      crm-pipeline init crm && cd crm && crm-pipeline demo
      crm-pipeline init .
    """
    from crm_pipeline import __version__
    from crm_pipeline.cli.console import output, verbatim
    from crm_pipeline.project import project_files

    has_sandbox = importlib.util.find_spec("crm_sandbox") is not None
    texts = project_files(__version__, sandbox=has_sandbox)
    root = folder.expanduser().resolve()
    written = _write(root, texts)
    console = output()
    console.print(
        f"{verbatim(str(root))} is a project of crm-pipeline {__version__}; {written} files written."
        if written
        else f"{verbatim(str(root))} is such a project already; nothing was written."
    )
    for line in _next(root, has_sandbox=has_sandbox):
        console.print(verbatim(line), soft_wrap=True)


def _write(root: Path, texts: Mapping[str, str]) -> int:
    """Write the files that are missing; return how many.

    Raises:
        ConfigError: something else is there.
        StoreError: a file cannot be written.
    """
    if not str(root).isprintable():
        raise ConfigError(
            f"{str(root)!r} has characters in its name that are not printed; nothing was written.",
            cure="Choose another name: PostgreSQL does not start in such a folder.",
        )
    try:
        if foreign := sorted(_foreign(root, texts)):
            raise _refused(root, foreign)
        missing = {path: text for path, text in texts.items() if not (root / path).exists()}
        for path, text in missing.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            with (root / path).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise StoreError(
            f"{error.filename or root} cannot be written: {error.strerror}.",
            cure="Choose a folder that this user may write, then run the command again.",
        ) from error
    return len(missing)


def _foreign(root: Path, texts: Mapping[str, str]) -> Iterable[str]:
    """Yield what is in the folder and not from an `init` of this version."""
    if root.exists() and not root.is_dir():
        yield "."
        return
    folders = {path.rpartition("/")[0] for path in texts}
    for parent in ("", *sorted(folders - {""})):
        entries = (root / parent).iterdir() if (root / parent).is_dir() else ()
        for entry in entries:
            name = entry.relative_to(root).as_posix()
            is_ours = name in folders or (name in texts and _holds(entry, texts[name]))
            if not is_ours and name not in _MAY_BE_THERE | _EDITORS | {_WHEELS}:
                yield name


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _refused(root: Path, foreign: list[str]) -> ConfigError:
    if foreign == ["."]:
        return ConfigError(f"{root} is a file.", cure="Name a folder that does not exist yet.")
    if (root / "connections.yaml").exists():
        return ConfigError(
            f"{root} is a project already; nothing was written.",
            cure="Its commands work as it is: `crm-pipeline status`. For a second project name another folder.",
        )
    more = f" and {len(foreign) - 3} more" if len(foreign) > 3 else ""
    return ConfigError(
        f"{root} is not empty ({', '.join(foreign[:3])}{more}); nothing was written.",
        cure="Name a folder that does not exist yet; a project wants one of its own.",
    )


def _next(root: Path, *, has_sandbox: bool) -> Iterable[str]:
    """Yield what to do now."""
    if root != Path.cwd():
        shown = root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root
        yield f"  cd {shlex.quote(str(shown))}"
    if has_sandbox:
        yield "  crm-pipeline demo    reads the emulated accounts and shows what came out"
        yield "  crm-pipeline up      the Dagster UI"
    yield "  crm-pipeline add     your own account"
    if not has_sandbox:
        yield "The sandbox is not installed: `pip install 'crm-pipeline[sandbox]'` brings emulated accounts."
    home = os.environ.get("CRM_HOME")
    if home and Path(home).expanduser().resolve() != root:
        yield f"CRM_HOME is set to {home}, and commands work there: unset it first."
