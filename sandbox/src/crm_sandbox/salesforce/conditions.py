"""The WHERE of a query as SQL: values checked against field types, SOQL's own idea of null."""

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

from crm_sandbox.salesforce.columns import Column
from crm_sandbox.salesforce.errors import ApiError, malformed
from crm_sandbox.salesforce.ids import full_id, is_id
from crm_sandbox.salesforce.periods import period_of
from crm_sandbox.salesforce.schema import ID_TYPES, TEXT_TYPES, Field
from crm_sandbox.salesforce.soql import Comparison, Condition, Junction, Literal, Negation

Resolve = Callable[[str], Column]
_NUMBERS = frozenset({"int", "double", "currency", "percent"})


def condition_sql(condition: Condition, resolve: Resolve, params: list[Any], today: date) -> str:
    """Return SQL for a condition and append its parameters in order."""
    if isinstance(condition, Junction):
        parts = [condition_sql(part, resolve, params, today) for part in condition.parts]
        return "(" + f" {condition.operator} ".join(parts) + ")"
    if isinstance(condition, Negation):
        return f"(({condition_sql(condition.part, resolve, params, today)}) IS NOT TRUE)"
    return _comparison(condition, resolve(condition.path), params, today)


def _comparison(one: Comparison, column: Column, params: list[Any], today: date) -> str:
    _check_filterable(column.field)
    if one.operator in {"IN", "NOT IN"}:
        return _membership(one, column, params)
    literal = one.values[0]
    if one.operator == "LIKE":
        if literal.kind != "string" or column.field.type not in TEXT_TYPES:
            raise _wrong_operator(column.field)
        params.append(literal.value)
        return f"{column.sql} ILIKE ? ESCAPE '\\'"
    if literal.kind == "period":
        return _period(one.operator, column, str(literal.value), params, today)
    value = _value(column.field, literal)
    if value is None:
        if one.operator not in {"=", "!="}:
            raise _wrong_operator(column.field)
        return f"{column.sql} IS {'NOT ' if one.operator == '!=' else ''}NULL"
    params.append(value)
    left, right = _sides(column)
    if one.operator == "!=":
        return f"{left} IS DISTINCT FROM {right}"
    return f"{left} {one.operator} {right}"


def _check_filterable(one: Field) -> None:
    if one.is_compound or (one.type == "textarea" and one.length > 255):
        raise ApiError(
            400,
            "INVALID_FIELD",
            f"field '{one.name}' can not be filtered in a query call",
        )


def _wrong_operator(one: Field) -> ApiError:
    return ApiError(
        400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {one.type} field {one.name}"
    )


def _sides(column: Column) -> tuple[str, str]:
    if column.field.type in TEXT_TYPES:
        return f"lower({column.sql})", "lower(?)"
    return column.sql, "?"


def _membership(one: Comparison, column: Column, params: list[Any]) -> str:
    values = [_value(column.field, literal) for literal in one.values]
    present = [value for value in values if value is not None]
    left, right = _sides(column)
    params.extend(present)
    marks = ", ".join([right] * len(present))
    inside = f"{left} IN ({marks})" if present else "FALSE"
    if len(present) < len(values):
        inside = f"({inside} OR {column.sql} IS NULL)"
    return inside if one.operator == "IN" else f"(({inside}) IS NOT TRUE)"


def _period(operator: str, column: Column, literal: str, params: list[Any], today: date) -> str:
    if column.field.type not in {"date", "datetime"}:
        raise malformed(f"unexpected token: '{literal}'")
    first, after = period_of(literal, today)
    bounds: list[Any] = [first, after]
    if column.field.type == "datetime":
        bounds = [datetime.combine(day, time()) for day in bounds]
    if operator in {"=", "!="}:
        params.extend(bounds)
        inside = f"({column.sql} >= ? AND {column.sql} < ?)"
        return inside if operator == "=" else f"({inside} IS NOT TRUE)"
    start = operator in {"<", ">="}
    params.append(bounds[0] if start else bounds[1])
    return f"{column.sql} {'<' if operator in {'<', '<='} else '>='} ?"


def _value(one: Field, literal: Literal) -> Any:
    value = literal.value
    if literal.kind == "null" or (literal.kind == "string" and not value):
        return None
    if one.type in ID_TYPES and literal.kind == "string":
        if not is_id(str(value)):
            raise ApiError(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value}")
        return full_id(str(value))
    expected = "string"
    if one.type in {"boolean", "date"}:
        expected = one.type
    elif one.type == "datetime":
        expected = "datetime"
    elif one.type in _NUMBERS:
        expected = "number"
    if literal.kind != expected:
        shown = {"datetime": "dateTime", "number": "double"}.get(expected, expected)
        quotes = "enclosed in quotes" if expected == "string" else "not be enclosed in quotes"
        raise ApiError(
            400,
            "INVALID_FIELD",
            f"value of filter criterion for field '{one.name}' must be of type {shown} and should "
            f"{'be ' if expected == 'string' else ''}{quotes}",
        )
    return value
