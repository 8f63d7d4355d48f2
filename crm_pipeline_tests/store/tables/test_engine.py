from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_pipeline.kernel.errors import StoreError, UnfitValue
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store.tables.engine import Engine, parquet_files


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


@pytest.mark.parametrize(("rows", "is_stored"), [(20_000, True), (30_000, False)])
def test_a_step_over_few_rows_is_computed_once(engine, rows, is_stored):
    """A table keeps the memory of many rows, a view plans its columns again for each reader."""
    engine.suit(rows)
    named = engine.step("typed", "SELECT 1 AS n")
    assert engine.row(f"SELECT n FROM {named}") == (1,)
    [stored] = engine.row("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'typed'")
    assert bool(stored) is is_stored


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
    """The machine's time zone has no effect."""
    assert engine.row("SELECT '2026-01-01 00:00:00+02'::TIMESTAMPTZ::VARCHAR") == (
        "2025-12-31 22:00:00+00",
    )


def test_what_does_not_fit_is_spilled_and_removed(tmp_path):
    """Memory is bounded; temporary files are removed with the engine."""
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


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST('ada@lovelace.example' AS INTEGER)",
        """SELECT json_transform('{"a":"ada@lovelace.example', '{"a":"VARCHAR"}')""",
    ],
)
def test_a_value_that_does_not_fit_is_never_told(engine, tmp_path, sql):
    """The error has a class of its own, so that the record can be searched for; it quotes no value."""
    path = tmp_path / "x.parquet"
    for run in (engine.rows, engine.arrow, lambda sql: engine.copy_to(sql, path)):
        with pytest.raises(UnfitValue) as found:
            run(sql)
        assert "lovelace" not in found.value.message


class Tight:
    """A DuckDB in which statements of several threads need more memory than there is."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, threads: int) -> None:
        self._connection = connection
        self._most = threads
        self.copies: list[str] = []

    def execute(self, sql: str, params: Any = None) -> Any:
        [(threads,)] = self._connection.execute("SELECT current_setting('threads')").fetchall()
        if not sql.startswith("SET"):
            self.copies += [sql] * sql.startswith("COPY")
            if threads > self._most:
                raise duckdb.OutOfMemoryException("failed to allocate")
        return self._connection.execute(sql, params)

    def close(self) -> None:
        self._connection.close()


def test_what_two_threads_cannot_hold_is_done_by_one(tmp_path):
    """With narrower row groups as well; later statements have all threads again."""
    path = tmp_path / "wide.parquet"
    with Engine(tmp_path / "tmp", threads=2) as engine:
        tight = Tight(engine.connection, threads=1)
        engine._connection = tight
        assert engine.copy_to("FROM range(9000)", path, metadata={"a": "b"}) == 9_000
        assert engine.row("SELECT 7") == (7,)
        engine._connection = tight._connection
        assert engine.row("SELECT current_setting('threads')") == (2,)
    assert len(tight.copies) == 2
    file = pq.ParquetFile(path)
    assert (file.metadata.num_rows, file.metadata.num_row_groups) == (9_000, 3)


def test_what_does_not_fit_at_all_says_what_to_set(tmp_path):
    """The error names the limit and the setting."""
    with Engine(tmp_path / "tmp", memory_limit="321MB", threads=2) as engine:
        engine._connection = Tight(engine.connection, threads=0)
        with pytest.raises(StoreError, match="321MB") as found:
            engine.copy_to("FROM range(9)", tmp_path / "wide.parquet")
    assert "CRM_MEMORY_MB" in found.value.cure


def test_memory_is_named_where_the_transaction_is_lost(tmp_path):
    """A second try inside a transaction that the first has aborted does not hide the first error."""

    class Spoilt(Tight):
        def execute(self, sql: str, params: Any = None) -> Any:
            if self.copies:
                raise duckdb.TransactionException("current transaction is aborted")
            return super().execute(sql, params)

    with Engine(tmp_path / "tmp", threads=2) as engine:
        engine._connection = Spoilt(engine.connection, threads=1)
        with pytest.raises(StoreError, match="640MB") as found:
            engine.copy_to("FROM range(9)", tmp_path / "wide.parquet")
    assert "CRM_MEMORY_MB" in found.value.cure
