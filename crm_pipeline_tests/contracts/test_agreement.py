"""Compiled checks and pandera count the same rows, for every kind of check and column, with fresh seeds."""

import os
import random
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pandera.errors
import pandera.pandas as pandera
import pyarrow as pa
import pytest

from crm_pipeline.contracts import Subject, conditions, implies, judged, not_before
from crm_pipeline.contracts.compiled import compiled
from crm_pipeline.store.tables.engine import Engine

ROWS = 60
NAN = float("nan")
KINDS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (
        pa.string(),
        [
            "",
            "a",
            "b",
            "ab",
            "Ab",
            "a\nb",
            "b\n",
            "é",
            "🤦🏼‍♂️",
            "a'b",
            "a%b",
            " a",
            "01",
            "NaN",
            "\0x",
        ],
    ),
    "whole": (pa.int64(), [0, 1, -1, 2, 5, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
    "float": (pa.float64(), [0.0, -0.0, 1.0, 1.5, -1.5, NAN, float("inf"), float("-inf"), 1e300]),
    "amount": (
        pa.decimal128(24, 6),
        [Decimal(n) for n in ("0", "1", "1.1", "-1.1", "2.500001", "999999999999999999")],
    ),
    "flag": (pa.bool_(), [True, False]),
    "day": (pa.date32(), [date(2026, 1, 1), date(2026, 1, 2), date(1, 1, 1), date(9999, 12, 31)]),
    "at": (
        pa.timestamp("us", "UTC"),
        [
            datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
            for n in (0, 1, 86_400_000_000)
        ],
    ),
}
BOUNDS: dict[str, list[Any]] = {
    "whole": [0, 1, 2**53 + 1, 0.5, 1.0, float(2**53), float("inf"), float("-inf")],
    "float": [0, 1, -1, 0.0, 1.5, float("inf"), float("-inf"), 1e300],
    "amount": [0, 1, -1, Decimal("1.1"), Decimal("2.500001")],
    "at": [pd.Timestamp("2026-01-01", tz="UTC"), datetime(2026, 1, 2, tzinfo=UTC)],
}
MADE_OF_TEXT = {
    "str_matches": lambda r: [
        r.choice(["a", "^a", "a$", "a|b", "^a|b", "(?i)A", "[a-z]+$", ".b", ""])
    ],
    "str_contains": lambda r: [r.choice(["b", "^b", "b$", "a.b", "a|é", "'", "%", r"\d"])],
    "str_startswith": lambda r: [r.choice(["a", "", "🤦", "a'", "\0"])],
    "str_endswith": lambda r: [r.choice(["b", "", "\n", "♂️"])],
    "str_length": lambda r: r.choice([[1, 2], [None, 1], [2, None], [3, 5]]),
}
COMPARED = ("equal_to", "not_equal_to", "greater_than", "less_than")
COMPARED_OR_EQUAL = ("greater_than_or_equal_to", "less_than_or_equal_to")


def check_of(chosen: random.Random, kind: str) -> pandera.Check:
    """Return a random check of a column of a kind."""
    values = BOUNDS.get(kind, KINDS[kind][1])
    members = [v for v in KINDS[kind][1] if v == v]
    makers: list[Callable[[], pandera.Check]] = [
        lambda: getattr(pandera.Check, chosen.choice(COMPARED))(chosen.choice(values)),
        lambda: getattr(pandera.Check, chosen.choice(COMPARED_OR_EQUAL))(chosen.choice(values)),
    ]
    if kind != "amount":
        some = chosen.sample(members, k=chosen.randint(0, len(members)))
        makers.append(lambda: getattr(pandera.Check, chosen.choice(["isin", "notin"]))(some))
    if kind != "flag":
        ends = {"include_min": chosen.random() < 0.5, "include_max": chosen.random() < 0.5}
        low, high = sorted(chosen.choice(values) for _ in range(2))
        if kind == "amount" and chosen.random() < 0.3:
            low, high = chosen.choice([(float("-inf"), high), (low, float("inf"))])
        if not (low == high and not all(ends.values())):
            makers.append(lambda: pandera.Check.in_range(low, high, **ends))
    if kind == "text":
        name = chosen.choice(list(MADE_OF_TEXT))
        makers.append(lambda: getattr(pandera.Check, name)(*MADE_OF_TEXT[name](chosen)))
    return chosen.choice(makers)()


def contract_of(chosen: random.Random) -> pandera.DataFrameSchema:
    """Return a schema with random checks of all kinds of columns."""
    columns = {
        kind: pandera.Column(
            pd.ArrowDtype(arrow),
            [check_of(chosen, kind) for _ in range(4)],
            nullable=chosen.random() < 0.7,
            unique=chosen.random() < 0.3,
            report_duplicates=chosen.choice(["all", "exclude_first", "exclude_last"]),
        )
        for kind, (arrow, _) in KINDS.items()
    }
    pairs = [not_before("day", "other day"), implies("flag", "other flag")]
    columns |= {f"other {kind}": pandera.Column(nullable=True) for kind in ("day", "flag")}
    columns["key"] = pandera.Column()
    unique = chosen.choice([None, ["flag", "day"], ["text"]])
    return pandera.DataFrameSchema(columns, pairs, unique=unique)


def rows_of(chosen: random.Random) -> pa.Table:
    """Return random rows: every value of every kind, and NULL."""
    named = {**{kind: kind for kind in KINDS}, "other day": "day", "other flag": "flag"}
    columns = {
        name: pa.array(
            [chosen.choice([*KINDS[kind][1], None]) for _ in range(ROWS)], KINDS[kind][0]
        )
        for name, kind in named.items()
    }
    return pa.table({**columns, "key": [f"k{n:02}" for n in range(ROWS)]})


def by_pandera(schema: pandera.DataFrameSchema, rows: pa.Table) -> dict[tuple[str, str], set[int]]:
    """Return the rows that break each check, as pandera says."""
    broken: dict[tuple[str, str], set[int]] = {}
    try:
        schema.validate(rows.to_pandas(types_mapper=pd.ArrowDtype), lazy=True)
    except pandera.errors.SchemaErrors as error:
        for case in error.failure_cases.to_dict("records"):
            assert case["index"] == case["index"], f"pandera could not judge: {case}"
            is_pair = case["schema_context"] != "Column"
            number = "" if pd.isna(case["check_number"]) else int(case["check_number"])
            name = (
                ("", f"{case['check']}")
                if is_pair
                else (case["column"], f"{case['check']} {number}")
            )
            broken.setdefault(name, set()).add(int(case["index"]))
    return broken


def by_sql(
    engine: Engine, schema: pandera.DataFrameSchema, rows: pa.Table
) -> dict[tuple[str, str], int]:
    """Return how many rows break each check, as the compiled rules say."""
    relation = engine.load("judged rows", rows)
    types = {field.name: field.type for field in rows.schema}
    contract = compiled(schema, types)
    assert not contract.left, [one.rule.name for one in contract.left]
    results = judged(engine, Subject(relation, "key"), contract.rules)
    counts: dict[tuple[str, str], int] = {}
    numbers: dict[str, int] = {}
    for rule, result in zip(contract.rules, results, strict=True):
        assert bool(result.failures) == bool(result.examples)
        if (rule.check == "unique" and len(rule.unique) > 1) or rule.name.endswith("together"):
            name = ("", "multiple_fields_uniqueness")
        elif rule.check in {"unique", "nullable"}:
            name = (
                rule.columns[0],
                {"unique": "field_uniqueness ", "nullable": "not_nullable "}[rule.check],
            )
        elif len(rule.columns) > 1:
            name = ("", rule.name)
        else:
            number = numbers[rule.columns[0]] = numbers.get(rule.columns[0], -1) + 1
            check = re.sub(r" \(\d\)$", "", rule.name.partition(": ")[2])
            name = (rule.columns[0], f"{check} {number}")
        counts[name] = result.failures
    return counts


def alike(values: pa.ChunkedArray | pa.Table, keep: str) -> int:
    """Return how many values pandas calls duplicated: pandera does not list the empty ones among its cases.

    Whole numbers stay Python's: next to an empty one, pandas rounds them to doubles here.
    """
    frame = values.to_pandas(types_mapper=pd.ArrowDtype)
    exact = (
        frame.astype(object) if pa.types.is_integer(getattr(values, "type", pa.null())) else frame
    )
    wanted = keep.removeprefix("exclude_")
    return int(exact.duplicated(keep=False if wanted == "all" else wanted).sum())


def disagreements(engine: Engine, seed: int) -> list[str]:
    """Return what compiled checks and pandera count differently for one seed."""
    chosen = random.Random(seed)
    schema, rows = contract_of(chosen), rows_of(chosen)
    theirs, ours = by_pandera(schema, rows), by_sql(engine, schema, rows)
    found = []
    for name in sorted({*theirs, *(name for name, count in ours.items() if count)}):
        expected, count = theirs.get(name, set()), ours.get(name, 0)
        number = len(expected)
        if name[1].endswith("uniqueness "):
            number = alike(rows[name[0]], schema.columns[name[0]].report_duplicates)
        elif name[1] == "multiple_fields_uniqueness":
            number = alike(rows.select(schema.unique), "all")
        if number != count:
            found.append(f"seed {seed}: {name}: pandera {number}, SQL {count}")
    return found


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    with Engine(tmp_path_factory.mktemp("engine")) as made:
        yield made


def seeds() -> list[int]:
    """Return fresh seeds, or the one to look at again."""
    given = os.environ.get("CONTRACT_SEED")
    return [int(given)] if given else random.SystemRandom().sample(range(2**32), 3)


def test_compiled_checks_agree_with_pandera(engine):
    """Each check of each kind of column is broken by the same number of rows in one SQL scan and in pandera."""
    assert [line for seed in seeds() for line in disagreements(engine, seed)] == []


@pytest.mark.parametrize(
    ("kind", "check", "name", "planted"),
    [
        ("text", pandera.Check.str_matches("a"), "regexp_matches(", "regexp_full_match("),
        ("text", pandera.Check.str_length(1, 1), "length(", "strlen("),
        ("text", pandera.Check.isin(["a", "b"]), "NOT", ""),
        ("float", pandera.Check.gt(0), "isnan(", "false AND isnan("),
        ("float", pandera.Check.notin([0.0]), "AND signbit(", "OR signbit("),
        ("whole", pandera.Check.ge(1), ">=", ">"),
    ],
)
def test_a_planted_disagreement_is_found(engine, monkeypatch, kind, check, name, planted):
    """A compiled check that means something slightly different is noticed."""
    schema = pandera.DataFrameSchema({kind: pandera.Column(checks=check, nullable=True)})
    arrow, values = KINDS[kind]
    rows = pa.table(
        {kind: pa.array([*values, None], arrow), "key": [f"{n}" for n in range(len(values) + 1)]}
    )
    [expected] = [len(broken) for broken in by_pandera(schema, rows).values()]
    assert sum(by_sql(engine, schema, rows).values()) == expected
    made = conditions.broken_by

    def other(*arguments):
        sql = made(*arguments)
        assert sql
        assert name in sql
        return sql.replace(name, planted)

    monkeypatch.setattr("crm_pipeline.contracts.compiled.broken_by", other)
    assert sum(by_sql(engine, schema, rows).values()) != expected
