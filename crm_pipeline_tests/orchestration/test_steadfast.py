"""A PostgreSQL that is killed or drops its sessions while Dagster and we hold connections to it."""

import os
import signal

import dagster as dg
import pytest
from sqlalchemy import Engine, create_engine, event, text

from crm_pipeline.kernel.errors import DatabaseUnavailable, DiskFull, StoreError
from crm_pipeline.orchestration.instance import opened_instance
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import Database, running_database
from crm_pipeline.store.postgres.embedded import EmbeddedServer

_OTHERS = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dg.op
def step() -> None:
    """Do nothing; its run writes a dozen events."""


@dg.job
def small() -> None:
    step()


def postmaster(server: EmbeddedServer) -> int:
    return int((server.folder / "postmaster.pid").read_text().splitlines()[0])


def drop_sessions(url: str) -> None:
    with Database(url) as other, other.transaction() as cursor:
        cursor.execute(_OTHERS)


def test_a_killed_server_is_started_again(
    server_settings: Settings, instance: dg.DagsterInstance
) -> None:
    """kill -9 while connections are held: what comes next starts the server again and goes on, ours and Dagster's;
    a run is recorded to its end, and one that was stopped on purpose stays so."""
    server = EmbeddedServer(server_settings.data)
    with running_database(server_settings) as database:
        before = instance.get_runs_count()
        pid = postmaster(server)
        os.kill(pid, signal.SIGKILL)
        assert small.execute_in_process(instance=instance).success
        assert postmaster(server) != pid
        assert database.done(lambda cursor: cursor.execute("SELECT 1")) is None
        assert instance.get_runs_count() == before + 1
        server.stop()
        assert server.revive() is False
        assert server.is_running() is False
    server.start()


def test_sessions_that_were_dropped(
    server_settings: Settings, instance: dg.DagsterInstance
) -> None:
    """Sessions that ended while idle are replaced, and an interrupted call is repeated."""
    url = EmbeddedServer(server_settings.data).url()
    assert url is not None
    instance.get_runs_count()
    drop_sessions(url)
    before = instance.get_runs_count()
    dropped: list[int] = []

    def drop(*_: object) -> None:
        if not dropped:
            dropped.append(1)
            drop_sessions(url)

    event.listen(Engine, "before_cursor_execute", drop)
    try:
        assert instance.get_runs_count() == before
    finally:
        event.remove(Engine, "before_cursor_execute", drop)
    assert dropped == [1]


@pytest.mark.parametrize(
    ("code", "kind"),
    [("53100", DiskFull), ("57P01", DatabaseUnavailable), ("57014", StoreError)],
    ids=["full", "gone", "cancelled"],
)
def test_errors_are_ours(instance: dg.DagsterInstance, code: str, kind: type[StoreError]) -> None:
    """A permanent error is one sentence without SQL, raised by the statement itself."""
    raised = f"DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{code}'; END $$"
    with (
        instance.run_storage.connect() as connection,  # type: ignore[attr-defined]
        pytest.raises(kind) as caught,
    ):
        connection.execute(text(raised))
    assert "\n" not in str(caught.value)
    assert "DO $$" not in str(caught.value)
    assert type(caught.value) is kind
    assert caught.value.cure


def test_nothing_is_left_behind(server_settings: Settings) -> None:
    """After an instance is closed, other users of SQLAlchemy in this process are not affected."""
    url = EmbeddedServer(server_settings.data).url()
    assert url is not None
    other = create_engine("sqlite://")
    count = len(other.dialect.dispatch.handle_error)
    with opened_instance(server_settings, url):
        assert len(other.dialect.dispatch.handle_error) == count + 1
    assert len(other.dialect.dispatch.handle_error) == count
