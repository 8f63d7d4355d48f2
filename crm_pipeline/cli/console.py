"""Where commands write: results to stdout, everything that accompanies them to stderr."""

import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crm_pipeline.kernel.clock import format_instant

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_UNFOLDED = 400


def flowing(text: str) -> str:
    """Join the lines of each paragraph but indented ones, as the help screen wraps by itself."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(p if p.startswith("  ") else p.replace("\n", " ") for p in paragraphs)


def output() -> "Console":
    """Return the console of results."""
    from rich.console import Console

    # What goes into a file or a pipe is not folded at some terminal's width.
    return Console(highlight=False, width=None if sys.stdout.isatty() else _UNFOLDED)


def notes() -> "Console":
    """Return the console of what accompanies results: progress, hints, warnings."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNFOLDED)


def say(text: str) -> None:
    """Write a line of company to stderr; square brackets are rich's markup."""
    notes().print(text)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    numbers: Sequence[int] = (),
) -> "RenderableType":
    """Return a table; `numbers` are the columns that are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    return made


def shown(value: Any) -> str:
    """Return a value as a person wants to see it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal):
        whole, _, part = f"{value:,f}".partition(".")
        return f"{whole}.{part.rstrip('0'):0<2}" if part else whole
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return str(value)


def emit_json(value: Any) -> None:
    """Write a value to stdout as JSON for scripts."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=plain) + "\n")


def plain(value: Any) -> Any:
    """Return what JSON has for a value that it does not have."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_instant(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        # A number where a JSON number keeps it whole, a text where it would not.
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    return str(value)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something takes a moment: a spinner in a terminal, nothing elsewhere."""
    console = notes()
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield
