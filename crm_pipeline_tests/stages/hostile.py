"""Hostile names and values, and what Python's own JSON makes of them: the oracle of hostile tests."""

import json
import math
from typing import Any

from hypothesis import strategies as st

_WORDS = (
    "EMAIL email eMail Abc aBC id Id2 archived createdat custom connection source_id object crm_key "
    "_modified_at _source_id _batch_id _row file_row_number record src.x src.^x batch_id unconverted "
    "is_deleted a.b .. a[0] $ $.a * # - / a/b ~ a~1b ' '' \" a\"b \\ a\\b \\u0041 ; -- /**/ %s {x} NULL "
    "select \u00df \u1e9e SS \u0130 i\u0307 i \u0131 K k \u212a \u00e9 e\u0301 \u00c9 \u6f22\u5b57 \U0001f600 "
    "\u200b \ufeff \u2028 \x7f"
)
NAMES = (
    *_WORDS.split(" "),
    *(
        "",
        " ",
        " lead",
        "trail ",
        "two  blanks",
        "a\nb",
        "a\tb",
        "a\rb",
        "a\0b",
        "a\0c",
        "\0",
        "\x1b[1m",
    ),
    *("x" * 300, "X" * 300, "long name " * 60, "'; DROP TABLE x; --", '":""', "a:", ":"),
)
LABELS = (*NAMES, "Same", "same", "SAME", "half \ud83d", "\ude00")
TEXTS = (
    *(
        "",
        " ",
        "x",
        "0",
        "a\0b",
        'q"q',
        "b\\",
        '":""',
        '","',
        "a\nb",
        "\x01\x1f\x7f",
        "\ufffd",
        "😀",
        "null",
    ),
    *(
        "NaN",
        "infinity",
        "-Infinity",
        "1e999",
        "-0",
        "9" * 400,
        "1e308",
        "true",
        "[]",
        "[1",
        "{}",
        "epoch",
    ),
    *(
        "99999-01-01",
        "0000-00-00",
        "2026-02-30",
        "2026-01-02T03:04:05Z",
        "24:61",
        "253402300800000",
    ),
    *("[" * 5000 + "]" * 5000, '{"a":' * 5000 + "1" + "}" * 5000, "x" * 100_000),
)
_MADE = st.text(alphabet="aA_ .\"'\\/~\0\n漢é😀0", max_size=6)
names = st.sampled_from(NAMES) | _MADE
labels = st.sampled_from(LABELS) | _MADE
texts = st.sampled_from(TEXTS) | st.text(max_size=6)


def _deep(depth: int) -> Any:
    value: Any = "end"
    for level in range(depth):
        value = [value] if level % 2 else {"": value}
    return value


values = (
    st.none()
    | texts
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.sampled_from([[], {}, [1, None, {"a": ["b"]}], {"a": {"A": 1, "": 2}}, _deep(200)])
)


def written(value: Any) -> str:
    """Write a value as JSON; what Python cannot nest so deeply is a text of its own above."""
    return json.dumps(value, ensure_ascii=False)


def is_same(found: str | None, value: Any) -> bool:
    """Say whether a text that was read is what the vendor sent; an empty text counts as no value."""
    if found is None or value is None or value == "":
        return found is None and (value is None or value == "")
    if isinstance(value, str):
        return found == value
    if isinstance(value, float) and not math.isfinite(value):
        return float(found) == value or (math.isnan(value) and math.isnan(float(found)))
    return bool(json.loads(found) == value)
