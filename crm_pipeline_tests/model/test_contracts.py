import random
from collections import Counter

import duckdb
import pandas as pd
import pandera.errors
import pytest

from crm_pipeline.model.contracts import count_sql, pandera_schema
from crm_pipeline.model.table import Rule, Table, day, flag, number, text
from crm_pipeline.model.tables import TABLES

TABLE = Table(
    "things",
    "thing",
    "Things with every kind of rule.",
    (
        text("kind", "One of a, b."),
        text("email", "E-mail."),
        number("share", "Percent."),
        day("starts_on", "First day."),
        day("ends_on", "Last day."),
        flag("is_won", "Won."),
        flag("is_closed", "Closed."),
    ),
    (
        Rule("required", "kind"),
        Rule("one_of", "kind", values=("a", "b")),
        Rule("matches", "email", pattern=r"^[^@\s]+@[^@\s]+$", form="an address"),
        Rule("between", "share", low=0, high=100),
        Rule("not_before", "ends_on", other="starts_on"),
        Rule("implies", "is_won", other="is_closed"),
    ),
)
CHOICES = {
    "thing_key": ["'k1'", "'k2'", "'k3'"],
    "kind": ["'a'", "'b'", "'c'", "NULL"],
    "email": ["'a@b'", "'a b@c'", "''", "NULL"],
    "share": ["-1", "0", "50.5", "100", "100.1", "NULL"],
    "starts_on": ["DATE '2026-01-01'", "DATE '2026-01-02'", "NULL"],
    "ends_on": ["DATE '2026-01-01'", "DATE '2026-01-02'", "NULL"],
    "is_won": ["true", "false", "NULL"],
    "is_closed": ["true", "false", "NULL"],
    "connection": ["'acme'", "NULL"],
    "is_deleted": ["false", "NULL"],
}
NEVER_NULL = ("object", "source_id", "batch_id")


def rows(seed: int, count: int) -> str:
    """Make random rows as SQL."""
    chosen = random.Random(seed)
    lines = []
    for _ in range(count):
        cells = [f"CAST({_cell(chosen, c.name)} AS {c.type}) AS {c.name}" for c in TABLE.columns]
        lines.append(f"SELECT {', '.join(cells)}")
    return f"({' UNION ALL '.join(lines)})"


def _cell(chosen: random.Random, name: str) -> str:
    return "'x'" if name in NEVER_NULL else chosen.choice(CHOICES.get(name, ["NULL"]))


@pytest.mark.parametrize("seed", range(8))
def test_sql_and_pandera_agree(seed):
    """On random rows our one scan and pandera count the same broken rows for every rule."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        relation = rows(seed, 12)
        ours = database.execute(count_sql(TABLE, relation)).fetchall()[0][2:]
        frame = database.sql(f"SELECT * FROM {relation}").to_arrow_table()
    failures: Counter[str] = Counter()
    try:
        pandera_schema(TABLE, ("error", "warning")).validate(
            frame.to_pandas(types_mapper=pd.ArrowDtype), lazy=True
        )
    except pandera.errors.SchemaErrors as error:
        seen = set()
        for case in error.failure_cases.to_dict("records"):
            name = {
                "not_nullable": f"{case['column']} is empty",
                "field_uniqueness": f"{case['column']} is not unique",
            }.get(str(case["check"]), str(case["check"]))
            if (name, case["index"]) not in seen:
                seen.add((name, case["index"]))
                failures[name] += 1
    expected = {
        rule.name: count
        for rule, count in zip(TABLE.rules, ours, strict=True)
        if count and rule.kind != "unique"
    }
    unique = failures.pop("thing_key is not unique", 0)
    assert dict(failures) == expected
    assert bool(unique) == bool(ours[[r.kind for r in TABLE.rules].index("unique")])


def test_deleted_rows_break_only_what_every_row_needs():
    """A table's own rules apply to live rows and to rows without a deletion mark; rules of keys to all."""
    row = "SELECT NULL AS thing_key, 'c' AS kind, {} AS is_deleted"
    relation = f"({' UNION ALL '.join(row.format(flag) for flag in ('true', 'false', 'NULL'))})"
    with duckdb.connect() as database:
        empty = ", ".join(f"CAST(NULL AS {c.type}) AS {c.name}" for c in TABLE.columns)
        rows = f"(SELECT {empty} WHERE false UNION ALL BY NAME FROM {relation})"
        counted = database.execute(count_sql(TABLE, rows)).fetchall()[0][2:]
    failures = {rule.name: count for rule, count in zip(TABLE.rules, counted, strict=True)}
    assert (failures["thing_key is empty"], failures["kind is not one of a, b"]) == (3, 2)


def test_rules_are_called_by_what_is_wrong():
    """Names of rules read well after a table's name, and are unique in each table."""
    names = [
        *("kind is empty", "kind is not one of a, b", "email is not an address"),
        *("share is not between 0 and 100", "ends_on before starts_on", "is_won but not is_closed"),
    ]
    assert [rule.name for rule in TABLE.body_rules] == names
    assert Rule("between", "rate", low=0).name == "rate is below 0"
    assert Rule("between", "rate", high=0.5).name == "rate is above 0.5"
    for table in TABLES.values():
        assert len({rule.name for rule in table.rules}) == len(table.rules)
