"""Tokens of query languages, and the reader that parsers by recursive descent are built on."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One token; its kind is the name of the group that matched."""

    kind: str
    text: str


def split(
    text: str, pattern: re.Pattern[str], end: int, unreadable: Callable[[str], Exception]
) -> list[Token]:
    """Split a query into tokens.

    Args:
        text: the query.
        pattern: matches one token and the space before it, in a group named after its kind.
        end: where the query ends.
        unreadable: makes the error for a text that begins with no token.

    Raises:
        Exception: the error of `unreadable`.
    """
    tokens: list[Token] = []
    position = 0
    while position < end:
        match = pattern.match(text, position, end)
        if match is None:
            raise unreadable(text[position:])
        kind = match.lastgroup or ""
        tokens.append(Token(kind, match.group(kind)))
        position = match.end()
    return tokens


class TokenReader:
    """Reads tokens one by one.

    Args:
        tokens: of the query.
        end: the text of the token that follows the last one.
    """

    def __init__(self, tokens: list[Token], end: str = "") -> None:
        self._tokens = tokens
        self._end = Token("end", end)
        self._at = 0

    @property
    def _now(self) -> Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else self._end

    def _next(self) -> Token:
        token = self._now
        self._at += 1
        return token

    def _is(self, *words: str) -> bool:
        return self._now.kind in {"word", "sign"} and self._now.text.upper() in words

    def _took(self, *words: str) -> bool:
        if self._is(*words):
            self._at += 1
            return True
        return False
