import csv
import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.cli.spreadsheet import harmless
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.test_query import published, snapshot  # noqa: F401 - fixtures


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+49 30 1234",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1+1",
    ],
)
def test_formulas_become_text(cell: str) -> None:
    """A text that a spreadsheet would run gets an apostrophe, and loses nothing."""
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize(
    "cell",
    [
        "-5",
        "+493012345",
        "-1.5e-3",
        "+0,5",
        "-10%",
        "",
        "a=b",
        "jane@acme.com",
        " =1",
        -5,
        Decimal("-1.50"),
        dt.date(2026, 1, 2),
        dt.timedelta(days=-1),
        None,
        True,
    ],
)
def test_others_stay(cell: Any) -> None:
    """Numbers, dates, and texts that are plain numbers or plain text are as they were."""
    assert harmless(cell) is cell


@pytest.mark.parametrize(("option", "mark"), [("--csv", "'"), ("--raw-csv", "")])
def test_query_writes_no_formulas(run: Run, published: object, option: str, mark: str) -> None:  # noqa: F811
    """`query --csv` neutralises cells and headings, `--raw-csv` writes them as they are."""
    result = run("query", """SELECT '=1+1' AS "=name", -5 AS n, '+1 (2)' AS phone""", option)
    assert result.exit_code == 0
    heading, row = csv.reader(io.StringIO(result.stdout))
    assert heading == [f"{mark}=name", "n", "phone"]
    assert row == [f"{mark}=1+1", "-5", f"{mark}+1 (2)"]


def test_no_part_of_a_cell_becomes_a_cell(run: Run, published: object) -> None:  # noqa: F811
    """`query --csv` quotes all cells: a spreadsheet may part them at semicolons, and rows at any line end."""
    sql = """SELECT 'b;=1+1' AS "a;=2", 'a' || chr(13) || '=cmd' AS r, 5 AS n, NULL AS nothing"""
    assert run("query", sql, "--csv").stdout == (
        '"a;=2","r","n","nothing"\n"b;=1+1","a\r=cmd","5",""\n'
    )


def test_a_carriage_return_begins_no_row(run: Run, published: object) -> None:  # noqa: F811
    """`query --raw-csv` quotes what would end a row, and nothing else."""
    assert run("query", "SELECT 'a' || chr(13) || '=cmd' AS x, 'b;c' AS y", "--raw-csv").stdout == (
        'x,y\n"a\r=cmd",b;c\n'
    )
