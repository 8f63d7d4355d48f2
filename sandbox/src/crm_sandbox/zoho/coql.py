"""COQL: one SELECT as a tree.

Grammar: https://www.zoho.com/crm/developer/docs/api/v8/COQL-Overview.html and `COQL-Limitations.html`.
Whether the names exist is decided in `coql_plan.py`.
"""

import re
from dataclasses import dataclass

from crm_sandbox.http import is_number
from crm_sandbox.kernel.tokens import Token, TokenReader, split
from crm_sandbox.zoho.conditions import Comparison, Condition, Junction
from crm_sandbox.zoho.errors import ZohoError

FUNCTIONS = ("SUM", "MAX", "MIN", "AVG", "COUNT")
DEFAULT_LIMIT = 200
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:\\.|''|[^'\\])*'|"(?:\\.|[^"\\])*")
    |(?P<date>\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)?)?)
    |(?P<number>[+-]?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*)
    |(?P<sign>!=|<>|<=|>=|[=<>(),])
    )""",
    re.VERBOSE,
)
_RESERVED = {
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "ORDER",
    "BY",
    "LIMIT",
    "OFFSET",
    "AND",
    "OR",
    "AS",
}


@dataclass(frozen=True)
class Item:
    """One thing selected: a path, or an aggregate of it."""

    path: str
    function: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Query:
    """A whole SELECT.

    Attributes:
        order: paths, each with whether it goes down.
    """

    items: tuple[Item, ...]
    module: str
    where: Condition | None = None
    groups: tuple[str, ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int = DEFAULT_LIMIT
    offset: int = 0


def syntax_error(near: str = "", *, clause: str = "") -> ZohoError:
    """Return the error for a query that cannot be read."""
    details = {"clause": clause} if clause else {"near": near}
    message = "missing clause" if clause else "error occured while parsing the query"
    return ZohoError(400, "SYNTAX_ERROR", message, details)


def tokens_of(text: str) -> list[Token]:
    """Split a query into tokens.

    Raises:
        ZohoError: a character that cannot be read.
    """

    def unreadable(rest: str) -> Exception:
        return syntax_error(rest.split(maxsplit=1)[0][:20])

    return split(text, _TOKEN, len(text.rstrip().removesuffix(";").rstrip()), unreadable)


def parse(text: str, *, brackets: bool = True) -> Query:
    """Read one SELECT.

    Args:
        text: the query.
        brackets: whether more than two conditions have to be bracketed pairwise.

    Raises:
        ZohoError: `SYNTAX_ERROR`.
    """
    return _Reader(tokens_of(text), brackets=brackets).query()


class _Reader(TokenReader):
    def __init__(self, tokens: list[Token], *, brackets: bool) -> None:
        super().__init__(tokens)
        self._brackets = brackets

    def _must(self, word: str) -> None:
        if not self._took(word):
            clause = word.lower() if word in {"SELECT", "FROM"} else ""
            raise syntax_error(self._now.text, clause=clause)

    def _word(self) -> str:
        token = self._next()
        if token.kind != "word" or token.text.upper() in _RESERVED:
            raise syntax_error(token.text)
        return token.text

    def _name(self) -> str:
        # Names in the SELECT list may stand in quotes.
        if self._now.kind == "string":
            return self._next().text[1:-1]
        return self._word()

    def _whole(self) -> int:
        token = self._next()
        if not is_number(token.text):
            raise syntax_error(token.text)
        return int(token.text)

    def query(self) -> Query:
        self._must("SELECT")
        items = [self._item()]
        while self._took(","):
            items.append(self._item())
        self._must("FROM")
        module = self._word()
        where = self._condition() if self._took("WHERE") else None
        groups: list[str] = []
        if self._took("GROUP"):
            self._must("BY")
            groups = self._names()
        order = self._order()
        limit, offset = self._window()
        if self._now.kind != "end":
            raise syntax_error(self._now.text)
        return Query(tuple(items), module, where, tuple(groups), order, limit, offset)

    def _item(self) -> Item:
        path, function = self._name(), ""
        if self._took("("):
            function = path.upper()
            if function not in FUNCTIONS:
                raise syntax_error(path)
            path = self._word()
            self._must(")")
        alias = self._name() if self._took("AS") else ""
        return Item(path, function, alias)

    def _names(self) -> list[str]:
        names = [self._word()]
        while self._took(","):
            names.append(self._word())
        return names

    def _order(self) -> tuple[tuple[str, bool], ...]:
        if not self._took("ORDER"):
            return ()
        self._must("BY")
        terms = [self._term()]
        while self._took(","):
            terms.append(self._term())
        return tuple(terms)

    def _term(self) -> tuple[str, bool]:
        path = self._word()
        goes_down = self._took("DESC")
        if not goes_down:
            self._took("ASC")
        return path, goes_down

    def _window(self) -> tuple[int, int]:
        limit, offset = DEFAULT_LIMIT, 0
        if self._took("LIMIT"):
            limit = self._whole()
            if self._took(","):
                # LIMIT a, b: the offset comes first.
                offset, limit = limit, self._whole()
        if self._took("OFFSET"):
            offset = self._whole()
        return limit, offset

    def _condition(self) -> Condition:
        parts = [self._both()]
        while self._took("OR"):
            self._check_brackets(parts)
            parts.append(self._both(is_alone=False))
        return parts[0] if len(parts) == 1 else Junction("OR", tuple(parts))

    def _both(self, *, is_alone: bool = True) -> Condition:
        parts = [self._single()]
        while self._took("AND"):
            self._check_brackets(parts)
            parts.append(self._single())
        if self._brackets and len(parts) > 1 and (self._is("OR") or not is_alone):
            raise syntax_error(self._now.text)
        return parts[0] if len(parts) == 1 else Junction("AND", tuple(parts))

    def _check_brackets(self, parts: list[Condition]) -> None:
        if self._brackets and len(parts) > 1:
            raise syntax_error(self._tokens[self._at - 1].text)

    def _single(self) -> Condition:
        if self._took("("):
            inner = self._condition()
            self._must(")")
            return inner
        path = self._word()
        if self._took("IS"):
            negated = "not " if self._took("NOT") else ""
            self._must("NULL")
            return Comparison(path, f"is {negated}null")
        negated = "not " if self._took("NOT") else ""
        if self._took("IN"):
            return Comparison(path, f"{negated}in", self._list())
        if self._took("LIKE"):
            return Comparison(path, f"{negated}like", (self._value(),))
        if self._took("BETWEEN"):
            low = self._value()
            self._must("AND")
            return Comparison(path, f"{negated}between", (low, self._value()))
        sign = self._next()
        if negated or sign.text not in {"=", "!=", "<>", "<", "<=", ">", ">="}:
            raise ZohoError(
                400,
                "SYNTAX_ERROR",
                "error occured while parsing the query",
                {"operator": sign.text} if sign.text else {"near": path},
            )
        return Comparison(path, sign.text.replace("<>", "!="), (self._value(),))

    def _list(self) -> tuple[str, ...]:
        self._must("(")
        values = [self._value()]
        while self._took(","):
            values.append(self._value())
        self._must(")")
        return tuple(values)

    def _value(self) -> str:
        token = self._next()
        if token.kind == "string":
            quote = token.text[0]
            return re.sub(r"\\(.)", r"\1", token.text[1:-1].replace(quote * 2, quote))
        if token.kind in {"number", "date"}:
            return token.text
        if token.kind == "word" and token.text.lower() in {"true", "false"}:
            return token.text.lower()
        raise syntax_error(token.text)
