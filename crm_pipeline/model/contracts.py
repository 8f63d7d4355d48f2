"""Contracts made from the tables of the model: SQL that counts broken rules, and pandera schemas.

The SQL checks every row in one scan. pandera checks types and rules on a bounded sample, with code that is
not ours; a disagreement fails the contract.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.table import Rule, Severity, Table

if TYPE_CHECKING:
    import pandera.pandas as pandera

_ARROW_TYPES = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "VARCHAR[]": pa.list_(pa.string()),
}
LIVE = "is_deleted IS NOT TRUE"
_POINTS = pa.list_(
    pa.struct([("value", pa.string()), ("label", pa.string()), ("is_primary", pa.bool_())])
)


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type of a DuckDB type that the model uses."""
    if kind.startswith("DECIMAL("):
        precision, scale = kind.removeprefix("DECIMAL(").removesuffix(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    return _POINTS if kind.startswith("STRUCT(") else _ARROW_TYPES[kind]


def broken(rule: Rule) -> str:
    """Return SQL that is true for a row that breaks the rule; false for `unique`, which concerns several rows."""
    column = quoted(rule.column)
    if rule.kind == "required":
        return f"({column} IS NULL)"
    if rule.kind == "between":
        bounds = [f"{column} < {rule.low}"] if rule.low is not None else []
        bounds += [f"{column} > {rule.high}"] if rule.high is not None else []
        return f"({' OR '.join(bounds)})"
    if rule.kind == "one_of":
        listed = ", ".join(map(literal, rule.values))
        return f"({column} NOT IN ({listed}))"
    if rule.kind == "matches":
        return f"(NOT regexp_matches({column}, {literal(rule.pattern)}))"
    if rule.kind == "not_before":
        return f"({column} < {quoted(rule.other)})"
    if rule.kind == "implies":
        return f"({column} AND NOT {quoted(rule.other)})"
    return "false"


def live_broken(table: Table, rule: Rule) -> str:
    """Return `broken` for the rows that a rule applies to: live ones, or all for the columns that every row needs."""
    is_for_all = rule not in table.body_rules and rule.kind in ("required", "unique")
    return broken(rule) if is_for_all else f"({LIVE} AND {broken(rule)})"


def count_sql(table: Table, relation: str) -> str:
    """Return one SQL scan: rows, deleted rows, then the number of broken rows of every rule."""
    counts = [
        f"count(*) - count(DISTINCT {quoted(rule.column)})"
        if rule.kind == "unique"
        else f"count(*) FILTER (WHERE {live_broken(table, rule)})"
        for rule in table.rules
    ]
    return f"SELECT {', '.join(['count(*)', 'count(*) FILTER (WHERE is_deleted)', *counts])} FROM {relation}"


def pandera_schema(
    table: Table, severities: Sequence[Severity] = ("error",)
) -> "pandera.DataFrameSchema":
    """Return the pandera schema of a table: types, order of columns, and rules of some severities."""
    import pandas as pd
    import pandera.pandas as pandera

    chosen = [rule for rule in table.rules if rule.severity in severities]
    columns = {
        column.name: pandera.Column(
            pd.ArrowDtype(arrow_type(column.type)),
            nullable=not _is_required(chosen, column.name),
            unique=any(r.kind == "unique" and r.column == column.name for r in chosen),
            checks=[_check(r) for r in chosen if r.column == column.name and r.kind in _CHECKS],
            description=column.description,
        )
        for column in table.columns
    }
    pairs = [_pair_check(rule) for rule in chosen if rule.other]
    return pandera.DataFrameSchema(
        columns, checks=pairs, strict=True, ordered=True, name=table.name
    )


def _is_required(rules: Sequence[Rule], column: str) -> bool:
    return any(rule.kind == "required" and rule.column == column for rule in rules)


_CHECKS: dict[str, Callable[[Rule], dict[str, Any]]] = {
    "one_of": lambda rule: {"statistic": "isin", "args": [list(rule.values)]},
    "between": lambda rule: {
        "statistic": "in_range",
        "args": [
            float("-inf") if rule.low is None else rule.low,
            float("inf") if rule.high is None else rule.high,
        ],
    },
    "matches": lambda rule: {"statistic": "str_matches", "args": [rule.pattern]},
}


def _check(rule: Rule) -> "pandera.Check":
    import pandera.pandas as pandera

    made = _CHECKS[rule.kind](rule)
    check: pandera.Check = getattr(pandera.Check, made["statistic"])(*made["args"], error=rule.name)
    return check


def _pair_check(rule: Rule) -> "pandera.Check":
    """Return the check of a rule about two columns of one row; NULL in either satisfies it."""
    import pandera.pandas as pandera

    def holds(frame: Any) -> Any:
        column, other = frame[rule.column], frame[rule.other]
        bad = column < other if rule.kind == "not_before" else column & ~other
        return ~bad.fillna(value=False)

    return pandera.Check(holds, error=rule.name)
