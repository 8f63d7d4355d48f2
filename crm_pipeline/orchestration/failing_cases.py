"""Broken rules as a table in the metadata of a check: rules, counts and keys, never values."""

from collections.abc import Iterable

import dagster as dg

from crm_pipeline.contracts import RuleResult

_COLUMNS = (
    ("rule", "string", "What is wrong with a row that breaks it."),
    (
        "severity",
        "string",
        "error: nothing was committed. warning: look at it. note: good to know.",
    ),
    ("policy", "string", "block, quarantine, warn or evolve."),
    ("rows", "int", "How many rows break it."),
    ("changed", "int", "How many of the rows that changed since the version before break it."),
    ("of_changed", "int", "How many rows changed."),
    ("such_as", "string", "Keys of a few such rows."),
)


def failing_cases(results: Iterable[RuleResult]) -> dg.MetadataValue:
    """Return the table of broken rules."""
    records = [
        dg.TableRecord(
            {
                "rule": result.rule,
                "severity": result.severity,
                "policy": result.policy,
                "rows": result.failures,
                "changed": result.changed,
                "of_changed": result.changed_rows if result.changed is not None else None,
                "such_as": ", ".join(result.examples),
            }
        )
        for result in results
    ]
    columns = [dg.TableColumn(name, kind, description) for name, kind, description in _COLUMNS]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))
