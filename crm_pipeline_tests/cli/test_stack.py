import io
from collections.abc import Callable

import pytest
from rich.console import Console

from crm_pipeline.cli import console
from crm_pipeline.cli.stack import _watched


class Scripted:
    """A stack that tells one thing while it starts and one while it is up."""

    def __init__(self) -> None:
        self.urls = {"Dagster": "http://127.0.0.1:3000"}

    def start(self, progress: Callable[[str], object]) -> None:
        progress("starting Dagster")

    def wait(self, progress: Callable[[str], object]) -> None:
        progress("PostgreSQL was killed; it is there again")

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_happens_while_it_is_up_is_said(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    """In a terminal the start is a status that vanishes; what comes later is a line all the same."""
    written = io.StringIO()
    made = Console(file=written, force_terminal=is_terminal, highlight=False)
    monkeypatch.setattr(console, "notes", lambda: made)
    _watched(Scripted())  # type: ignore[arg-type]
    assert "PostgreSQL was killed; it is there again\n" in written.getvalue()
