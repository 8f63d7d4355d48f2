"""Command lines in texts, and whether `crm-pipeline` takes them."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import typer

from crm_pipeline.cli import _debug_first
from crm_pipeline_tests.docs.made import reference

_SEPARATORS = re.compile(r"\s(?:&&|\|\||\||;|&)(?:\s|$)")
_NESTED = re.compile(r"\$\(([^()]*)\)")
_ASSIGNMENT = re.compile(r"[A-Z]\w*=\S*")
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # which typer does not export
_OURS = re.compile(r"(?:\.venv/bin/)?crm-pipeline")


def simple_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every command of a shell block: its lines, pipes, and those within `$(...)`."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in joined.splitlines():
        if _balanced(line):
            for nested in _NESTED.findall(line):
                yield from simple_commands(nested)
            for part in _SEPARATORS.split(line):
                if words := _words(part):
                    yield words


def _balanced(line: str) -> bool:
    return line.count("'") % 2 == 0 and line.count('"') % 2 == 0


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(_NESTED.sub("NESTED", line), comments=True)
    except ValueError:
        words = line.split()
    if any(word in {">", ">>", "<"} for word in words):
        words = words[: min(words.index(word) for word in (">", ">>", "<") if word in words)]
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words = words[1:]
    return words


def is_ours(words: list[str]) -> bool:
    """Tell whether a command runs `crm-pipeline`."""
    return bool(_OURS.fullmatch(words[0]))


def refused(words: list[str], *, is_whole: bool) -> str:
    """Return why `crm-pipeline` refuses a command line, or "".

    Args:
        words: the program and its arguments.
        is_whole: it stands as somebody would run it; in running text arguments may be missing.
    """
    command: Any = reference().program()
    arguments = _debug_first(words[1:])
    while arguments and arguments[0] == "--debug":
        arguments = arguments[1:]
    if arguments[:1] == ["COMMAND"]:
        return ""  # it stands for all of them
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        if arguments[0] not in command.commands:
            return f"{' '.join(words)}: there is no command '{arguments[0]}'"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if arguments == ["--help"] or (not is_whole and not arguments):
        return ""
    try:
        command.make_context(words[0], list(arguments))
    except typer.Exit:
        return ""
    except _UsageError as error:
        if not is_whole and "Missing" in type(error).__name__:
            return ""
        return f"{' '.join(words)}: {getattr(error, 'message', error)}"
    return ""
