from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store.engine import Engine, literal, parquet_files, quoted


@pytest.fixture
def engine(tmp_path: Path):
    with Engine(tmp_path / "tmp", memory_limit="64MB", threads=1) as engine:
        yield engine


@pytest.mark.parametrize("text", ["", "plain", "it's", 'a "b"', "--", "Zoë 😀", "a\nb"])
def test_quoting_keeps_any_text(engine, text):
    """Names and texts from vendors pass through SQL unchanged."""
    name = text or "x"
    assert engine.rows(f"SELECT {literal(text)} AS {quoted(name)}") == [(text,)]
    assert engine.columns(f"(SELECT 1 AS {quoted(name)})") == {name: "INTEGER"}


def test_a_null_literal(engine):
    """None is NULL."""
    assert engine.row(f"SELECT {literal(None)}") == (None,)


def test_steps_can_be_selected_from(engine):
    """Every step of a build has a name that a debugger can query."""
    engine.view("first step", "SELECT 1 AS a")
    name = engine.table("second", 'SELECT a + 1 AS b FROM "first step"')
    assert engine.rows(f"SELECT b FROM {name}") == [(2,)]
    assert engine.rows(f"SELECT * FROM {engine.load('x', pa.table({'c': [5]}))}") == [(5,)]


def test_parquet_is_written_with_notes(engine, tmp_path):
    """Files are zstd Parquet, carry metadata, and read back by column name."""
    path = tmp_path / "it's.parquet"
    count = engine.copy_to("SELECT 1 AS a UNION ALL SELECT 2", path, metadata={"made by": "it's"})
    assert count == 2
    assert engine.rows(f"SELECT sum(a)::INT FROM {parquet_files([path])}") == [(3,)]
    with duckdb.connect() as other:
        noted = other.execute(
            "SELECT decode(key), decode(value) FROM parquet_kv_metadata($path)", {"path": str(path)}
        ).fetchall()
        kinds = other.execute(
            "SELECT DISTINCT compression FROM parquet_metadata($path)", {"path": str(path)}
        ).fetchall()
    assert ("made by", "it's") in noted
    assert kinds == [("ZSTD",)]


def test_instants_are_utc(engine):
    """The machine's time zone never shows."""
    assert engine.row("SELECT '2026-01-01 00:00:00+02'::TIMESTAMPTZ::VARCHAR") == (
        "2025-12-31 22:00:00+00",
    )


def test_what_does_not_fit_is_spilled_and_removed(tmp_path):
    """Memory is bounded; the spilled files go with the engine."""
    with Engine(tmp_path / "tmp", memory_limit="48MB", threads=1) as engine:
        engine.table("big", "SELECT range AS a, md5(range::VARCHAR) AS b FROM range(1000000)")
        assert engine.row("SELECT count(DISTINCT b) FROM big")[0] == 1_000_000
        assert engine.temp.exists()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_errors_are_ours(engine):
    """A refused statement is a StoreError that shows how it began."""
    with pytest.raises(StoreError, match="no_such_table"):
        engine.run("SELECT * FROM no_such_table")
    with pytest.raises(StoreError, match="no_such_table"):
        engine.arrow("SELECT * FROM no_such_table")
