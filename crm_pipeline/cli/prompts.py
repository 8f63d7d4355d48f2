"""Prompts for a person at a terminal; without a terminal the proposals are taken."""

import sys
from collections.abc import Callable, Mapping

import typer

from crm_pipeline.kernel.errors import ConfigError


def is_interactive() -> bool:
    """Say whether there is a person at a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Prompter:
    """Prompts on stderr, so that stdout holds results only.

    Args:
        asks: whether to prompt at all; if not, proposals are taken and questions answered with no.
    """

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def text(self, question: str, proposal: str, accepted: Callable[[str], str]) -> str:
        """Return an answer; prompt again where `accepted` refuses it with a ConfigError."""
        while True:
            answer = self._prompt(question, proposal)
            try:
                return accepted(answer.strip())
            except ConfigError as error:
                self.complain(error.message, error.cure)

    def choice(self, question: str, options: Mapping[str, str]) -> str:
        """Return one of the options, which are shown with their descriptions."""
        names = list(options)
        width = max(len(name) for name in names)
        for number, name in enumerate(names, 1):
            self.say(f"  {number}  {name:<{width}}  [dim]{options[name]}[/]")

        def accepted(answer: str) -> str:
            if answer.isascii() and answer.isdigit() and 0 < int(answer) <= len(names):
                return names[int(answer) - 1]
            if answer not in names:
                raise ConfigError(f"'{answer}' is none of these.", cure="Give a number or a name.")
            return answer

        return self.text(question, names[0], accepted)

    def confirms(self, question: str, *, proposal: bool) -> bool:
        """Return whether a question is answered with yes."""
        return self.asks and typer.confirm(question, default=proposal, err=True)

    def value(self, question: str, *, hidden: bool) -> str:
        """Return the value typed, "" for none; only the length of a secret is shown."""
        if not self.asks:
            return ""
        typed = typer.prompt(question, default="", show_default=False, hide_input=hidden, err=True)
        value = str(typed).strip()
        if hidden:
            self.say(f"  [dim]{f'read, {len(value)} characters' if value else 'left out'}[/]")
        return value

    def say(self, text: str) -> None:
        """Write a line beside the questions."""
        from crm_pipeline.cli.console import say

        say(text)

    def complain(self, problem: str, cure: str) -> None:
        """Write a problem and its cure beside the questions."""
        from crm_pipeline.cli.console import verbatim

        self.say(f"[red]{verbatim(problem)}[/] {verbatim(cure)}")

    def _prompt(self, question: str, proposal: str) -> str:
        return str(
            typer.prompt(question, default=proposal or None, show_default=bool(proposal), err=True)
        )
