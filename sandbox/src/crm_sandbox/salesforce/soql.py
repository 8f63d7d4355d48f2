"""Read SOQL: tokens, then a tree by recursive descent. Knows nothing of objects or tables."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from crm_sandbox.http import is_number
from crm_sandbox.kernel.tokens import Token, TokenReader, split
from crm_sandbox.salesforce.errors import malformed

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
  | (?P<date>\d{4}-\d\d-\d\d(?![T\d]))
  | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
  | (?P<word>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?::\d+)?)
  | (?P<sign><=|>=|!=|<>|=|<|>|\(|\)|,)
  )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_FUNCTIONS = frozenset({"COUNT", "COUNT_DISTINCT", "MAX", "MIN", "SUM", "AVG"})
_RESERVED = frozenset({"FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET", "AND", "OR", "HAVING"})
MAX_LENGTH = 100_000


@dataclass(frozen=True)
class Literal:
    """A value in a condition; `kind` is string, number, boolean, null, date, datetime or period."""

    kind: str
    value: str | float | int | bool | date | datetime | None


@dataclass(frozen=True)
class Comparison:
    """A field compared with one value, or with several for IN and NOT IN."""

    path: str
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Junction:
    """Conditions joined by AND or OR."""

    operator: str
    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Negation:
    """NOT in front of a condition."""

    part: "Condition"


Condition = Comparison | Junction | Negation


@dataclass(frozen=True)
class Item:
    """One thing selected: a field path, or an aggregate with its function."""

    path: str
    function: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Ordering:
    """One ORDER BY term; nulls come first unless said otherwise."""

    item: Item
    descending: bool = False
    nulls_last: bool = False


@dataclass(frozen=True)
class Query:
    """A whole SELECT.

    Attributes:
        macro: ALL, STANDARD or CUSTOM of `FIELDS(...)`.
    """

    items: tuple[Item, ...]
    entity: str
    where: Condition | None = None
    group_by: tuple[str, ...] = ()
    order_by: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int | None = None
    macro: str = ""

    @property
    def is_count(self) -> bool:
        """Whether this is `SELECT COUNT()`, which has no records."""
        return any(one.function == "COUNT" and not one.path for one in self.items)

    @property
    def is_aggregate(self) -> bool:
        """Whether the rows are AggregateResults."""
        return bool(self.group_by) or any(one.function for one in self.items)


def tokens_of(text: str) -> list[Token]:
    """Split SOQL into tokens.

    Raises:
        ApiError: a character or a string that cannot be read.
    """

    def unreadable(rest: str) -> Exception:
        return malformed(f"unexpected token: '{rest.strip()[:20]}'")

    return split(text, _TOKEN, len(text.rstrip()), unreadable)


def parse(text: str) -> Query:
    """Read one SELECT.

    Raises:
        ApiError: `MALFORMED_QUERY` for what is wrong or not supported.
    """
    if not text.strip():
        raise malformed("SOQL statement cannot be empty or null")
    if len(text) > MAX_LENGTH:
        raise malformed("SOQL statements cannot be longer than 100,000 characters.")
    return _Reader(tokens_of(text), "<EOF>").query()


class _Reader(TokenReader):
    def _must(self, *words: str) -> None:
        for word in words:
            if not self._took(word):
                raise malformed(f"unexpected token: '{self._now.text}', expecting '{word}'")

    def _word(self) -> str:
        token = self._next()
        if token.kind != "word" or ":" in token.text or token.text.upper() in _RESERVED:
            raise malformed(f"unexpected token: '{token.text}'")
        return token.text

    def _whole(self) -> int:
        token = self._next()
        if token.kind != "number" or not is_number(token.text) or int(token.text) > _LARGEST:
            raise malformed(f"unexpected token: '{token.text}'")
        return int(token.text)

    def query(self) -> Query:
        self._must("SELECT")
        items, macro = self._selected()
        self._must("FROM")
        entity = self._word()
        if self._now.kind == "word" and not self._is("WHERE", "GROUP", "ORDER", "LIMIT", "OFFSET"):
            raise malformed(f"unexpected token: '{self._now.text}'")
        where = self._either() if self._took("WHERE") else None
        group_by = self._grouping()
        order_by = self._ordering()
        limit = self._whole() if self._took("LIMIT") else None
        offset = self._whole() if self._took("OFFSET") else None
        if self._now.kind != "end":
            raise malformed(f"unexpected token: '{self._now.text}'")
        return Query(items, entity, where, group_by, order_by, limit, offset, macro)

    def _selected(self) -> tuple[tuple[Item, ...], str]:
        if self._took("FIELDS"):
            self._must("(")
            macro = self._word().upper()
            self._must(")")
            if macro not in {"ALL", "STANDARD", "CUSTOM"}:
                raise malformed(f"unexpected token: '{macro}'")
            return (), macro
        items = [self._item()]
        while self._took(","):
            items.append(self._item())
        seen: set[str] = set()
        for one in items:
            if not one.function and one.path.lower() in seen:
                raise malformed(f"duplicate field selected: {one.path}")
            seen.add(one.path.lower() if not one.function else "")
        return tuple(items), ""

    def _item(self) -> Item:
        name = self._word()
        path, function = name, ""
        if self._took("("):
            function = name.upper()
            if function not in _FUNCTIONS:
                raise malformed(f"unexpected token: '{name}('")
            path = "" if function == "COUNT" and self._is(")") else self._word()
            self._must(")")
        alias = "" if self._now.kind != "word" or self._is("FROM", *_AFTER_ITEM) else self._word()
        return Item(path, function, alias)

    def _grouping(self) -> tuple[str, ...]:
        if not self._took("GROUP"):
            return ()
        self._must("BY")
        paths = [self._word()]
        while self._took(","):
            paths.append(self._word())
        return tuple(paths)

    def _ordering(self) -> tuple[Ordering, ...]:
        if not self._took("ORDER"):
            return ()
        self._must("BY")
        terms = [self._order_term()]
        while self._took(","):
            terms.append(self._order_term())
        return tuple(terms)

    def _order_term(self) -> Ordering:
        item = self._item()
        descending = self._took("DESC")
        if not descending:
            self._took("ASC")
        last = False
        if self._took("NULLS"):
            last = self._took("LAST")
            if not last:
                self._must("FIRST")
        return Ordering(item, descending, last)

    def _either(self) -> Condition:
        return self._joined("OR", self._both)

    def _both(self) -> Condition:
        return self._joined("AND", self._single)

    def _joined(self, operator: str, part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._took(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(operator, tuple(parts))

    def _single(self) -> Condition:
        if self._took("NOT"):
            return Negation(self._single())
        if self._took("("):
            inner = self._either()
            self._must(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        path = self._word()
        if self._took("NOT"):
            self._must("IN")
            return Comparison(path, "NOT IN", self._list())
        if self._took("IN"):
            return Comparison(path, "IN", self._list())
        if self._took("LIKE"):
            return Comparison(path, "LIKE", (self._literal(),))
        sign = self._next()
        if sign.text not in {"=", "!=", "<>", "<", "<=", ">", ">="}:
            raise malformed(f"unexpected token: '{sign.text}'")
        return Comparison(path, sign.text.replace("<>", "!="), (self._literal(),))

    def _list(self) -> tuple[Literal, ...]:
        self._must("(")
        values = [self._literal()]
        while self._took(","):
            values.append(self._literal())
        self._must(")")
        return tuple(values)

    def _literal(self) -> Literal:
        token = self._next()
        try:
            return _literal_of(token)
        except ValueError as problem:
            raise malformed(f"unexpected token: '{token.text}'") from problem


_LARGEST = 2**31 - 1
_AFTER_ITEM = ("ASC", "DESC", "NULLS", "LIMIT", "OFFSET")


def _literal_of(token: Token) -> Literal:
    if token.kind == "string":
        return Literal("string", _unescaped(token.text[1:-1]))
    if token.kind == "number":
        whole = is_number(token.text.lstrip("+-"))
        return Literal("number", int(token.text) if whole else float(token.text))
    if token.kind == "date":
        return Literal("date", date.fromisoformat(token.text))
    if token.kind == "datetime":
        moment = datetime.fromisoformat(token.text)
        return Literal("datetime", moment.astimezone(UTC).replace(tzinfo=None))
    word = token.text.upper() if token.kind == "word" else ""
    if word in {"TRUE", "FALSE"}:
        return Literal("boolean", word == "TRUE")
    if word == "NULL":
        return Literal("null", None)
    if word and "." not in word:
        return Literal("period", word)
    raise ValueError(token.text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)
