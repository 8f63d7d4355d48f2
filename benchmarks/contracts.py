"""Contracts: one million rows judged by compiled rules and by pandera, and a user's own checks over 800,000.

`python -m benchmarks.contracts`. Each case is a process of its own, reads the same Parquet file, and does not count
its imports. pandera's frame is made before its time is taken; the compiled rules read the file.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.measuring import Figures, alone, measured, medians, table
from crm_pipeline.store.tables.engine import Engine

ROWS = 1_000_000
_NARROW = """
SELECT 'acme:Opportunity:' || i AS deal_key,
    CASE WHEN i % 1000 = 7 THEN NULL ELSE 'Deal ' || i END AS name,
    ['Open', 'Won', 'Lost', 'Odd'][1 + (CASE WHEN i % 997 = 0 THEN 3 ELSE i % 3 END)::INT] AS stage,
    CASE WHEN i % 991 = 0 THEN 'no address' ELSE 'p' || i || '@example.com' END AS email,
    CAST((i * 7919) % 1000000 - (CASE WHEN i % 983 = 0 THEN 1000001 ELSE 0 END) AS DECIMAL(24, 6)) AS amount,
    CAST((i * 31) % 101 + (CASE WHEN i % 977 = 0 THEN 50 ELSE 0 END) AS DOUBLE) AS probability,
    TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_minutes(i % 100000) AS created_at,
    TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_minutes(i % 100000 + CASE WHEN i % 971 = 0 THEN -5 ELSE 5 END)
        AS modified_at,
    i % 2 = 0 AS is_won
FROM range({rows}) t(i)
"""
_MORE = 21


def report(rounds: int = 3) -> str:
    """Measure, and return a table in Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--folder", folder)
        alone("benchmarks.contracts", "--case", "data", *arguments)
        cases = ("compiled 9", "pandera 9", "compiled 30", "pandera 30", "own checks")
        runs: dict[str, list[Figures]] = {case: [] for case in cases}
        for _ in range(rounds):
            for case in cases:
                runs[case].append(alone("benchmarks.contracts", "--case", case, *arguments))
        figures = {case: medians(of_case) for case, of_case in runs.items()}
    if figures["compiled 9"]["broken"] != figures["pandera 9"]["broken"]:
        raise AssertionError(f"compiled rules and pandera disagree: {figures}")
    base = figures["compiled 9"]["seconds"]
    return table(
        ("case", "rows", "rules broken", "seconds", "to compiled 9", "CPU s", "peak MB"),
        [
            (
                case,
                f"{done['rows']:,.0f}",
                f"{done['broken']:.0f}",
                f"{done['seconds']:.2f}",
                f"{done['seconds'] / base:.1f}",
                f"{done['cpu_s']:.2f}",
                f"{done['peak_mb']:,.0f}",
            )
            for case, done in figures.items()
        ],
    )


def _data(folder: Path) -> Figures:
    rows = _NARROW.format(rows=ROWS)
    wide = ", ".join(
        f"(hash(deal_key, {n}) % 1000)::BIGINT AS n{n}" if n % 2 else f"name || '{n}' AS t{n}"
        for n in range(_MORE)
    )
    with _engine(folder) as engine:
        engine.copy_to(rows, folder / "9.parquet")
        engine.copy_to(f"SELECT *, {wide} FROM ({rows})", folder / "30.parquet")
        engine.copy_to(f"({rows} LIMIT 800000)", folder / "own.parquet")
    return {"rows": ROWS}


def _schema(columns: int) -> "pandera.DataFrameSchema":  # noqa: F821 - imported where it is needed
    import pandas as pd
    import pandera.pandas as pandera
    import pyarrow as pa

    from crm_pipeline.contracts import not_before

    check, column = pandera.Check, pandera.Column
    text, whole = pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.int64())
    instant = pd.ArrowDtype(pa.timestamp("us", "UTC"))
    made = {
        "deal_key": column(text, unique=True),
        "name": column(text),
        "stage": column(text, check.isin(["Open", "Won", "Lost"])),
        "email": column(text, check.str_matches(r"^[^@\s]+@[^@\s]+$")),
        "amount": column(pd.ArrowDtype(pa.decimal128(24, 6)), check.ge(0)),
        "probability": column(pd.ArrowDtype(pa.float64()), check.in_range(0, 100)),
        "created_at": column(instant),
        "modified_at": column(instant),
        "is_won": column(pd.ArrowDtype(pa.bool_())),
    }
    for n in range(_MORE if columns > 9 else 0):
        of_number = column(whole, check.in_range(0, 990))
        made[f"n{n}" if n % 2 else f"t{n}"] = (
            of_number if n % 2 else column(text, check.str_length(1, 12), nullable=True)
        )
    return pandera.DataFrameSchema(made, not_before("modified_at", "created_at"))


def _compiled(folder: Path, columns: int) -> Figures:
    from crm_pipeline.contracts import Subject, judged
    from crm_pipeline.contracts.compiled import compiled
    from crm_pipeline.store.tables.engine import parquet_files

    schema = _schema(columns)
    broken: Figures = {}
    relation = parquet_files([folder / f"{columns}.parquet"])

    def run() -> int:
        with _engine(folder) as engine:
            found = engine.arrow(f"SELECT * FROM {relation} LIMIT 0").schema
            contract = compiled(schema, {field.name: field.type for field in found})
            assert not contract.left
            results = judged(engine, Subject(relation, "deal_key"), contract.rules)
        broken["broken"] = sum(1 for result in results if result.failures)
        return ROWS

    return {**measured(run), **broken}


def _by_pandera(folder: Path, columns: int) -> Figures:
    import pandas as pd
    import pandera.errors
    import pyarrow.parquet as pq

    schema = _schema(columns)
    rows = pq.read_table(folder / f"{columns}.parquet")
    frame = rows.to_pandas(types_mapper=pd.ArrowDtype)
    broken: Figures = {}

    def run() -> int:
        try:
            schema.validate(frame, lazy=True, inplace=True)
        except pandera.errors.SchemaErrors as error:
            broken["broken"] = len({(e.column_name, str(e.check)) for e in error.schema_errors})
        return len(frame)

    return {**measured(run), **broken}


_OWN = """
import pandera.pandas as pa
from pandera.typing import Series


class Deals(pa.DataFrameModel):
    deal_key: str = pa.Field(unique=True)
    stage: str = pa.Field(isin=["Open", "Won", "Lost"])
    amount: float = pa.Field(ge=0)
    email: str = pa.Field(nullable=True)

    class Config:
        name = "deals"

    @pa.check("email")
    def has_a_host(cls, texts: Series[str]) -> Series[bool]:
        return texts.str.split("@").str.len() == 2

    @pa.check("name", element_wise=True)
    def is_titled(cls, text: str) -> bool:
        return text[:1].isupper()

    @pa.dataframe_check
    def won_deals_are_likely(cls, rows):
        return ~rows["is_won"] | (rows["probability"] >= 0)

    name: str = pa.Field(nullable=True)
"""


def _own(folder: Path) -> Figures:
    from crm_pipeline.contracts import Subject, judged
    from crm_pipeline.contracts.files import FOLDER, ContractFolder
    from crm_pipeline.contracts.user import user_rules
    from crm_pipeline.store.tables.engine import parquet_files

    (folder / FOLDER).mkdir(exist_ok=True)
    (folder / FOLDER / "deals.py").write_text(_OWN)
    relation = parquet_files([folder / "own.parquet"])
    broken: Figures = {}

    def run() -> int:
        with _engine(folder) as engine:
            found = engine.arrow(f"SELECT * FROM {relation} LIMIT 0").schema
            types = {field.name: field.type for field in found}
            rules = user_rules(ContractFolder(folder), ("deals",), types, "deals")
            subject = Subject(relation, "deal_key")
            results = [
                *judged(engine, subject, rules.rules),
                *rules.judged_by_pandera(engine, subject),
            ]
        broken["broken"] = sum(1 for result in results if result.failures)
        return 800_000

    return {**measured(run), **broken}


def _engine(folder: Path) -> Engine:
    return Engine(folder / "tmp")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contracts", description=__doc__)
    parser.add_argument("--case", default="")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if not options.case:
        print(report())
        return
    cases: Mapping[str, Callable[[], Figures]] = {
        "data": lambda: _data(options.folder),
        "compiled 9": lambda: _compiled(options.folder, 9),
        "compiled 30": lambda: _compiled(options.folder, 30),
        "pandera 9": lambda: _by_pandera(options.folder, 9),
        "pandera 30": lambda: _by_pandera(options.folder, 30),
        "own checks": lambda: _own(options.folder),
    }
    print(json.dumps(cases[options.case]()))


if __name__ == "__main__":
    main()
