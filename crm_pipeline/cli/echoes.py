"""Removes lines that Dagster writes to stderr about an error that the command reports itself."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

_ECHOES = (
    "Exception while storing event batch: ",
    "Falling back to storing multiple single-event storage requests",
    "Exception while writing logger call to event log: ",
)


@contextmanager
def without_echoes() -> Iterator[None]:
    """Drop Dagster's lines about its storage from stderr; the command reports the same error itself."""
    before = sys.stderr
    sys.stderr = ours = cast("TextIO", _WithoutEchoes(before))
    try:
        yield
    finally:
        if sys.stderr is ours:  # Ctrl-C may have replaced it
            sys.stderr = before


class _WithoutEchoes:
    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text unless it is one of Dagster's lines."""
        return len(text) if text.startswith(_ECHOES) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
