import csv
import io
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.tables.published import record_of
from crm_pipeline_tests.cli.conftest import Program, Run
from crm_pipeline_tests.rot.flips import flip_bit


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("snapshot") / "crm-1.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA crm")
        connection.execute(
            "CREATE TABLE crm.contacts AS SELECT * FROM (VALUES"
            " (1, 'Zoë, \"Z\"', 12.30::DECIMAL(18,2), TIMESTAMPTZ '2026-01-02 03:04:05Z', true),"
            " (2, NULL, 99999999999999999999.01::DECIMAL(38,2), NULL, false)"
            ") AS t(id, name, amount, created_at, is_live)"
        )
    return path


@pytest.fixture
def published(project: Path, snapshot: Path) -> Path:
    (project / "data" / "snapshots").mkdir(parents=True)
    shutil.copyfile(snapshot, project / "data" / "snapshots" / snapshot.name)
    path = project / "data" / "crm.duckdb"
    path.symlink_to(f"snapshots/{snapshot.name}")
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
    """A long result is cut for people, with a note, and complete for scripts."""
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


@pytest.mark.parametrize("option", ["--file", "-f"])
def test_a_statement_from_a_file(run: Run, published: Path, option: str) -> None:
    """The file may begin with a comment, which a shell cannot pass as an argument, and with a byte order mark."""
    file = published.parent / "question.sql"
    file.write_text(f"-- Can I trust it?\n{SQL};\n", encoding="utf-8-sig")
    result = run("query", option, str(file), "--csv")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 3


def test_no_statement_or_two(run: Run, published: Path) -> None:
    """Each mistake is an error with a cure, and so is a file that cannot be read."""
    empty, binary = published.parent / "empty.sql", published.parent / "binary.sql"
    empty.touch()
    binary.write_bytes(b"SELECT '\xff'")
    for arguments, words in (
        ((), "there is no statement."),
        (("--file", str(empty)), "there is no statement in"),
        (("--file", str(binary)), "it is not UTF-8"),
        (("--file", "nowhere.sql"), "No such file"),
        (("--file", str(published.parent)), "Is a directory"),
        ((SQL, "--file", str(empty)), "exclude each other"),
    ):
        result = run("query", *arguments)
        assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_json_keeps_columns_of_equal_name(run: Run, published: Path) -> None:
    """The second column is numbered as in a subquery of DuckDB; no column is lost."""
    sql = "SELECT a.id, b.id, a.name AS id_1, b.id FROM crm.contacts a, crm.contacts b ORDER BY ALL"
    rows = json.loads(run("query", sql, "--json").stdout)
    assert list(rows[1]) == ["id", "id_1", "id_1_1", "id_2"]
    assert [rows[1][key] for key in ("id", "id_1", "id_2")] == [1, 2, 2]


def test_json_has_no_words_of_its_own(run: Run, published: Path) -> None:
    """Values that are no JSON numbers, and keys that are no texts, become the text that DuckDB shows."""
    sql = (
        "SELECT 'inf'::DOUBLE AS a, ['nan'::FLOAT, 1.5] AS b, {'x': '-inf'::DOUBLE} AS c,"
        " MAP {DATE '2020-01-02': 1} AS d, DATE 'infinity' AS e, INTERVAL '1 year' AS f"
    )

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    result = run("query", sql, "--json")
    assert json.loads(result.stdout, parse_constant=refuse) == [
        {
            "a": "inf",
            "b": ["nan", 1.5],
            "c": {"x": "-inf"},
            "d": {"2020-01-02": 1},
            "e": "infinity",
            "f": "1 year",
        }
    ]
    assert run("query", sql, "--csv").stdout.splitlines()[1].endswith('"infinity","1 year"')
    assert "infinity" in run("query", sql).stdout


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
        (["SELECT '\udcff'"], 2, "not UTF-8 text"),
        (["SELECT 1", "--as-of", "0001-01-01T00:00+23:00"], 2, "is no moment"),
    ],
)
def test_refusals(run: Run, published: Path, arguments: list[str], code: int, words: str) -> None:
    """An error of DuckDB, such as for a write, is one paragraph."""
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


def test_a_statement_that_is_no_text(program: Program) -> None:
    """Bytes from stdin that are no UTF-8 are refused in a sentence, whatever the locale."""
    for variables in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        result = program("query", "-", stdin=b"SELECT '\xff\xfe'", **variables)
        assert result.returncode == 2, result.stderr
        assert "the statement is not UTF-8 text" in result.stderr


@pytest.fixture
def past(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime(2026, 11, 23, 9, tzinfo=UTC))
    folder = project / "data" / "snapshots"
    folder.mkdir(parents=True)
    for release, day in ((1, 18), (2, 20), (3, 22)):
        with duckdb.connect(str(folder / f"crm-{release:08d}-ab.duckdb")) as connection:
            connection.execute("CREATE SCHEMA ops")
            connection.execute(
                f"CREATE TABLE ops.publication AS SELECT {release} AS release,"
                f" TIMESTAMPTZ '2026-11-{day} 12:00:00Z' AS published_at"
            )
    (project / "data" / "crm.duckdb").symlink_to("snapshots/crm-00000003-ab.duckdb")
    return folder


RELEASE = "SELECT release FROM ops.publication"


@pytest.mark.parametrize(
    ("moment", "release"),
    [
        ("2026-11-18", 1),
        ("2026-11-20T11:59:59", 1),
        ("2026-11-20T12:00:00Z", 2),
        ("2026-11-20T12:30+01:00", 1),
        ("2026-11-20", 2),
        ("2026-11-22", 3),
        ("2026-11-23", 3),
        ("today", 3),
        ("Yesterday", 3),
    ],
)
def test_as_of(run: Run, past: Path, moment: str, release: int) -> None:
    """The snapshot is the one that analysts saw at that moment, whatever the file's own time."""
    result = run("query", RELEASE, "--json", "--as-of", moment)
    assert json.loads(result.stdout) == [{"release": release}]
    assert f"crm-{release:08d}-ab.duckdb, published at 2026-11-" in result.stderr


def test_as_of_before_all(run: Run, past: Path) -> None:
    """A moment before all that is kept is refused, and the nearest snapshot named."""
    (past / "crm-nobody.duckdb").write_text("no database")
    result = run("query", RELEASE, "--as-of", "2026-11-17")
    assert result.exit_code == 1
    assert "the nearest is crm-00000001-ab.duckdb, published at 2026-11-18 12:00" in result.stderr


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("2026-11-24", "has not come yet: it is 2026-11-23 09:00"),
        ("2026-11-23T09:00:01", "has not come yet"),
        ("9999-12-31", "has not come yet"),
        ("tomorrow", "is no moment"),
        ("2026-11-31", "is no moment"),
    ],
)
def test_as_of_no_moment_of_the_past(run: Run, past: Path, moment: str, reason: str) -> None:
    """A future moment is refused instead of answered with today's data; the error says which forms are valid."""
    result = run("query", RELEASE, "--as-of", moment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"'{moment}' {reason}" in result.stderr
    assert (
        "Write a day, 2026-11-20, yesterday or today, which means its end, or an instant"
        in result.stderr
    )


@pytest.mark.parametrize("offset", [9, 4100, -5000])
def test_a_damaged_file(run: Run, published: Path, offset: int) -> None:
    """A damaged file, in its header or in rows, is an error that names the command which builds it again."""
    with duckdb.connect(str(published)) as connection:
        connection.execute(
            "CREATE TABLE crm.deals AS SELECT md5(i::VARCHAR) AS name FROM range(20000) t(i)"
        )
    assert run("query", "SELECT max(name) FROM crm.deals").exit_code == 0
    flip_bit(published.resolve(), offset)
    result = run("query", "SELECT max(name), min(name) FROM crm.deals")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "crm.duckdb is damaged" in result.stderr
    assert "`crm-pipeline refresh CONNECTION`" in result.stderr


@pytest.mark.parametrize(
    ("sql", "options"),
    [
        ("SELECT corrupt FROM crm.contacts", ()),
        ("SELECT 'corrupt'::INTEGER", ()),
        ("FROM read_csv('/not a valid duckdb/corrupt.csv')", ("--unrestricted",)),
    ],
)
def test_a_word_of_the_statement_is_no_damage(
    run: Run, published: Path, sql: str, options: tuple[str, ...]
) -> None:
    """The statement's own text, which DuckDB repeats in its error, does not make the file look damaged."""
    result = run("query", sql, *options)
    assert (result.exit_code, published.exists()) == (1, True)
    assert "orrupt" in result.stderr
    assert "damaged" not in result.stderr


@pytest.mark.parametrize("option", [[], ["--unrestricted"], ["--as-of", "2026-11-23"]])
@pytest.mark.parametrize("is_larger", [False, True])
def test_another_whole_snapshot_in_its_place(
    run: Run, past: Path, option: list[str], is_larger: bool
) -> None:
    """It is refused although each of its blocks is intact: its size, or its release, differs."""
    current, older = past / "crm-00000003-ab.duckdb", past / "crm-00000002-ab.duckdb"
    with duckdb.connect(str(older)) as connection:
        if is_larger:
            connection.execute("CREATE TABLE more AS SELECT md5(i::VARCHAR) FROM range(9999) t(i)")
            connection.execute("UPDATE ops.publication SET release = 3")
    files.write_json(record_of(current), FileSum.of(current).to_dict())
    assert run("query", RELEASE, "--json", *option).exit_code == 0
    current.write_bytes(older.read_bytes())
    result = run("query", RELEASE, "--json", *option)
    assert (result.exit_code, result.stdout) == (1, "")
    expected = "bytes and had" if is_larger else "shows release 2 and is named after release 3"
    assert f"{current} is damaged: it " in result.stderr
    assert expected in result.stderr
    assert "`crm-pipeline refresh CONNECTION`" in result.stderr


@pytest.mark.parametrize("offset", [9, 4100])
def test_as_of_a_damaged_snapshot(run: Run, past: Path, offset: int) -> None:
    """The error names the snapshot of that moment; no older one is used in its place."""
    damaged = past / "crm-00000002-ab.duckdb"
    flip_bit(damaged, offset)
    restored_at = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    os.utime(damaged, (restored_at, restored_at))
    result = run("query", RELEASE, "--json", "--as-of", "2026-11-21")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{damaged} is damaged" in result.stderr
    assert "move it and its .json away" in result.stderr
    assert json.loads(run("query", RELEASE, "--json", "--as-of", "2026-11-22").stdout) == [
        {"release": 3}
    ]
    damaged.unlink()
    older = run("query", RELEASE, "--json", "--as-of", "2026-11-21")
    assert json.loads(older.stdout) == [{"release": 1}]
