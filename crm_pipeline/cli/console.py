"""The output of commands: results on stdout, everything else on stderr."""

import inspect
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TextIO

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.text import printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

_UNFOLDED = 400


def flowing(text: str) -> str:
    """Join the lines of each paragraph but indented ones, as the help screen wraps by itself."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(p if p.startswith("  ") else p.replace("\n", " ") for p in paragraphs)


def output() -> "Console":
    """Return the console of results."""
    return _console(is_terminal=sys.stdout.isatty())


def notes() -> "Console":
    """Return the console of progress, hints and warnings."""
    return _console(is_terminal=sys.stderr.isatty(), stderr=True)


def screen(terminal: TextIO) -> "Console":
    """Return a console on a terminal that was opened apart, whatever stderr is."""
    return _console(is_terminal=True, file=terminal)


def _console(*, is_terminal: bool, stderr: bool = False, file: TextIO | None = None) -> "Console":
    """Return a console that removes control characters from texts."""
    from rich.console import Console

    class Guarded(Console):
        def render(
            self, renderable: "RenderableType", options: "ConsoleOptions | None" = None
        ) -> "Iterable[Segment]":
            for segment in super().render(renderable, options):
                guarded = (
                    segment if segment.control else segment._replace(text=printable(segment.text))
                )
                yield guarded

    # Output into a file or a pipe is not folded at a terminal's width. In keys such as zoho:Notes:1 is no emoji.
    width = None if is_terminal else _UNFOLDED
    return Guarded(file=file, stderr=stderr, highlight=False, emoji=False, width=width)


def verbatim(text: str) -> str:
    """Return a foreign text for `say`, with its square brackets escaped."""
    from rich.markup import escape

    return escape(printable(text))


def say(text: str) -> None:
    """Write a line to stderr; square brackets are rich's markup."""
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

    # Titles and headings come from accounts as well: their square brackets are no markup.
    titled = Text(printable(title)) if title else None
    grid = Table(title=titled, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if index in numbers else "left"
        grid.add_column(Text(printable(column)), justify=justify, overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    return grid


def shown(value: Any) -> str:
    """Return a value as text for people."""
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
    return printable(str(value))


def emit_json(value: Any) -> None:
    """Write a value to stdout as JSON for scripts."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=plain) + "\n")


def emit_json_rows(records: Iterable[Any]) -> None:
    """Write values to stdout as a JSON list, one at a time, in the form of `emit_json`."""
    separator = "[\n  "
    for record in records:
        text = _json(record)
        sys.stdout.write(separator + text.replace("\n", "\n  "))
        separator = ",\n  "
    sys.stdout.write("[]\n" if separator.startswith("[") else "\n]\n")


def _json(value: Any) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=plain, allow_nan=False)
    except (ValueError, TypeError):
        return json.dumps(_fit(value), indent=2, ensure_ascii=False, default=plain)


def _fit(value: Any) -> Any:
    """Return a value with texts in place of numbers and keys that JSON does not have."""
    if isinstance(value, dict):
        keys = [key if isinstance(key, str) else str(plain(key)) for key in value]
        return dict(zip(keys, map(_fit, value.values()), strict=True))
    if isinstance(value, (list, tuple)):
        return [_fit(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def plain(value: Any) -> Any:
    """Return the JSON value for a value of another type."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return format_instant(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        # A number if a JSON number keeps it exactly, else a text.
        number = float(value)
        return number if Decimal(repr(number)) == value else str(value)
    return str(value)


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show a spinner in a terminal, nothing elsewhere."""
    console = notes()
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield
