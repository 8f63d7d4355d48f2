import io
from collections.abc import Callable

import pytest
from rich.console import Console

from crm_pipeline.cli import console
from crm_pipeline.cli.stack import _run


class Scripted:
    """A stack that reports one line while it starts and one while it is up."""

    def __init__(self) -> None:
        self.urls = {"Dagster": "http://127.0.0.1:3000"}

    def start(self, progress: Callable[[str], object]) -> None:
        progress("starting Dagster")

    def wait(self, progress: Callable[[str], object]) -> None:
        progress("PostgreSQL was killed; it is there again")

    def stop(self) -> None:
        pass


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_while_it_is_up_is_shown(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    """In a terminal the start is a status that vanishes; later progress is shown as lines."""
    written = io.StringIO()
    shown = Console(file=written, force_terminal=is_terminal, highlight=False)
    monkeypatch.setattr(console, "notes", lambda: shown)
    _run(Scripted())  # type: ignore[arg-type]
    assert "PostgreSQL was killed; it is there again\n" in written.getvalue()
