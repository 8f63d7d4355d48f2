"""Query languages read by recursive descent: the tokens, and where the reader stands among them."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One token with its kind, the name of the group that it matched."""

    kind: str
    text: str


def split(
    text: str, pattern: re.Pattern[str], end: int, unreadable: Callable[[str], Exception]
) -> list[Token]:
    """Split a query into tokens.

    Args:
        text: the query.
        pattern: matches one token with what stands before it, in a group named after its kind.
        end: where the query ends.
        unreadable: makes the error for what is no token, from the text that is left.

    Raises:
        Exception: the error of `unreadable`.
    """
    found: list[Token] = []
    position = 0
    while position < end:
        match = pattern.match(text, position, end)
        if match is None:
            raise unreadable(text[position:])
        kind = match.lastgroup or ""
        found.append(Token(kind, match.group(kind)))
        position = match.end()
    return found


class TokenReader:
    """Goes through tokens one by one.

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
