import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.supervisor.stack_lock import lock_stack
from crm_pipeline_tests.cli.conftest import Run


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The data folders whose running server was stopped."""
    folders: list[Path] = []

    def stop(server: EmbeddedServer) -> bool:
        folders.append(server.data)
        return True

    monkeypatch.setattr(EmbeddedServer, "is_running", lambda _: True)
    monkeypatch.setattr(EmbeddedServer, "stop", stop)
    return folders


@pytest.fixture
def up(project: Path) -> Iterator[None]:
    """A stack on the data folder."""
    held = lock_stack(project / "data")
    yield
    os.close(held)


@pytest.mark.usefixtures("up")
def test_stop_is_refused_under_a_stack(run: Run, stopped: list[Path]) -> None:
    """The error names the process and says how to stop it; nothing is stopped."""
    result = run("db", "stop")
    assert result.exit_code == 2
    assert f"`crm-pipeline up` (process {os.getpid()})" in result.stderr
    assert "Ctrl-C" in result.stderr
    assert "--force" in result.stderr
    assert stopped == []


@pytest.mark.usefixtures("up")
def test_stop_by_force_says_what_comes_of_it(run: Run, project: Path, stopped: list[Path]) -> None:
    """With --force the server is stopped, and a message says that the stack starts it again."""
    result = run("db", "stop", "--force")
    assert (result.exit_code, stopped) == (0, [project / "data"])
    assert "starts it again within seconds" in result.stderr


@pytest.mark.usefixtures("up")
def test_a_stack_with_a_server_of_the_users_uses_no_other(
    run: Run, stopped: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With CRM_DATABASE_URL nothing of `up` needs the embedded server."""
    monkeypatch.setenv("CRM_DATABASE_URL", "postgresql://h/d")
    result = run("db", "stop")
    assert (result.exit_code, len(stopped)) == (0, 1)


def test_stop_without_a_stack(run: Run, stopped: list[Path]) -> None:
    """Without a stack the server is stopped with a short message."""
    result = run("db", "stop")
    assert (result.exit_code, len(stopped)) == (0, 1)
    assert "PostgreSQL is stopped." in result.stderr


def test_prepare_makes_what_containers_need(run: Run, project: Path, fresh_url: str) -> None:
    """DAGSTER_HOME and all tables are there, and again; without a server of the user's it says what to do."""
    refused = run("db", "prepare")
    assert (refused.exit_code, "crm-pipeline up" in refused.stderr) == (2, True)
    for _ in range(2):
        done = run(
            "db", "prepare", "--code-server", "code:4000", env={"CRM_DATABASE_URL": fresh_url}
        )
        assert done.exit_code == 0, done.output
    assert (project / "data" / "dagster" / "dagster.yaml").is_file()
    engine = create_engine(fresh_url, poolclass=NullPool)
    assert {"runs", "event_logs", "job_ticks"} <= {*inspect(engine).get_table_names()}
