"""The page of the commands: every verb of `crm-pipeline` and `crm-sandbox`, and every option."""

import argparse
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import typer

from crm_pipeline.cli.app import app
from crm_sandbox.cli import _parser as sandbox_parser
from reference.text import page, plain, table

_INTRO = """\
What every command takes; `crm-pipeline COMMAND --help` shows the same. [Operations](../operations.md#commands) says in a line
each what they are for, how they exit, and which of them have `--json`. `--debug`, anywhere in the line, adds the traceback of a failure."""


def commands(_root: Path) -> str:
    """Return the page."""
    return page("Commands", _INTRO, [*_verbs(program(), "crm-pipeline"), *_sandbox()])


@cache
def program() -> Any:
    """Return `crm-pipeline` as click's command."""
    return typer.main.get_command(app)


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every verb that does something, by its whole name."""
    if hasattr(command, "commands"):
        if command.invoke_without_command:
            yield name, command
        for verb, below in command.commands.items():
            yield from leaves(below, f"{name} {verb}")
    else:
        yield name, command


def _verbs(root: Any, name: str) -> Iterator[str]:
    for verb, command in leaves(root, name):
        parts = [f"## {verb}", _help(command.help or "")]
        rows = [_row(parameter) for parameter in command.params if not _is_hidden(parameter)]
        if rows:
            parts.append(table(["argument or option", "default", "meaning"], rows))
        yield "\n\n".join(parts)


def _is_hidden(parameter: Any) -> bool:
    return parameter.hidden or parameter.name == "help"


def _help(text: str) -> str:
    """Return a help text in Markdown: paragraphs, and examples as a block."""
    parts = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("  "):
            parts.append(f"```sh\n{inspect.cleandoc(paragraph)}\n```")
        elif paragraph.strip():
            parts.append(plain(" ".join(paragraph.split())))
    return "\n\n".join(parts)


def _row(parameter: Any) -> list[str]:
    is_option = parameter.opts[0].startswith("-")
    if is_option:
        value = "" if parameter.is_flag else f" {parameter.metavar or _kind(parameter)}"
        shown = ", ".join(
            f"`{name}{value}`" for name in [*parameter.opts, *parameter.secondary_opts]
        )
    else:
        shown = f"`{parameter.metavar or parameter.name.upper()}`"
    return [shown, _default(parameter), plain(parameter.help or "")]


def _kind(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    names = {int: "NUMBER", float: "NUMBER", Path: "PATH"}
    return next(
        (name for kind, name in names.items() if str(kind.__name__) in str(annotation)), "TEXT"
    )


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    if value in (None, False, "", ()) or callable(value):
        return ""
    return f"`{value}`"


def _sandbox() -> Iterator[str]:
    for action in sandbox_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            words = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for verb, parser in action.choices.items():
                rows = [
                    [
                        ", ".join(
                            f"`{name}{f' {option.metavar}' if option.metavar else ''}`"
                            for name in option.option_strings
                        ),
                        "" if option.default in (None, []) else f"`{option.default}`",
                        plain(option.help or ""),
                    ]
                    for option in parser._actions
                    if option.dest != "help"
                ]
                yield "\n\n".join(
                    [
                        f"## crm-sandbox {verb}",
                        plain(words[verb].capitalize()) + ".",
                        table(["option", "default", "meaning"], rows),
                    ]
                )
