"""Conditions of COQL, of search criteria and of bulk reads as one tree, and the tree as SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from crm_sandbox.zoho.columns import Column, Columns
from crm_sandbox.zoho.errors import ZohoError
from crm_sandbox.zoho.ids import id_of
from crm_sandbox.zoho.schema import NUMBERS

_SIGNS = {"=", "!=", "<", "<=", ">", ">="}
_PATTERNS = {
    "contains": "%{}%",
    "not_contains": "%{}%",
    "starts_with": "{}%",
    "ends_with": "%{}",
}


@dataclass(frozen=True)
class Comparison:
    """One field against values.

    Attributes:
        operator: a sign, `in`, `not in`, `between`, `not between`, `like`, `not like`, `is null`,
            `is not null`, `contains`, `not_contains`, `starts_with` or `ends_with`.
    """

    path: str
    operator: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Junction:
    """Conditions joined by AND or OR."""

    word: str
    parts: tuple["Condition", ...]


Condition = Comparison | Junction
Refuse = Callable[[str, str], ZohoError]


def condition_sql(condition: Condition, columns: Columns, params: list[Any], refuse: Refuse) -> str:
    """Return SQL for a condition and append its parameters in order.

    Args:
        condition: the tree.
        columns: resolves the fields.
        params: gets the values.
        refuse: makes the error for a field and a reason, as the calling API words it.

    Raises:
        ZohoError: a field is unknown, or a value or operator does not fit it.
    """
    if isinstance(condition, Junction):
        parts = [condition_sql(part, columns, params, refuse) for part in condition.parts]
        return "(" + f" {condition.word} ".join(parts) + ")"
    column = columns.find(condition.path)
    if column is None or not column.field.is_stored:
        raise refuse(condition.path, "column given seems to be invalid")
    if column.field.type == "textarea" or column.field.structured:
        raise refuse(condition.path, "column is not filterable")
    try:
        return _comparison(condition, column, params, refuse)
    except (ValueError, TypeError, OverflowError) as problem:
        raise refuse(condition.path, "value given seems to be invalid for the column") from problem


def _comparison(one: Comparison, column: Column, params: list[Any], refuse: Refuse) -> str:
    word, sql = one.operator, column.sql
    if word in {"is null", "is not null"}:
        return f"{sql} {word.upper()}"
    if column.field.value_type == "multiselectpicklist":
        return _of_many(one, column, params, refuse)
    is_text = column.field.column_type == "VARCHAR"
    left, mark = (f"lower({sql})", "lower(?)") if is_text else (sql, "?")
    if word in _PATTERNS or word in {"like", "not like"}:
        if not is_text:
            raise refuse(one.path, "operator is not supported for the column")
        return _pattern(one, sql, params)
    values = [value_of(column, value) for value in one.values]
    params.extend(values)
    if word in {"in", "not in"}:
        return f"{left} {word.upper()} ({', '.join([mark] * len(values))})"
    if word in {"between", "not between"}:
        return f"({left} {word.upper()} {mark} AND {mark})"
    if word not in _SIGNS:
        raise refuse(one.path, "operator is not supported for the column")
    return f"{left} {word} {mark}"


def _pattern(one: Comparison, sql: str, params: list[Any]) -> str:
    word, value = one.operator, str(one.values[0])
    if word in _PATTERNS:
        escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        value = _PATTERNS[word].format(escaped)
    params.append(value)
    negated = "NOT " if word.startswith("not") else ""
    return f"{sql} {negated}ILIKE ? ESCAPE '\\'"


def _of_many(one: Comparison, column: Column, params: list[Any], refuse: Refuse) -> str:
    """Several choices: a value is among them, or none of some values is."""
    params.append([str(value) for value in one.values])
    has = f"list_has_any({column.sql}, ?::VARCHAR[])"
    if one.operator in {"=", "in", "contains"}:
        return has
    if one.operator in {"!=", "not in", "not_contains"}:
        return f"NOT {has}"
    raise refuse(one.path, "operator is not supported for the column")


def value_of(column: Column, value: Any) -> Any:
    """Return a written value as the column holds it.

    Raises:
        ValueError: it does not fit.
    """
    one = column.field
    if one.is_lookup or one.name == "id":
        number = id_of(value)
        if number is None:
            raise ValueError(value)
        return number
    kind = one.value_type
    if kind == "boolean":
        if str(value).lower() not in {"true", "false"}:
            raise ValueError(value)
        return str(value).lower() == "true"
    if kind in NUMBERS:
        return int(value) if kind in {"integer", "bigint"} else float(value)
    if kind == "date":
        return date.fromisoformat(str(value)[:10])
    if kind == "datetime":
        return moment_of(str(value))
    return str(value)


def moment_of(text: str) -> datetime:
    """Return an ISO moment with an offset as naive UTC.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
