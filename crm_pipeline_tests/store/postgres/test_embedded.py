import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from sqlalchemy import make_url

from crm_pipeline.kernel.errors import DatabaseUnavailable, StoreError
from crm_pipeline.store.postgres.database import Database, database_url, running_database
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.store.postgres.server_account import ServerAccount, socket_folder

START = """
import os, signal, sys
from pathlib import Path
from crm_pipeline.store.postgres.embedded import EmbeddedServer
print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def made(server_folder: Path) -> Iterator[EmbeddedServer]:
    """One folder for all tests here, deep and with an awkward name; making it takes seconds."""
    deep = server_folder / 'somebody\'s $HOME, "deep"' / ("d" * 60)
    deep.mkdir(parents=True)
    server = EmbeddedServer(deep)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(made: EmbeddedServer) -> EmbeddedServer:
    made.start()
    return made


def run(url: str, sql: str) -> list[tuple]:
    with Database(url) as database, database.transaction() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def postmaster(server: EmbeddedServer) -> int:
    return int((server.folder / "postmaster.pid").read_text().splitlines()[0])


def test_pages_have_checksums(server: EmbeddedServer) -> None:
    """PostgreSQL compares what it reads from its files, so a damaged page is an error there."""
    url = server.url()
    assert url is not None
    assert run(url, "SHOW data_checksums") == [("on",)]


def test_start_again_finds_the_same(server: EmbeddedServer) -> None:
    """A second start finds the server of the first."""
    before = postmaster(server)
    assert server.start() == server.url()
    assert postmaster(server) == before


def test_deep_and_awkward_folders(server: EmbeddedServer) -> None:
    """A path too long or too strange for a socket gets one in a private folder elsewhere."""
    folder = Path(str(make_url(str(server.url())).query["host"]))
    assert not folder.is_relative_to(server.data)
    assert folder.stat().st_mode & 0o077 == 0
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert run(server.start(), "SELECT current_database()") == [("crm",)]
    server.stop()
    assert not folder.exists()


def test_settings(server: EmbeddedServer) -> None:
    """The server is small, listens on no network, and is durable."""
    names = "max_connections", "jit", "listen_addresses", "fsync", "unix_socket_permissions"
    found = [run(server.start(), f"SHOW {name}")[0][0] for name in names]
    assert found == ["200", "off", "", "on", "0700"]


def test_stop(server: EmbeddedServer) -> None:
    """After a stop nothing runs and no URL is known; stopping again says that there was none."""
    assert server.stop() is True
    assert server.is_running() is False
    assert database_url(SimpleNamespace(data=server.data, environ={})) is None
    assert server.stop() is False


def test_killed_server_recovers(server: EmbeddedServer) -> None:
    """After kill -9 the next start recovers, with everything that was committed."""
    name = f"kept_{postmaster(server)}"
    run(server.start(), f"CREATE TABLE {name} AS SELECT 42 AS a; SELECT 1")
    before = postmaster(server)
    os.kill(before, signal.SIGKILL)
    url = server.start()
    assert postmaster(server) != before
    assert run(url, f"SELECT a FROM {name}") == [(42,)]


def test_reused_process_id(server: EmbeddedServer) -> None:
    """A dead server's pid file, whose id another process has now, does not prevent a start."""
    pid_file = server.folder / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert server.is_running() is False
    assert server.stop() is False
    server.start()
    assert postmaster(server) != os.getpid()


def test_server_outlives_who_started_it(server: EmbeddedServer) -> None:
    """Two processes start the server at once, get the same one, and are killed; the server runs on."""
    server.stop()
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", START, str(server.data)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    urls = [starter.communicate(timeout=60)[0].strip() for starter in starters]
    assert urls == [server.url()] * 2
    assert [starter.returncode for starter in starters] == [-signal.SIGKILL] * 2
    assert run(urls[0], "SELECT 1") == [(1,)]


def test_borrowers(server: EmbeddedServer) -> None:
    """A borrowed server runs until the last borrower leaves."""
    server.stop()
    settings = SimpleNamespace(data=server.data, environ={})
    with running_database(settings) as first:
        with server.borrowed():
            pass
        with first.transaction() as cursor:
            cursor.execute("SELECT count(*) FROM crm_state.migrations")
    assert server.is_running() is False


def test_borrowers_leave_a_started_server(server: EmbeddedServer) -> None:
    """Borrowing a server that was started, before or meanwhile, does not end it."""
    with server.borrowed():
        pass
    assert server.is_running()
    server.stop()
    with server.borrowed():
        server.start()
    assert server.is_running()


def test_borrowers_leave_a_started_server_that_was_killed(server: EmbeddedServer) -> None:
    """A server that was started stays after a borrower left, although it was killed meanwhile."""
    os.kill(postmaster(server), signal.SIGKILL)
    with server.borrowed():
        pass
    assert server.is_running()


def test_failed_start_shows_the_log(server: EmbeddedServer) -> None:
    """A server that cannot start is an error with the end of the server's log."""
    server.stop()
    conf = server.folder / "postgresql.conf"
    text = conf.read_text()
    conf.write_text(text + "\nno_such_setting = 1\n")
    try:
        with pytest.raises(DatabaseUnavailable, match="no_such_setting"):
            server.start()
    finally:
        conf.write_text(text)


def test_the_environment_does_not_matter(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPORT and similar variables, set for another server, do not change ours."""
    server.stop()
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGPORT", "6543")
    assert run(server.start(), "SELECT 1") == [(1,)]


def test_other_major_version(tmp_path: Path) -> None:
    """Data of another PostgreSQL are not touched; the error names both versions and the way out."""
    server = EmbeddedServer(tmp_path)
    server.folder.mkdir()
    (server.folder / "PG_VERSION").write_text("15\n")
    with pytest.raises(StoreError, match=r"PostgreSQL 15, .* PostgreSQL \d+\. .*backup"):
        server.start()


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    """A folder that holds other things is not turned into a server."""
    server = EmbeddedServer(tmp_path)
    server.folder.mkdir()
    ServerAccount.of(tmp_path / "none").own(server.folder)
    (server.folder / "thesis.txt").touch()
    with pytest.raises(StoreError, match="not empty"):
        server.start()


def test_data_not_writable(tmp_path: Path) -> None:
    """A data folder that cannot be made is named."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=f"{tmp_path}/file/data is not writable"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_somebody_elses_folder(tmp_path: Path) -> None:
    """A server folder of another user is an error that names both users."""
    account = replace(ServerAccount.of(tmp_path / "none"), uid=54_321, demoted=False)
    with pytest.raises(StoreError, match=r"belongs to .* runs as .*"):
        account.require_usable(tmp_path)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only runtime folder there is, with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        monkeypatch.setattr("tempfile.tempdir", name)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        monkeypatch.setattr("crm_pipeline.store.postgres.server_account._SHORTEST", name)
        yield Path(name)


def test_no_place_for_the_socket(tmp_path: Path, runtime: Path) -> None:
    """A runtime folder that another user made first is not trusted."""
    account = replace(ServerAccount.of(tmp_path / "none"), uid=os.geteuid() + 54_321, demoted=False)
    (runtime / f"crm-pipeline-{account.uid}").mkdir(mode=0o700)
    with pytest.raises(StoreError, match=r"no runtime folder.*belongs to another user"):
        socket_folder(tmp_path / ("x" * 100), account)


@pytest.mark.parametrize("inner", [False, True])
def test_an_open_place_for_the_socket(tmp_path: Path, runtime: Path, inner: bool) -> None:
    """A runtime folder that others may enter is not trusted, whether the server's own or its parent."""
    account = replace(ServerAccount.of(tmp_path / "none"), uid=os.geteuid(), demoted=False)
    deep = tmp_path / ("x" * 100)
    place = socket_folder(deep, account)
    assert place.parent.parent == runtime
    (place if inner else place.parent).chmod(0o777)
    with pytest.raises(StoreError, match=r"is open to others \(mode 0777\)"):
        socket_folder(deep, account)


def test_a_socket_folder_that_was_made_anew(server: EmbeddedServer) -> None:
    """A socket in a folder that others may enter is not used, because anybody may have made it."""
    folder = Path(str(make_url(str(server.url())).query["host"]))
    folder.chmod(0o755)
    try:
        assert server.url() is None
    finally:
        folder.chmod(0o700)
    assert server.is_running()


def test_psycopg2_takes_the_url_without_the_driver(server: EmbeddedServer) -> None:
    """The URL is one of PostgreSQL's own but for the driver's name."""
    psycopg2.connect(server.start().replace("+psycopg2", "")).close()
