import csv
import io
import json
from pathlib import Path

import duckdb
import pytest

from crm_pipeline_tests.cli.conftest import Run


@pytest.fixture
def published(project: Path) -> Path:
    (project / "data" / "snapshots").mkdir(parents=True)
    path = project / "data" / "crm.duckdb"
    path.symlink_to("snapshots/crm-1.duckdb")
    with duckdb.connect(str(path.parent / "snapshots" / "crm-1.duckdb")) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute(
            "CREATE TABLE crm.contacts AS SELECT * FROM (VALUES"
            " (1, 'Zoë, \"Z\"', 12.30::DECIMAL(18,2), TIMESTAMPTZ '2026-01-02 03:04:05Z', true),"
            " (2, NULL, 99999999999999999999.01::DECIMAL(38,2), NULL, false)"
            ") AS t(id, name, amount, created_at, is_live)"
        )
    return path


SQL = "FROM crm.contacts ORDER BY id"


def test_table_for_people(run: Run, published: Path) -> None:
    """Without an option rows are shown as a table."""
    result = run("query", SQL)
    assert result.exit_code == 0
    assert "created_at" in result.stdout
    assert 'Zoë, "Z"' in result.stdout
    assert "2026-01-02 03:04:05" in result.stdout


def test_table_stops_at_fifty_rows(run: Run, published: Path) -> None:
    """A long result is cut for people, which is said, and whole for scripts."""
    people = run("query", "FROM range(60)")
    assert "50" in people.stderr
    assert len(run("query", "FROM range(60)", "--csv").stdout.splitlines()) == 61


def test_json_keeps_values(run: Run, published: Path) -> None:
    """JSON holds numbers as numbers where that loses nothing, and instants with their zone."""
    first, second = json.loads(run("query", SQL, "--json").stdout)
    assert first["name"] == 'Zoë, "Z"'
    assert first["amount"] == 12.3
    assert first["created_at"] == "2026-01-02T03:04:05Z"
    assert second["amount"] == "99999999999999999999.01"
    assert second["name"] is None


def test_csv_from_stdin(run: Run, published: Path) -> None:
    """A statement may come from stdin, and CSV quotes what needs it."""
    result = run("query", "-", "--csv", input=SQL)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert rows[0]["name"] == 'Zoë, "Z"'
    assert rows[1]["name"] == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["SELECT nme FROM crm.contacts"], 1, "SHOW ALL TABLES"),
        (["SELEC 1"], 1, "DuckDB says"),
        (["DELETE FROM crm.contacts"], 1, "read-only"),
        (["SELECT 1", "--json", "--csv"], 2, "Choose one"),
    ],
)
def test_refusals(run: Run, published: Path, arguments: list[str], code: int, words: str) -> None:
    """What DuckDB refuses, a write among it, is one paragraph."""
    result = run("query", *arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_nothing_published_yet(run: Run) -> None:
    """Without a file the command says how to get one."""
    result = run("query", "SELECT 1")
    assert result.exit_code == 1
    assert "crm-pipeline demo" in result.stderr


@pytest.mark.parametrize("statement", ["", "   "])
def test_no_statement(run: Run, statement: str) -> None:
    """An empty statement is a usage error with an example, not a crash."""
    result = run("query", statement)
    assert result.exit_code == 2
    assert "SHOW ALL TABLES" in result.stderr
