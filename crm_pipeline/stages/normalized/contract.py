"""Check a staged version before it is committed: all rows by SQL, types and a sample of live rows by pandera."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.contracts import LIVE, arrow_type, count_sql, live_broken, pandera_schema
from crm_pipeline.model.names import quoted, shown
from crm_pipeline.model.table import Rule, Table
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files

SAMPLE_ROWS = 500
EXAMPLES = 5
UNCONVERTED_SHARE = 0.2
"""If more than this share of a field's values (and `UNCONVERTED_ROWS`) do not fit, the field's type has changed."""
UNCONVERTED_ROWS = 20


@dataclass(frozen=True)
class RuleResult:
    """The result of a rule: the number of rows that break it and the keys of a few of them."""

    rule: str
    severity: str
    failures: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The result of the contract for a staged version.

    Attributes:
        unconverted: number of values that did not fit their column, by `<object>.<field>`.
        misfits: the fields of which so many values do not fit that their type must be another one.
    """

    rows: int
    deleted: int
    results: tuple[RuleResult, ...]
    unconverted: Mapping[str, int]
    misfits: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[RuleResult, ...]:
        """The rules that forbid the commit."""
        return tuple(r for r in self.results if r.severity == "error" and r.failures)

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """The broken rules that do not forbid the commit."""
        return tuple(r for r in self.results if r.severity == "warning" and r.failures)


@dataclass(frozen=True)
class PreviousVersion:
    """Whether the values of each field fitted their columns in the version before.

    A field whose values never fitted does not stop a build: a first load is not refused for a field with values
    of another type than the vendor states.
    """

    version: TableVersion | None = None

    def fitted(self, obj: str, field: str) -> bool:
        """Say whether the values of a field fitted their column."""
        if self.version is None or not self.version.rows:
            return False
        if f"{obj}.{field}" in self.version.meta.get("misfits", ()):
            return False
        fields = {obj["object"]: obj["fields"] for obj in self.version.meta.get("objects", ())}
        # The meta has no fields of objects whose rows are elements of records.
        return obj not in fields or any(name == field for name, *_ in fields[obj])


_FIRST = PreviousVersion()


def verify(
    engine: Engine,
    table: Table,
    paths: Sequence[Path],
    columns: Mapping[tuple[str, str], str],
    *,
    previous: PreviousVersion = _FIRST,
    hints: Mapping[tuple[str, str], str] | None = None,
) -> Verdict:
    """Check staged Parquet files against the contract of their table.

    Args:
        engine: runs the SQL.
        table: the table with its rules.
        paths: the files.
        columns: the column that a source field, `(object, field)`, feeds.
        previous: the version before.
        hints: text to add to the rule of a field whose values do not fit.
    """
    relation = parquet_files(paths)
    counted = engine.row(count_sql(table, relation))
    results = [
        RuleResult(
            rule.name,
            rule.severity,
            int(count),
            _examples(engine, table, rule, relation) if count else (),
        )
        for rule, count in zip(table.rules, counted[2:], strict=True)
    ]
    live = f"(SELECT * FROM {relation} WHERE {LIVE})"
    unconverted = unfit(engine, live)
    named = {f"{obj}.{field}": count for (obj, field), count in unconverted.items()}
    misfits = []
    for (obj, name), bad in unconverted.items():
        is_other = _is_other_type(engine, live, obj, columns.get((obj, name)), bad)
        misfits.extend([f"{obj}.{name}"] if is_other else [])
        hint = (hints or {}).get((obj, name), "")
        rule = f"{obj}.{shown(name)} fits {columns.get((obj, name))}{hint}"
        severity = "error" if is_other and previous.fitted(obj, name) else "warning"
        results.append(RuleResult(rule, severity, bad, _misfits(engine, live, obj, name)))
    results.append(_pandera(engine, table, live))
    rows, deleted = map(int, counted[:2])
    return Verdict(rows, deleted, tuple(results), named, tuple(misfits))


def refuse(name: str, verdict: Verdict) -> ContractError:
    """Return the error that says why a version is not committed."""
    broken = "; ".join(
        f"{r.rule}: {r.failures:,} rows"
        + (f" (such as {', '.join(r.examples)})" if r.examples else "")
        for r in verdict.errors
    )
    return ContractError(
        f"{name} breaks its contract: {broken}. The table keeps its current version.",
        failures=[(r.rule, r.failures, list(r.examples)) for r in verdict.errors],
        cure="Correct the records in the CRM, or map the field elsewhere in connections.yaml, and "
        "build the table again. If the type of a field was changed, run a backfill: records read "
        "before have the old values.",
    )


def _examples(engine: Engine, table: Table, rule: Rule, relation: str) -> tuple[str, ...]:
    key = quoted(table.key)
    if rule.kind == "unique":
        sql = f"SELECT {key} FROM {relation} GROUP BY ALL HAVING count(*) > 1 LIMIT {EXAMPLES}"
    else:
        sql = f"SELECT {key} FROM {relation} WHERE {live_broken(table, rule)} LIMIT {EXAMPLES}"
    return tuple(str(row[0]) for row in engine.rows(sql))


def unfit(engine: Engine, relation: str) -> dict[tuple[str, str], int]:
    """Return the number of values that did not fit their column, by `(object, field)`."""
    return {
        (obj, field): int(count)
        for obj, field, count in engine.rows(
            "SELECT object, field, count(*) FROM (SELECT object, unnest(unconverted) AS field "
            f"FROM {relation} WHERE unconverted IS NOT NULL) GROUP BY ALL ORDER BY 1, 2"
        )
    }


def _is_other_type(engine: Engine, relation: str, obj: str, column: str | None, bad: int) -> bool:
    """Say whether so many values of a field do not fit their column that it must be of another type."""
    if bad < UNCONVERTED_ROWS:
        return False
    good = (
        engine.row(
            f"SELECT count({quoted(column)}) FROM {relation} WHERE object = $object",
            {"object": obj},
        )[0]
        if column
        else 0
    )
    return bool(bad > UNCONVERTED_SHARE * (good + bad))


def _misfits(engine: Engine, relation: str, obj: str, field: str) -> tuple[str, ...]:
    rows = engine.rows(
        f"SELECT source_id FROM {relation} WHERE object = $object "
        f"AND list_contains(unconverted, $field) LIMIT {EXAMPLES}",
        {"object": obj, "field": field},
    )
    return tuple(str(row[0]) for row in rows)


def _pandera(engine: Engine, table: Table, relation: str) -> RuleResult:
    """Return the result of pandera's check of types and rules, on a sample that has the suspicious rows first."""
    import pandas as pd
    import pandera.errors

    suspects = [live_broken(table, rule) for rule in table.rules if rule.severity == "error"]
    sample = engine.arrow(
        f"(SELECT * FROM {relation} WHERE {' OR '.join(suspects)} LIMIT {SAMPLE_ROWS}) UNION ALL "
        f"(SELECT * FROM {relation} WHERE NOT coalesce({' OR '.join(suspects)}, false) "
        f"LIMIT {SAMPLE_ROWS})"
    )
    frame = sample.to_pandas(types_mapper=pd.ArrowDtype)
    try:
        pandera_schema(table).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        reasons = sorted({f"{c} {k}" for c, k in zip(cases["column"], cases["check"], strict=True)})
        return RuleResult("pandera", "error", len(cases), tuple(reasons[:EXAMPLES]))
    return RuleResult("pandera", "error", 0)


def column_schema(table: Table) -> Sequence[Mapping[str, Any]]:
    """Return the name, type and description of each of the table's columns."""
    return [
        {
            "name": c.name,
            "type": c.type,
            "arrow": str(arrow_type(c.type)),
            "description": c.description,
        }
        for c in table.columns
    ]
