"""The contract of a table of the model: as rules for a build, and as the pandera schema that they are compiled from.

A build needs the rules only, and importing pandera takes longer than judging a million rows. So they are made without
it, and a test proves for every table that compiling the schema gives the same rules.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from crm_pipeline.contracts.conditions import broken_by
from crm_pipeline.contracts.pairs import implies, not_before
from crm_pipeline.contracts.rules import Policies, Policy, RowRule
from crm_pipeline.model.contracts import arrow_type
from crm_pipeline.model.names import quoted
from crm_pipeline.model.table import Rule, Table

if TYPE_CHECKING:
    import pandera.pandas as pandera

_POLICY: Mapping[str, Policy] = {"error": "block", "warning": "warn"}
_CHECKS = {"one_of": "isin", "between": "in_range", "matches": "str_matches"}


def model_rules(
    table: Table, types: Mapping[str, pa.DataType], policies: Policies | None = None
) -> tuple[RowRule, ...]:
    """Return the rules of a table: its columns and types, and what the model says of its rows.

    Args:
        table: the table.
        types: the types of the columns that there are, in their order.
        policies: the user's; the rules about keys stay as they are.
    """
    rules = [*_of_columns(table, types), *(_row_rule(table, rule) for rule in table.rules)]
    return tuple(
        rule if rule.all_rows else (policies or Policies()).applied(rule) for rule in rules
    )


def is_for_all(table: Table, rule: Rule) -> bool:
    """Say whether a rule is about deleted rows as well: it is about a column that every row needs."""
    return rule not in table.body_rules and rule.kind in {"required", "unique"}


def schema_of(table: Table) -> "pandera.DataFrameSchema":
    """Return the contract of a table as a pandera schema."""
    import pandas as pd
    import pandera.pandas as pandera

    columns = {}
    for column in table.columns:
        own = [rule for rule in table.rules if rule.column == column.name]
        required = [rule for rule in own if rule.kind == "required"]
        metadata: dict[str, Any] = {}
        if required:
            metadata["policy"] = {"nullable": _POLICY[required[0].severity]}
        if any(is_for_all(table, rule) for rule in own):
            metadata["rows"] = "all"
        columns[column.name] = pandera.Column(
            pd.ArrowDtype(arrow_type(column.type)),
            nullable=not required,
            unique=any(rule.kind == "unique" for rule in own),
            checks=[_check(rule) for rule in own if rule.kind in _CHECKS],
            description=column.description,
            metadata=metadata or None,
        )
    return pandera.DataFrameSchema(
        columns,
        checks=[_pair(rule) for rule in table.rules if rule.other],
        strict=True,
        ordered=True,
        name=table.name,
        description=table.description,
    )


def _of_columns(table: Table, types: Mapping[str, pa.DataType]) -> list[RowRule]:
    faults = []
    for column in table.columns:
        kind = types.get(column.name)
        if kind is None:
            faults.append((f"column {column.name} is missing", "column", column.name))
        elif not _is_same(arrow_type(column.type), kind):
            text = f"{column.name} is {kind} and not {arrow_type(column.type)}"
            faults.append((text, "dtype", column.name))
    faults += [
        (f"column {name} is not in the contract", "strict", name)
        for name in types
        if name not in table.by_name
    ]
    there = [name for name in types if name in table.by_name]
    if there != [column.name for column in table.columns if column.name in types]:
        faults.append(("columns are in another order", "ordered", ""))
    return [
        RowRule(text, check, (name,), "true", all_rows=True, is_static=True)
        for text, check, name in faults
    ]


def _is_same(wanted: pa.DataType, kind: pa.DataType) -> bool:
    return bool(
        wanted == kind
        or (pa.types.is_timestamp(wanted) and pa.types.is_timestamp(kind) and kind.tz is not None)
    )


def _row_rule(table: Table, rule: Rule) -> RowRule:
    column = quoted(rule.column)
    policy = _POLICY[rule.severity]
    all_rows = is_for_all(table, rule)
    if rule.kind == "unique":
        return RowRule(
            rule.name, "unique", (rule.column,), "false", policy, (rule.column,), all_rows=all_rows
        )
    if rule.kind == "required":
        broken = f"({column} IS NULL)"
        return RowRule(rule.name, "nullable", (rule.column,), broken, policy, all_rows=all_rows)
    if rule.other:
        pair = "({0} < {1})" if rule.kind == "not_before" else "({0} AND NOT {1})"
        broken = pair.format(column, quoted(rule.other))
        return RowRule(rule.name, rule.kind, (rule.column, rule.other), broken, policy)
    check = _CHECKS[rule.kind]
    kind = arrow_type(table.by_name[rule.column].type)
    made = broken_by(check, _facts(rule), column, kind)
    if made is None:
        raise ValueError(f"the rule '{rule.name}' of {table.name} cannot be compiled")
    return RowRule(rule.name, check, (rule.column,), made, policy)


def _facts(rule: Rule) -> dict[str, Any]:
    if rule.kind == "one_of":
        return {"allowed_values": list(rule.values)}
    if rule.kind == "matches":
        return {"pattern": rule.pattern}
    low, high = _bound(rule.low), _bound(rule.high)
    return {
        "min_value": float("-inf") if low is None else low,
        "max_value": float("inf") if high is None else high,
    }


def _bound(value: float | None) -> float | None:
    """Return a bound, a whole one as int: amounts are not compared with fractions exactly."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check(rule: Rule) -> "pandera.Check":
    import pandera.pandas as pandera

    made: pandera.Check = getattr(pandera.Check, _CHECKS[rule.kind])(
        **_facts(rule), error=rule.name, raise_warning=rule.severity == "warning"
    )
    return made


def _pair(rule: Rule) -> "pandera.Check":
    make = not_before if rule.kind == "not_before" else implies
    return make(rule.column, rule.other, error=rule.name, raise_warning=rule.severity == "warning")
