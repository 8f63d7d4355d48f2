"""Writes secrets into .env: readable for its owner alone, never over a value, never in version control."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.store import files

_NAME = ".env"


def save(root: Path, secrets: Mapping[str, Secret]) -> list[str]:
    """Add secrets to the .env of a folder, with mode 0600; return lines about what else was done.

    Raises:
        ConfigError: a variable has a value there, or the file is in version control.
        StoreError: the file cannot be written; it is as it was.
    """
    path = (root / _NAME).resolve()
    before = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    existing = _values(path) if before else {}
    if taken := sorted(name for name in secrets if existing.get(name)):
        raise ConfigError(
            f"{path} holds {', '.join(taken)} already; nothing was written.",
            cure="Change the file by hand.",
        )
    done = _kept_out_of_git(root)
    gap = "\n" if before and not before.endswith("\n") else ""
    lines = "".join(f"{name}={_quoted(secret)}\n" for name, secret in secrets.items())
    with files.replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(before + gap + lines, encoding="utf-8")
        wanted = existing | {name: secret.reveal() for name, secret in secrets.items()}
        if _values(temporary) != wanted:
            raise ConfigError(
                f"the secrets cannot be written into {path} so that they are read back the same; "
                "nothing was written.",
                cure="Look for a quote that is not closed in the file, or put the secrets there by hand.",
            )
    return done


def _kept_out_of_git(root: Path) -> list[str]:
    """Make sure that git ignores the file.

    Raises:
        ConfigError: git has it already.
    """
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return []
    if _git(root, "ls-files", "--error-unmatch", _NAME):
        raise ConfigError(
            f"{root / _NAME} is in version control, where secrets do not belong; nothing was written.",
            cure="Take it out with `git rm --cached .env`, add .env to .gitignore, and treat what it "
            "held as exposed.",
        )
    if _git(root, "check-ignore", "--quiet", _NAME):
        return []
    ignored = root / ".gitignore"
    text = ignored.read_text(encoding="utf-8") if ignored.exists() else ""
    gap = "\n" if text and not text.endswith("\n") else ""
    with files.replacing(ignored, is_the_users=True) as temporary:
        temporary.write_text(f"{text}{gap}{_NAME}\n", encoding="utf-8")
    return [f"added {_NAME} to {ignored}, so that it stays out of version control"]


def _git(root: Path, *arguments: str) -> bool:
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _quoted(secret: Secret) -> str:
    value = secret.reveal().replace("\\", "\\\\").replace("'", "\\'")
    return f"'{value}'"


def _values(path: Path) -> dict[str, str | None]:
    return dict(dotenv_values(path, interpolate=False, encoding="utf-8-sig"))
