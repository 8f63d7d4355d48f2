"""Questions to a person at a terminal; where there is none, what was proposed is taken."""

import sys
from collections.abc import Callable, Mapping

import typer

from crm_pipeline.kernel.errors import ConfigError


def is_interactive() -> bool:
    """Say whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Prompter:
    """Asks on stderr, so that stdout holds results only.

    Args:
        asks: whether to ask at all; without, proposals are taken and questions answered with no.
    """

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def text(self, question: str, proposal: str, accepted: Callable[[str], str]) -> str:
        """Return an answer; one that `accepted` refuses with a ConfigError is asked for again."""
        while True:
            answer = self._answer(question, proposal)
            try:
                return accepted(answer.strip())
            except ConfigError as error:
                self.complain(_short(error.message), error.cure)

    def choice(self, question: str, options: Mapping[str, str]) -> str:
        """Return one of the options, which are shown with what is said about each."""
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
        """Return what is typed, "" for nothing; a secret is not shown, only that it has arrived."""
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

    def complain(self, what: str, cure: str) -> None:
        """Write what is wrong, and what to do, beside the questions."""
        from crm_pipeline.cli.console import verbatim

        self.say(f"[red]{verbatim(what)}[/] {verbatim(cure)}")

    def _answer(self, question: str, proposal: str) -> str:
        return str(
            typer.prompt(question, default=proposal or None, show_default=bool(proposal), err=True)
        )


def _short(message: str) -> str:
    """Leave the file and the line out: what is wrong has only just been typed."""
    place, _, rest = message.partition(": ")
    return rest if rest and "connections.yaml" in place else message
