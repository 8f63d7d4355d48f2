"""SQL for checks whose meaning is known, exactly as pandera judges Arrow-backed columns.

`broken_by` returns None for what it does not know to be the same in DuckDB and in pandera: such a check is run by
pandera itself. What is the same was measured, and stays so by `crm_pipeline_tests/contracts/test_agreement.py`:

* NULL breaks no check. NaN is a value: it breaks every comparison but `not_equal_to`.
* Whole numbers are compared with fractions as doubles.
* `str_matches` is anchored at the start, and both sides use RE2, whose `$` is the end of the text.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from crm_pipeline.model.names import encodable, literal

_EXACT = 2**53
_COMPARED = 100
_OPERATORS = {
    "equal_to": ("=", "value"),
    "not_equal_to": ("<>", "value"),
    "greater_than": (">", "min_value"),
    "greater_than_or_equal_to": (">=", "min_value"),
    "less_than": ("<", "max_value"),
    "less_than_or_equal_to": ("<=", "max_value"),
}


def broken_by(check: str, facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    """Return SQL that is true for values that break a check; None where SQL may judge otherwise than pandera.

    Args:
        check: the check's name in pandera.
        facts: its arguments.
        column: SQL for the column.
        kind: the type of the column.
    """
    if check in _OPERATORS:
        operator, argument = _OPERATORS[check]
        return _compared(operator, facts.get(argument), column, kind)
    made = _CHECKS.get(check)
    return made(facts, column, kind) if made else None


def _compared(operator: str, bound: Any, column: str, kind: pa.DataType) -> str | None:
    sides = _sides(bound, column, kind)
    if sides is None:
        return None
    fails = f"NOT ({sides[0]} {operator} {sides[1]})"
    # DuckDB takes NaN for the largest number; to pandera it is not larger than anything.
    is_above = operator in {">", ">="} and pa.types.is_floating(kind)
    return f"({fails} OR isnan({column}))" if is_above else f"({fails})"


def _sides(value: Any, column: str, kind: pa.DataType) -> tuple[str, str] | None:
    """Return SQL for a column and a value to compare it with."""
    if pa.types.is_integer(kind) and isinstance(value, float) and not math.isnan(value):
        return f"CAST({column} AS DOUBLE)", _double(value)
    written = _literal(value, kind)
    return None if written is None else (column, written)


def _literal(value: Any, kind: pa.DataType) -> str | None:
    """Return a value as SQL of the column's type; None where it is of another type."""
    for is_kind, write in _LITERALS:
        if is_kind(kind):
            return write(value, kind)
    return None


def _text(value: Any, _kind: pa.DataType) -> str | None:
    return literal(value) if type(value) is str and encodable(value) is value else None


def _whole(value: Any, _kind: pa.DataType) -> str | None:
    return (
        f"CAST('{value}' AS BIGINT)" if type(value) is int and -(2**63) <= value < 2**63 else None
    )


def _floating(value: Any, _kind: pa.DataType) -> str | None:
    is_number = type(value) is float or (type(value) is int and abs(value) <= _EXACT)
    return _double(float(value)) if is_number and not math.isnan(value) else None


def _double(value: float) -> str:
    return f"CAST('{value!r}' AS DOUBLE)"


def _decimal(value: Any, kind: pa.DataType) -> str | None:
    if type(value) is int and abs(value) < 10 ** min(kind.precision - kind.scale, 18):
        return f"CAST({value} AS DECIMAL({kind.precision}, {kind.scale}))"
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    _, digits, exponent = value.as_tuple()
    fits = -int(exponent) <= kind.scale and len(digits) + int(exponent) <= (
        kind.precision - kind.scale
    )
    return f"CAST('{value:f}' AS DECIMAL({kind.precision}, {kind.scale}))" if fits else None


def _flag(value: Any, _kind: pa.DataType) -> str | None:
    return str(value).lower() if type(value) is bool else None


def _day(value: Any, _kind: pa.DataType) -> str | None:
    return f"DATE '{value.isoformat()}'" if type(value) is date else None


def _instant(value: Any, kind: pa.DataType) -> str | None:
    is_plain = isinstance(value, datetime) and not getattr(value, "nanosecond", 0)
    if not is_plain or (value.tzinfo is None) != (kind.tz is None):
        return None
    if kind.tz is None:
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    return f"TIMESTAMPTZ '{value.astimezone(UTC).isoformat(sep=' ')}'"


_LITERALS: tuple[
    tuple[Callable[[pa.DataType], bool], Callable[[Any, pa.DataType], str | None]], ...
] = (
    (pa.types.is_string, _text),
    (pa.types.is_integer, _whole),
    (pa.types.is_floating, _floating),
    (pa.types.is_decimal, _decimal),
    (pa.types.is_boolean, _flag),
    (pa.types.is_date, _day),
    (pa.types.is_timestamp, _instant),
)


def _in_range(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    bounds = [
        (">=" if facts.get("include_min", True) else ">", facts.get("min_value"), -math.inf),
        ("<=" if facts.get("include_max", True) else "<", facts.get("max_value"), math.inf),
    ]
    parts = []
    for operator, bound, none in bounds:
        # An amount is never infinite, and no DECIMAL can be compared with infinity.
        if pa.types.is_decimal(kind) and type(bound) is float and bound == none:
            continue
        parts.append(_compared(operator, bound, column, kind))
    if None in parts:
        return None
    return f"({' OR '.join(part for part in parts if part)})" if parts else "false"


def _among(values: Any, column: str, kind: pa.DataType) -> str | None:
    """Return SQL that is true for values that are in a list."""
    if isinstance(values, str) or not isinstance(values, Iterable) or pa.types.is_decimal(kind):
        return None
    members = list(values)
    written = [_literal(value, kind) for value in members]
    if None in written:
        return None
    zeros = [value for value in members if pa.types.is_floating(kind) and value == 0]
    listed = sorted(
        str(text) for value, text in zip(members, written, strict=True) if value not in zeros
    )
    parts = [one_of(column, listed)] if listed else []
    # To Arrow, 0.0 is not among the values of a list with -0.0.
    signs = {math.copysign(1, value) < 0 for value in zeros}
    parts += [
        f"({column} = 0 AND signbit({column}) = {str(sign).lower()})" for sign in sorted(signs)
    ]
    return f"({' OR '.join(parts)})" if parts else f"({column} IS NULL)"


def one_of(column: str, members: Sequence[str]) -> str:
    """Return SQL for whether a value is one of some others; thousands of them are looked up, not compared."""
    listed = ", ".join(members)
    return f"{column} IN " + (
        f"({listed})" if len(members) <= _COMPARED else f"(SELECT unnest([{listed}]))"
    )


def _isin(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    among = _among(facts.get("allowed_values"), column, kind)
    return among and f"(NOT {among})"


def _notin(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    among = _among(facts.get("forbidden_values"), column, kind)
    return among and f"({column} IS NOT NULL AND {among})"


def _pattern(facts: Mapping[str, Any]) -> str | None:
    pattern = facts.get("pattern")
    flags = getattr(pattern, "flags", 32)
    text = getattr(pattern, "pattern", pattern)
    return text if type(text) is str and flags == 32 and "\0" not in text else None


def _matches(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    pattern = _pattern(facts)
    if pattern is None or not pa.types.is_string(kind):
        return None
    return f"(NOT regexp_matches({column}, {literal(f'^({pattern.removeprefix(chr(94))})')}))"


def _contains(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    pattern = _pattern(facts)
    if pattern is None or not pa.types.is_string(kind):
        return None
    return f"(NOT regexp_matches({column}, {literal(pattern)}))"


def _edge(function: str) -> Callable[[Mapping[str, Any], str, pa.DataType], str | None]:
    def made(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
        written = _text(facts.get("string"), kind)
        if written is None or not pa.types.is_string(kind):
            return None
        return f"(NOT {function}({column}, {written}))"

    return made


def _length(facts: Mapping[str, Any], column: str, kind: pa.DataType) -> str | None:
    bounds = [
        ("=", facts.get("exact_value")),
        (">=", facts.get("min_value")),
        ("<=", facts.get("max_value")),
    ]
    chosen = [(operator, bound) for operator, bound in bounds if bound is not None]
    if not chosen or not pa.types.is_string(kind):
        return None
    if facts.get("exact_value") is not None:  # pandera ignores the others then
        chosen = chosen[:1]
    if any(type(bound) is not int for _, bound in chosen):
        return None
    return f"(NOT ({' AND '.join(f'length({column}) {operator} {bound}' for operator, bound in chosen)}))"


_CHECKS: Mapping[str, Callable[[Mapping[str, Any], str, pa.DataType], str | None]] = {
    "in_range": _in_range,
    "isin": _isin,
    "notin": _notin,
    "str_matches": _matches,
    "str_contains": _contains,
    "str_startswith": _edge("starts_with"),
    "str_endswith": _edge("ends_with"),
    "str_length": _length,
}
