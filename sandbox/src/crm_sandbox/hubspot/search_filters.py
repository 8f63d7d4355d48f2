"""From the filters of a search to a condition in SQL.

Text is compared without case, choices with it; moments are epoch milliseconds as text.
Source: https://developers.hubspot.com/docs/api-reference/search/guide
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_sandbox.hubspot.errors import ApiError, invalid
from crm_sandbox.hubspot.instants import iso_of, moment_of
from crm_sandbox.hubspot.portal import Portal
from crm_sandbox.hubspot.schema import ObjectType, Property
from crm_sandbox.hubspot.storage import links_of

MOST_GROUPS, MOST_FILTERS, MOST_IN_ALL = 5, 6, 18
_SIGNS = {"LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}
_STAMPS = {
    "createdate": "_created",
    "hs_createdate": "_created",
    "lastmodifieddate": "_updated",
    "hs_lastmodifieddate": "_updated",
}


def _problem() -> ApiError:
    return invalid("There was a problem with the request.")


@dataclass
class Condition:
    """SQL with its parameters."""

    sql: str = "TRUE"
    params: list[Any] = field(default_factory=list)

    def also(self, other: "Condition", word: str = "AND") -> "Condition":
        """Return both joined by a word."""
        return Condition(f"({self.sql}) {word} ({other.sql})", [*self.params, *other.params])


@dataclass(frozen=True)
class _Column:
    """How a property is compared: its SQL, and what makes a parameter of a text."""

    sql: str
    value: Callable[[str], Any]


@dataclass(frozen=True)
class _Asked:
    """A filter as it was sent, with the property that it names."""

    prop: Property
    column: _Column
    entry: Mapping[str, Any]


def column_of(prop: Property) -> tuple[str, Callable[[str], Any]]:
    """Return how a property is compared and sorted: SQL, and what makes a parameter of a text."""
    made = _column(prop)
    return made.sql, made.value


def _column(prop: Property) -> _Column:
    if prop.name == "hs_object_id":
        return _Column("_id", _whole)
    if prop.is_virtual:
        return _Column(_STAMPS[prop.name], _moment)
    column = f'"{prop.column}"'
    if prop.type == "number":
        return _Column(f"TRY_CAST({column} AS DOUBLE)", _number)
    if prop.type == "datetime":
        return _Column(column, lambda text: iso_of(_moment(text)))
    if prop.type == "date":
        return _Column(column, lambda text: iso_of(_moment(text))[:10])
    if prop.type in {"enumeration", "bool"}:
        return _Column(column, str)
    return _Column(f"lower({column})", str.lower)


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise _problem()
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as problem:
        raise _problem() from problem


def _moment(text: str) -> int:
    found = moment_of(text)
    if found is None:
        raise _problem()
    return found


class FilterReader:
    """Reads the filters of searches in one portal.

    Args:
        portal: has the properties and links that they name.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def read(self, one: ObjectType, groups: Any) -> Condition:
        """Return the condition of some filter groups.

        Raises:
            ApiError: there are too many, or one cannot be understood.
        """
        sizes = [len(group.get("filters") or ()) for group in groups]
        if len(groups) > MOST_GROUPS:
            raise invalid(
                f"too many filter groups: {len(groups)}, at most {MOST_GROUPS} are allowed"
            )
        if sizes and (max(sizes) > MOST_FILTERS or sum(sizes) > MOST_IN_ALL):
            raise invalid(
                f"too many filters: at most {MOST_FILTERS} in a group and {MOST_IN_ALL} in all are allowed"
            )
        whole: Condition | None = None
        for group in groups:
            part = Condition()
            for entry in group.get("filters") or ():
                part = part.also(self._filter(one, entry))
            whole = part if whole is None else whole.also(part, "OR")
        return whole or Condition()

    def query(self, one: ObjectType, text: str) -> Condition:
        """Return the condition that every word begins a word of a searched property."""
        whole = Condition()
        columns = [one.find(name) for name in one.searched]
        searched = " || ' ' || ".join(
            f"coalesce(lower(\"{prop.column}\"), '')" for prop in columns if prop is not None
        )
        for word in text.lower().split():
            pattern = rf"(^|[^\p{{L}}\p{{N}}]){re.escape(word)}"
            whole = whole.also(Condition(f"regexp_matches({searched}, ?)", [pattern]))
        return whole

    def _filter(self, one: ObjectType, entry: Any) -> Condition:
        name, operator = str(entry.get("propertyName", "")), str(entry.get("operator", ""))
        if name.startswith("associations."):
            return self._linked(one, name.partition(".")[2], operator, entry)
        prop = one.find(name)
        if prop is None:
            raise _problem()
        column = _column(prop)
        if operator in _SIGNS:
            return Condition(f"{column.sql} {_SIGNS[operator]} ?", [column.value(_value(entry))])
        reads = {
            "EQ": _equal,
            "NEQ": _unequal,
            "BETWEEN": _between,
            "IN": _among,
            "NOT_IN": _not_among,
            "HAS_PROPERTY": _present,
            "NOT_HAS_PROPERTY": _absent,
            "CONTAINS_TOKEN": _token,
            "NOT_CONTAINS_TOKEN": _no_token,
        }
        if operator not in reads:
            raise invalid(f"Invalid input JSON: {operator!r} is not an operator")
        return reads[operator](_Asked(prop, column, entry))

    def _linked(
        self, one: ObjectType, name: str, operator: str, entry: Mapping[str, Any]
    ) -> Condition:
        other = self._portal.catalog.named(name)
        if other is None or other.custom or one.custom or operator not in {"EQ", "IN"}:
            raise _problem()
        if not self._portal.link_types.between(one.name, other.name):
            raise _problem()
        wanted = _values(entry) if operator == "IN" else [_value(entry)]
        return Condition(
            f'_id IN (SELECT from_id FROM "{links_of(one.name, other.name)}" '
            "WHERE to_id IN (SELECT unnest(?::BIGINT[])))",
            [[_whole(text) for text in wanted]],
        )


def _value(entry: Mapping[str, Any], name: str = "value") -> str:
    value = entry.get(name)
    if value is None or isinstance(value, dict | list):
        raise invalid(f"a filter with the operator {entry.get('operator')} needs '{name}'")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(entry: Mapping[str, Any]) -> list[str]:
    values = entry.get("values")
    if not isinstance(values, list) or not values:
        raise invalid(f"a filter with the operator {entry.get('operator')} needs 'values'")
    return [str(value) for value in values]


def _equal(ask: _Asked) -> Condition:
    return Condition(f"{ask.column.sql} = ?", [ask.column.value(_value(ask.entry))])


def _unequal(ask: _Asked) -> Condition:
    return Condition(f"{ask.column.sql} IS DISTINCT FROM ?", [ask.column.value(_value(ask.entry))])


def _between(ask: _Asked) -> Condition:
    edges = [ask.column.value(_value(ask.entry)), ask.column.value(_value(ask.entry, "highValue"))]
    return Condition(f"{ask.column.sql} BETWEEN ? AND ?", edges)


def _among(ask: _Asked) -> Condition:
    # Text that was not sent in lower case is not found: only the stored side is folded.
    fold = ask.column.value if ask.prop.type != "string" else str
    values: Sequence[Any] = [fold(text) for text in _values(ask.entry)]
    if ask.prop.is_multiple:
        return Condition(
            f"list_has_any(string_split({ask.column.sql}, ';'), ?::VARCHAR[])", [values]
        )
    marks = ", ".join("?" for _ in values)
    return Condition(f"{ask.column.sql} IN ({marks})", list(values))


def _not_among(ask: _Asked) -> Condition:
    inside = _among(ask)
    return Condition(f"coalesce(NOT ({inside.sql}), TRUE)", inside.params)


def _present(ask: _Asked) -> Condition:
    return Condition(
        "TRUE" if ask.prop.is_virtual else f"nullif({ask.prop.expression}, '') IS NOT NULL"
    )


def _absent(ask: _Asked) -> Condition:
    return Condition(
        "FALSE" if ask.prop.is_virtual else f"nullif({ask.prop.expression}, '') IS NULL"
    )


def _token(ask: _Asked) -> Condition:
    """Match whole words; a star stands for the rest of one."""
    words = re.escape(_value(ask.entry).lower()).replace(r"\*", r"[\p{L}\p{N}]*")
    pattern = rf"(^|[^\p{{L}}\p{{N}}]){words}($|[^\p{{L}}\p{{N}}])"
    return Condition(f"regexp_matches(lower({ask.prop.expression}), ?)", [pattern])


def _no_token(ask: _Asked) -> Condition:
    inside = _token(ask)
    return Condition(f"coalesce(NOT ({inside.sql}), TRUE)", inside.params)
