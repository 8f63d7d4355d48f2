import hashlib
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from sqlalchemy import make_url

from crm_pipeline.kernel.errors import DatabaseUnavailable, DiskFull, StoreError
from crm_pipeline.store.files.disk import named
from crm_pipeline.store.postgres import migrations
from crm_pipeline.store.postgres.database import Database, database_url, running_database
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.store.postgres.migrations import apply_migrations, migration_files


def rows(database: Database, sql: str) -> list[tuple]:
    with database.transaction() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def kill_sessions(url: str) -> None:
    with Database(url) as other:
        rows(
            other,
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )


@pytest.mark.parametrize("scheme", ["postgresql+psycopg2", "postgresql", "postgres"])
def test_schemes(fresh_url: str, scheme: str) -> None:
    """A URL works in each of the three usual spellings."""
    with Database(fresh_url.replace("postgresql+psycopg2", scheme)) as database:
        assert rows(database, "SHOW application_name") == [("crm-pipeline",)]


def test_a_transaction_commits(database: Database) -> None:
    """Rows that a transaction wrote are visible to the next."""
    rows(database, "CREATE TABLE t (a int); INSERT INTO t VALUES (7); SELECT 1")
    assert rows(database, "SELECT a FROM t") == [(7,)]


def test_a_transaction_rolls_back(database: Database) -> None:
    """After an exception of the caller nothing is written, and the connection is usable."""

    def work() -> None:
        with database.transaction() as cursor:
            cursor.execute("CREATE TABLE t (a int)")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert rows(database, "SELECT to_regclass('t')") == [(None,)]


def test_errors_of_the_database_reach_the_caller(database: Database) -> None:
    """A wrong statement is the caller's error, not a lost database."""
    with pytest.raises(psycopg2.errors.UndefinedTable), database.transaction() as cursor:
        cursor.execute("SELECT * FROM nowhere")
    assert rows(database, "SELECT 1") == [(1,)]


def test_dead_idle_connections_are_replaced(database: Database, fresh_url: str) -> None:
    """After the server ended our sessions the next transaction succeeds."""
    rows(database, "SELECT 1")
    kill_sessions(fresh_url)
    assert rows(database, "SELECT 1") == [(1,)]


def test_a_connection_lost_on_the_way(database: Database, fresh_url: str) -> None:
    """A session that dies inside a transaction is an error of that transaction only."""

    def work() -> None:
        with database.transaction() as cursor:
            cursor.execute("SELECT 1")
            kill_sessions(fresh_url)
            cursor.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailable, match="in the middle of a transaction"):
        work()
    assert rows(database, "SELECT 1") == [(1,)]


def test_work_is_done_again(database: Database, fresh_url: str) -> None:
    """A broken transaction is run once more, on a new connection; if it breaks again, that is an error."""
    tries: list[int] = []

    def work(cursor: Any, times: int) -> int:
        tries.append(1)
        cursor.execute("SELECT 1")
        if len(tries) <= times:
            kill_sessions(fresh_url)
        cursor.execute("SELECT 7")
        return int(cursor.fetchone()[0])

    assert database.done(lambda cursor: work(cursor, 1)) == 7
    assert len(tries) == 2
    tries.clear()
    with pytest.raises(DatabaseUnavailable, match="in the middle"):
        database.done(lambda cursor: work(cursor, 9))
    assert len(tries) == 2


RAISED = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file \"base/1\": No space left on device' USING ERRCODE = '{}'; END $$"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("53100", DiskFull, "Free some space|free some space"),
        ("58030", DiskFull, "free some space"),
        ("40001", StoreError, "Run it again"),
        ("XX001", StoreError, "the server's log"),
    ],
)
def test_what_the_server_cannot_do(
    tmp_path, database: Database, code: str, kind: type[StoreError], words: str
) -> None:
    """A full disk of the embedded server is named; another failure of a server is one sentence as well."""
    server = EmbeddedServer(tmp_path)
    ours = Database(database._dsn, server=server)
    statement = RAISED.format(code)
    if kind is StoreError:
        statement = statement.replace("No space left on device", "it broke")
    with pytest.raises(kind, match=words) as caught, ours.transaction() as cursor:
        cursor.execute(statement)
    ours.close()
    assert "\n" not in str(caught.value)
    if kind is DiskFull:
        assert named(tmp_path).split(" (")[0] in caught.value.cure


def test_a_server_of_the_users_that_restarts(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client waits for a server that was reached before and starts up, not for one that was never reached."""
    real, refused = psycopg2.connect, iter(["starting up", "Connection refused"])

    def connect(*arguments: Any, **options: Any) -> Any:
        if (words := next(refused, None)) is not None:
            raise psycopg2.OperationalError(words)
        return real(*arguments, **options)

    monkeypatch.setattr("crm_pipeline.store.postgres.reconnection._AGAIN_AFTER_S", 0.0)
    with Database(fresh_url) as database:
        rows(database, "SELECT 1")
        database.close()
        monkeypatch.setattr(psycopg2, "connect", connect)
        assert rows(database, "SELECT 7") == [(7,)]
    refused = iter(["Connection refused"])
    with Database(fresh_url) as other, pytest.raises(DatabaseUnavailable, match="refused"):
        rows(other, "SELECT 1")


def test_unreachable_server_hides_the_password() -> None:
    """The error names the server and what to do, without the password."""
    database = Database("postgresql://me:hush%21@127.0.0.1:1/crm?password=quiet")
    with pytest.raises(DatabaseUnavailable) as caught, database.transaction():
        pass
    text = str(caught.value)
    assert "127.0.0.1:1/crm" in text
    assert "CRM_DATABASE_URL" in text
    assert not {"hush", "quiet"} & set(text.replace("%21", " ").replace("=", " ").split())
    assert "hush" not in repr(database)


@pytest.mark.parametrize("url", ["mysql://me:hush@host/crm", "postgresql://me:hu%sh@host/crm"])
def test_unreadable_url(url: str) -> None:
    """An invalid URL is refused without quoting it, also in the causes."""
    with (
        pytest.raises(StoreError, match="the database URL") as caught,
        Database(url).transaction(),
    ):
        pass
    assert "hu" not in str(caught.value).replace("should", "")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_forked_process_has_its_own_connections(database: Database) -> None:
    """The pool gives no connection of the parent to a child."""
    (before,) = rows(database, "SELECT pg_backend_pid()")
    database._pid = -1
    assert rows(database, "SELECT pg_backend_pid()") != [before]


def test_many_threads(database: Database) -> None:
    """More threads than kept connections, with nested transactions, all succeed."""
    found: list[int] = []

    def work() -> None:
        with database.transaction() as outer, database.transaction() as inner:
            outer.execute("SELECT 1")
            inner.execute("SELECT 1")
            found.extend(inner.fetchone())

    threads = [threading.Thread(target=work) for _ in range(15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 15


def test_migrate_twice(database: Database) -> None:
    """A database that is up to date is not changed."""
    assert database.migrate() == []
    names = [name for name, _ in migration_files()]
    assert names == [name for (name,) in rows(database, "SELECT name FROM crm_state.migrations")]
    assert names[0].startswith("0001_")


def test_migrate_from_two_sides(database: Database) -> None:
    """When two processes migrate at once, each migration is applied by one of them."""
    rows(database, "DROP SCHEMA crm_state CASCADE; SELECT 1")
    applied: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: applied.append(database.migrate())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, applied)) == [0, 0, 0, len(migration_files())]


def test_an_edited_migration(database: Database) -> None:
    """An applied migration whose file has changed is refused by name."""
    (name, text), *rest = migration_files()
    with pytest.raises(StoreError, match=name), database.transaction() as cursor:
        apply_migrations(cursor, [(name, text + "-- edited"), *rest])


def test_applied_migrations_are_never_edited() -> None:
    """Existing databases refuse a file that differs in one byte, also in a comment; a change is a new file."""
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in migration_files()}
    assert sums == {
        "0001_state.sql": "f24923598dddced9965440a55899a2e3db6692e40b2116fc7fa1c0ae39b7dc5e",
        "0002_shares.sql": "d4e56abd2cded5a5bb9396a1e00103801999f321d64bf8b21a8d53b16a2770fb",
        "0003_dns_answers.sql": "d48d4121fec7e41e50f0004069bbe96daf9096ff7fd7cf6f1ca841cd5b7b2866",
        "0004_purchases.sql": "702cf3b710443701fb103922a369f7bde7afb34e1ff2592ad02db7e06504fc43",
        "0010_monthly_limits.sql": "4b9dee42f8ccca4c491aab3d69a66f87b7ec6772d83065bded9ddb4f1b036f48",
    }


def test_a_database_of_the_day_with_another_comment(database: Database) -> None:
    """The comment of an applied file was other for a day; the tables are the same, so it is opened."""
    [other] = migrations._SAME
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE crm_state.migrations SET sha256 = %s WHERE name LIKE '0001%%'", (other,)
        )
        assert apply_migrations(cursor) == []


def test_a_failing_migration(database: Database) -> None:
    """A migration that fails leaves nothing of itself or of those before it."""
    broken = [("0098_a.sql", "CREATE TABLE crm_state.a (x int)"), ("0099_b.sql", "CREATE nothing")]
    with pytest.raises(StoreError, match=r"0099_b\.sql failed"), database.transaction() as cursor:
        apply_migrations(cursor, [*migration_files(), *broken])
    assert rows(database, "SELECT to_regclass('crm_state.a')") == [(None,)]


def test_given_url_comes_first(tmp_path) -> None:
    """CRM_DATABASE_URL names the database, in the form that SQLAlchemy takes."""
    settings = SimpleNamespace(data=tmp_path, environ={"CRM_DATABASE_URL": "postgres://h/d"})
    assert database_url(settings) == "postgresql+psycopg2://h/d"


def test_no_url(tmp_path) -> None:
    """With nothing named and nothing running there is no URL, and nothing is made."""
    assert database_url(SimpleNamespace(data=tmp_path / "no", environ={})) is None
    assert not (tmp_path / "no").exists()


def test_running_database_of_the_user(tmp_path, fresh_url: str) -> None:
    """With a URL given, no embedded server is made."""
    settings = SimpleNamespace(data=tmp_path, environ={"CRM_DATABASE_URL": fresh_url})
    with running_database(settings) as database:
        assert rows(database, "SELECT 1") == [(1,)]
    assert list(tmp_path.iterdir()) == []


def test_sqlalchemy_reads_the_url(postgres_url: str) -> None:
    """The embedded server's URL means the same to SQLAlchemy as to psycopg2."""
    url = make_url(postgres_url)
    assert (url.drivername, url.username, url.database) == (
        "postgresql+psycopg2",
        "postgres",
        "crm",
    )
    assert str(url.query["host"]).startswith("/")


def test_blocks_of_a_process_share_a_database(fresh_url: str) -> None:
    """A block within another gets its database, open until the last of them ends; the next one opens its own."""
    settings: Any = SimpleNamespace(data=Path("nowhere"), environ={"CRM_DATABASE_URL": fresh_url})
    outer, inner = running_database(settings), running_database(settings)
    first = outer.__enter__()
    assert inner.__enter__() is first
    outer.__exit__(None, None, None)
    assert rows(first, "SELECT 1") == [(1,)]
    assert first._idle
    inner.__exit__(None, None, None)
    assert not first._idle
    with running_database(settings) as later:
        assert later is not first
