"""What a fuzzer sends: values that nearly fit a schema, and values that fit nothing."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from crm_sandbox_tests.contracts import resolved

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        1.5,
        1e308,
        -0.0,
        10**18,
        10**30,
        10**400,
        "",
        " ",
        "x",
        "0",
        "-1",
    ),
    *(
        "9" * 25,
        "9" * 5_000,
        "1e5",
        "²",
        "٣",
        "null",
        "true",
        "ü'\"\\",
        "a\u0000b",
        "\U0001f600",
        "\ud800",
    ),
    *("2026-01-31", "2026-13-45", "2026-01-31T10:00:00Z", "9999-12-31T23:59:59.999999+14:00"),
    *([], [1], [None], [[]], ["x"], [{}], {}, {"id": 1}, {"id": {}}, {"id": None}, {"value": []}),
)
# Half a surrogate pair can be written in JSON only.
TEXTS = tuple(one for one in ODD if isinstance(one, str) and len(one) < 100 and one != "\ud800")
# Bodies that are no JSON, or hardly any.
BROKEN = (
    *(b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b'{"a":NaN}', b'{"a":1e999}'),
    *(b"[" * 3_000, b'{"a":' * 3_000, b"{}{}", b"a=1&b=2"),
)
_DEPTH = 5


class Draw:
    """Draws with a seed, and with the names that mean something to a vendor.

    Args:
        seed: the same seed draws the same.
        names: values by the ending of a name; `""` for texts of any name.
    """

    def __init__(self, seed: str, names: Mapping[str, Sequence[Any]]) -> None:
        self.random = random.Random(seed)
        self._names = names

    def one_in(self, many: int) -> bool:
        return self.random.randrange(many) == 0

    def odd(self) -> Any:
        return deepcopy(self.random.choice(ODD))

    def text(self, name: str) -> str:
        """Return a text for a name: one that means something there, or any."""
        return str(self.random.choice(TEXTS)) if self.one_in(4) else self.known(name)

    def known(self, name: str) -> str:
        """Return a text that means something for a name."""
        ending = name.lower().endswith
        known = next((v for k, v in self._names.items() if k and ending(k)), self._names[""])
        return str(self.random.choice(known))

    def value(
        self, document: Mapping[str, Any], schema: Any, name: str = "", depth: int = 0
    ) -> Any:
        """Return a value that nearly fits a schema."""
        if not isinstance(schema, Mapping) or depth > _DEPTH:
            return self.text(name)
        schema = resolved(document, dict(schema))
        for keyword in ("oneOf", "anyOf"):
            if schema.get(keyword):
                part = self.random.choice(schema[keyword])
                return self.value(document, part, name, depth + 1)
        if schema.get("enum"):
            return self.random.choice(schema["enum"])
        kind = schema.get("type")
        kind = self.random.choice(kind) if isinstance(kind, list) else kind
        if kind == "array":
            items = schema.get("items") or {}
            count = self.random.randint(0, 2)
            return [self.value(document, items, name, depth + 1) for _ in range(count)]
        if kind in {"integer", "number"}:
            return self.random.choice((0, 1, 2, 5, 100, 1.5 if kind == "number" else 3))
        if kind == "boolean":
            return self.one_in(2)
        if kind == "string":
            return self.text(name)
        return self._object(document, schema, depth)

    def _object(self, document: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:
        made: dict[str, Any] = {}
        for part in schema.get("allOf") or ():
            found = self.value(document, part, "", depth + 1)
            made |= found if isinstance(found, dict) else {}
        for name, one in (schema.get("properties") or {}).items():
            if name in (schema.get("required") or ()) or not self.one_in(3):
                made[name] = self.value(document, one, name, depth + 1)
        if not made or schema.get("additionalProperties"):
            for _ in range(self.random.randint(0, 2)):
                made[self.text("key")] = self.text("value")
        return made

    def spoiled(self, value: Any) -> Any:
        """Return a value with one of its parts made odd, taken out or doubled."""
        places = list(_places(value))
        if not places or self.one_in(12):
            return self.odd()
        holder, key = self.random.choice(places)
        how = self.random.randrange(4)
        if how == 0 and isinstance(holder, dict):
            del holder[key]
        elif how == 1 and isinstance(holder, list):
            holder.append(self.odd())
        else:
            holder[key] = self.odd()
        return value

    def query(self, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return parameters for a query string: known and unknown, right and wrong, some twice."""
        pairs = []
        for name in parameters:
            if self.one_in(3):
                pairs.append((name, self.text(name)))
                if self.one_in(6):
                    pairs.append((name, self.text(name)))
        if self.one_in(8):
            pairs.append((self.text("key"), self.text("value")))
        return pairs

    def headers(self, names: Sequence[str]) -> dict[str, str]:
        """Return, now and then, a header that some operation reads."""
        if not names or not self.one_in(6):
            return {}
        texts = [one for one in TEXTS if one.isprintable() and one.isascii()]
        moments = ("Sun, 01 Nov 2026 10:00:00 GMT", "2026-11-01T10:00:00+01:00")
        value = self.random.choice((*texts, *moments, "batchSize=200", "batchSize=" + "9" * 5_000))
        return {self.random.choice(names): value}


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every place in a value that something else could stand at."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return []
    found = [(value, key) for key, _ in items]
    for _, inner in items:
        found += _places(inner)
    return found
