"""What SQL of `crm-pipeline query` cannot reach: files, hosts, variables, settings, other statements."""

import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from crm_pipeline.cli.query_result import QueryLimits, QueryResult
from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store.tables.bounds import Deadline
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.cli.conftest import CONNECTIONS, Run

SECRET = "hunter2-of-the-test"
OPTION = "--unrestricted"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The analysts' file, and beside it files that no query may read; no test here changes it."""
    home = tmp_path_factory.mktemp("closed")
    (home / "connections.yaml").write_text(CONNECTIONS)
    folder = home / "data" / "snapshots"
    folder.mkdir(parents=True)
    (home / "data" / "crm.duckdb").symlink_to("snapshots/crm-1.duckdb")
    with duckdb.connect(str(folder / "crm-1.duckdb")) as database:
        database.execute("CREATE SCHEMA crm")
        database.execute("CREATE TABLE crm.t AS SELECT 1 AS a, 'x' AS b")
        database.execute("CREATE VIEW crm.v AS SELECT a, upper(b) AS b FROM crm.t")
        database.execute(f"COPY (SELECT '{SECRET}' AS a) TO '{home}/secret.parquet'")
    with duckdb.connect(str(home / "other.duckdb")) as database:
        database.execute(f"CREATE TABLE o AS SELECT '{SECRET}' AS a")
    (home / "secret.csv").write_text(f"a\n{SECRET}\n")
    (home / "secret.json").write_text(f'{{"a": "{SECRET}"}}')
    return home


@pytest.fixture
def published(world: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CRM_HOME", str(world))
    monkeypatch.setenv("CRM_PLANTED", SECRET)
    return world


@pytest.fixture
def host() -> Iterator[tuple[str, list[str]]]:
    """A web server, and the paths that were requested."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the base class calls it so

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", requested
        server.shutdown()
        thread.join()


FILES = [
    "FROM read_csv('{here}/secret.csv')",
    "FROM '{here}/secret.csv'",
    'FROM "{here}/secret.csv"',
    "FROM read_text('{here}/secret.csv')",
    "FROM read_blob('{here}/secret.csv')",
    "FROM read_text('{here}/data/../secret.csv')",
    "FROM read_text('{here}/data/tmp/../../secret.csv')",
    "FROM read_text('{here}/data/snapshots/crm-1.duckdb/../../../secret.csv')",
    "FROM read_json('{here}/secret.json')",
    "FROM read_parquet('{here}/secret.parquet')",
    "FROM parquet_metadata('{here}/secret.parquet')",
    "FROM parquet_schema('{here}/secret.parquet')",
    "FROM sniff_csv('{here}/secret.csv')",
    "FROM glob('{here}/*')",
    "FROM read_duckdb('{here}/other.duckdb', table_name = 'o')",
    "FROM '{here}/other.duckdb'",
    "FROM query('FROM read_text(''{here}/secret.csv'')')",
    "FROM query_table(['{here}/secret.csv'])",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{here}/secret.csv'')'))",
    "SELECT (SELECT content FROM read_text('{here}/secret.csv')) AS a",
    "WITH c AS (FROM read_csv('{here}/secret.csv')) FROM c",
    "DESCRIBE FROM read_csv('{here}/secret.csv')",
    "SUMMARIZE FROM read_csv('{here}/secret.csv')",
    "EXPLAIN ANALYZE FROM read_csv('{here}/secret.csv')",
    "PIVOT read_csv('{here}/secret.csv') ON a USING count(*)",
    "FROM read_text('/proc/self/environ')",
]
OTHERS = [
    "COPY crm.t TO '{here}/made'",
    "COPY (PIVOT crm.t ON a USING count(*)) TO '{here}/made'",
    "COPY (FROM crm.t) TO '{here}/data/tmp/made'",
    "EXPLAIN ANALYZE COPY crm.t TO '{here}/made'",
    "EXPLAIN (ANALYZE) COPY crm.t TO '{here}/made'",
    "EXPORT DATABASE '{here}/made'",
    "IMPORT DATABASE '{here}'",
    "PRAGMA import_database('{here}')",
    "ATTACH '{here}/other.duckdb' AS o",
    "ATTACH '{here}/made' AS made",
    "ATTACH ':memory:' AS made",
    'DETACH "crm-1"',
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{here}/made.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET allowed_directories = ['{here}']",
    "RESET lock_configuration",
    "PRAGMA memory_limit='64GB'",
    "PRAGMA enable_profiling",
    "PRAGMA profiling_output='{here}/made'",
    "PRAGMA json_execute_serialized_sql('x')",
    "SET VARIABLE a = 1",
    "CALL enable_logging(storage = 'file', storage_path = '{here}/made')",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "CREATE TEMP TABLE a AS FROM crm.t",
    "CREATE TEMP MACRO m() AS 1",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "INSERT INTO crm.t VALUES (2, 'y')",
    "DELETE FROM crm.t",
    "DROP TABLE crm.t",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY crm.t TO '{here}/made'",
]
QUIETLY = [
    # Queries as the parser sees them, which DuckDB itself has to stop.
    "FROM enable_logging(storage = 'file', storage_path = '{here}/made')",
    "FROM enable_profiling(save_location = '{here}/made')",
    "WITH w AS (INSERT INTO crm.t VALUES (2, 'y') RETURNING *) FROM w",
    "SELECT getenv('CRM_PLANTED')",
    "FROM arrow_scan(1::UBIGINT, 1::UBIGINT, 1::UBIGINT)",
]


def contents(here: Path) -> set[Path]:
    return set(here.rglob("*")) - {here / "data" / "tmp"}


@pytest.fixture(scope="module")
def connection(world: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """One connection for all attempts, as opening takes longer than all of them."""
    with closing(open_published(world / "data")) as opened:
        yield opened


@pytest.fixture
def refused(
    connection: duckdb.DuckDBPyConnection, published: Path
) -> Iterator[Callable[[str], str]]:
    """Try a statement; return the error, after a check that it left nothing behind."""
    before = contents(published)

    def attempt(sql: str) -> str:
        result = QueryResult(
            connection, Deadline(connection, 10), QueryLimits(), Path("crm.duckdb")
        )
        with pytest.raises(StoreError) as refusal:
            result.run(sql.format(here=published))
        assert SECRET not in str(refusal.value)
        return str(refusal.value)

    yield attempt
    assert contents(published) == before
    assert connection.execute("SELECT count(*) FROM crm.t").fetchall() == [(1,)]
    locked = (
        "SELECT current_setting('enable_external_access'), current_setting('lock_configuration')"
    )
    assert connection.execute(locked).fetchall() == [(False, True)]


@pytest.mark.parametrize("sql", FILES)
def test_files_are_not_read(refused: Callable[[str], str], sql: str) -> None:
    """No query reads a file or lists a folder, and the refusal names the way out."""
    assert OPTION in refused(sql)


@pytest.mark.parametrize("sql", OTHERS)
def test_only_reading_is_run(refused: Callable[[str], str], sql: str) -> None:
    """Nothing but one reading statement is run; the refusal says what runs, and the way out."""
    text = refused(sql)
    assert OPTION in text
    assert "read-only" in text or "one statement" in text


@pytest.mark.parametrize("sql", QUIETLY)
def test_queries_with_effects(refused: Callable[[str], str], sql: str) -> None:
    """Functions that a query can call have no effect outside either."""
    refused(sql)


@pytest.mark.parametrize("sql", ["FROM '{url}/x.csv'", "FROM read_text('{url}/x')"])
def test_hosts_are_not_asked(
    refused: Callable[[str], str], host: tuple[str, list[str]], sql: str
) -> None:
    """No query calls a host."""
    url, requested = host
    assert OPTION in refused(sql.format(url=url))
    assert requested == []


@pytest.mark.parametrize("sql", [FILES[0], OTHERS[0], "SELECT 1; SELECT 2"])
@pytest.mark.parametrize("option", ["--json", "--csv", "--raw-csv"])
def test_command_refuses(run: Run, published: Path, sql: str, option: str) -> None:
    """The command says in one paragraph why it refuses, and writes no result."""
    result = run("query", sql.format(here=published), option)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert SECRET not in result.output
    assert OPTION in result.stderr
    assert result.stderr.count("\n") == 1


def test_which_explain_is_run(run: Run, published: Path) -> None:
    """The refusal of an EXPLAIN says which EXPLAIN is run."""
    text = run("query", "EXPLAIN ANALYZE COPY crm.t TO 'made'").stderr
    assert "does not run EXPLAIN; it runs SELECT" in text
    assert "and EXPLAIN for queries only." in text


def test_variables_of_the_caller_are_not_read(connection: duckdb.DuckDBPyConnection) -> None:
    """A Python variable of the caller is no table of the file."""
    planted = pa.table({"a": [SECRET]})
    assert planted.num_rows == 1
    with pytest.raises(duckdb.CatalogException, match="planted does not exist"):
        connection.execute("FROM planted")


def test_environment_is_not_shown(
    run: Run, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of DuckDB that come from the environment are not shown."""
    monkeypatch.setenv("HTTP_PROXY", f"http://somebody:{SECRET}@127.0.0.1:9")
    result = run("query", "SELECT name, value FROM duckdb_settings()", "--json")
    assert result.exit_code == 0
    assert SECRET not in result.output


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a, b FROM crm.v",
        "FROM crm.v",
        "TABLE crm.t",
        "VALUES (1)",
        "WITH c AS (FROM crm.t) SELECT * FROM c",
        "(SELECT a FROM crm.t) UNION ALL SELECT 2",
        "PIVOT crm.t ON b USING count(*)",
        "PIVOT crm.t ON b IN ('x') USING count(*)",
        "UNPIVOT crm.t ON a",
        "DESCRIBE crm.v",
        "SHOW ALL TABLES",
        "SUMMARIZE crm.t",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE (SELECT 1)",
        "EXPLAIN (FORMAT json) FROM crm.v",
        "PRAGMA table_info('crm.t')",
        "-- why\nSELECT 1; -- so",
        "/* é */ EXPLAIN ANALYZE SELECT 'ü'",
    ],
)
def test_reading_runs(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Whatever reads tables and views of the file runs."""
    result = QueryResult(connection, Deadline(connection, 10), QueryLimits(), Path("crm.duckdb"))
    result.run(sql)
    assert len(result.first(10)) > 0


def test_unrestricted(run: Run, published: Path, tmp_path: Path) -> None:
    """With --unrestricted a statement has the rights of the user."""
    sql = f"FROM read_csv('{published}/secret.csv')"
    assert SECRET in run("query", sql, "--unrestricted", "--csv").stdout
    copy = tmp_path / "made.csv"
    assert run("query", f"COPY crm.t TO '{copy}'; SELECT 1", "--unrestricted").exit_code == 0
    assert copy.exists()


def test_time_is_limited(run: Run, published: Path) -> None:
    """A statement that takes too long is stopped, with the setting that allows more."""
    endless = "SELECT count(*) FROM range(1000000000000) WHERE range % 7 = 3"
    result = run("query", endless, "--timeout", "1")
    assert result.exit_code == 1
    assert "longer than 1 s" in result.stderr
    assert "--timeout" in result.stderr
    assert "CRM_QUERY_TIMEOUT_S" in result.stderr


def test_work_that_cannot_be_interrupted(connection: duckdb.DuckDBPyConnection) -> None:
    """Where an interruption has no effect, a callback runs, which ends the program."""

    class Deaf:
        def interrupt(self) -> None:
            pass

    text = threading.Event()
    deadline = Deadline(Deaf(), 0.0, text.set, grace_s=0.0)  # type: ignore[arg-type]
    with deadline.running():
        assert text.wait(10)
    assert deadline.is_over


def test_time_between_rows_does_not_count(published: Path) -> None:
    """Time between two fetches does not count."""
    with open_published(published / "data") as database:
        deadline = Deadline(database, 0.2)
        with deadline.running():
            result = database.execute("FROM crm.t")
        threading.Event().wait(0.25)
        with deadline.running():
            assert result.fetchall() == [(1, "x")]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT length(string_agg(repeat('x', 1000000), '')) FROM range(2000)",
        "SELECT length(repeat('x', 3000000000))",
    ],
)
def test_memory_is_limited(run: Run, published: Path, sql: str) -> None:
    """A statement that needs too much memory is stopped, be it in a single value."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    result = run("query", sql, "--memory-mb", "100")
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert result.exit_code == 1
    assert "more than 100 MB of memory" in result.stderr
    assert "CRM_MEMORY_MB" in result.stderr


def test_spilling_is_tidied(run: Run, published: Path) -> None:
    """Data that do not fit into memory go to data/tmp, and are removed afterwards."""
    sql = "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY md5(i::VARCHAR)) n FROM range(600000) t(i))"
    result = run("query", sql, "--memory-mb", "64", "--json")
    assert result.exit_code == 0, result.output
    assert list((published / "data" / "tmp").iterdir()) == []
