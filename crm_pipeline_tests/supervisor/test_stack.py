import fcntl
import socket
import time
from pathlib import Path

import pytest
import yaml

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.orchestration.instance import make_home
from crm_pipeline.settings import Settings
from crm_pipeline.store.files.disk import disk_full
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.supervisor import stack as module
from crm_pipeline.supervisor.processes import ManagedProcess, Records
from crm_pipeline.supervisor.stack import Service, Stack, StackOptions
from crm_pipeline_tests.orchestration.projects import make_settings


def test_a_port_in_use_is_named_with_its_flag(settings: Settings) -> None:
    """The error names the port and how to choose another; nothing was started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port}.*--port"):
            Stack(settings, StackOptions(port=port)).start()
    assert not (settings.data / "postgres").exists()


def test_a_second_stack_on_the_same_data_is_refused(settings: Settings) -> None:
    """One stack per data folder; the first one's records stay."""
    folder = settings.data / "run"
    folder.mkdir(parents=True)
    (folder / "children.json").write_text("{}")
    with (folder / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="running already"):
            Stack(settings).start()
    assert (folder / "children.json").exists()


def test_a_data_folder_that_cannot_be_written_is_named(settings: Settings) -> None:
    """A file where the folder should be, or no permission: one sentence with the cure."""
    settings.data.write_text("in the way")
    with pytest.raises(StoreError, match="CRM_DATA"):
        Stack(settings).start()


def test_the_home_keeps_everything_below_data(settings: Settings) -> None:
    """Dagster's home is a copy of dagster.yaml that names the data folder absolutely."""
    home = make_home(settings)
    config = yaml.safe_load((home / "dagster.yaml").read_text())
    assert home == settings.data / "dagster"
    assert config["storage"]["postgres"]["postgres_url"] == {"env": "CRM_DATABASE_URL"}
    for part in ("local_artifact_storage", "compute_logs"):
        assert Path(config[part]["config"]["base_dir"]).is_relative_to(settings.data)
    assert config["telemetry"] == {"enabled": False}


def test_a_killed_database_is_looked_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` looks after its PostgreSQL, not at each look after its programs, and not after a server of the user's."""
    lines: list[str] = []
    monkeypatch.setattr(EmbeddedServer, "revive", lambda _: True)
    stack = Stack(settings)
    stack._report = lines.append
    for _ in range(3):
        stack._revive_database()
    assert lines == ["PostgreSQL was killed; it is there again"]
    theirs = make_settings(settings.root, {"CRM_DATABASE_URL": "postgresql://h/d"})
    other = Stack(theirs)
    other._report = lines.append
    other._revive_database()
    assert len(lines) == 1


def test_a_stopped_database_is_started_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` needs it, whoever stopped it; it says so, and stops it in the end as it now is the one that started it."""
    lines: list[str] = []
    started: list[Path] = []
    monkeypatch.setattr(EmbeddedServer, "is_running", lambda listener: bool(started))
    monkeypatch.setattr(EmbeddedServer, "start", lambda listener: started.append(listener.data))
    stack = Stack(settings)
    stack._folder.mkdir(parents=True)
    stack._report = lines.append
    for _ in range(2):
        stack._next_database_check = 0.0
        stack._revive_database()
    assert started == [settings.data]
    assert lines == ["PostgreSQL was stopped; this stack needs it, so it is there again"]
    assert Records.read(stack._records).owns_database
    started.clear()
    stack._next_database_check = 0.0
    stack.ask_to_stop()
    stack._revive_database()
    assert started == []


def test_a_service_that_listens_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that listens already is listed among the addresses and not started again."""
    make_settings(tmp_path)
    monkeypatch.setattr(module, "is_listening", lambda *_: True)
    service = Service("mail", "mail of acme", "http://127.0.0.1:9", "127.0.0.1", 9, ("-c", "1/0"))
    stack = Stack(load_settings(tmp_path, {}), StackOptions(services=(service,)))
    stack._start_services()
    assert stack.urls == {"mail of acme": "http://127.0.0.1:9"}
    assert stack._processes == []


def test_programs_that_end_now_and_then_are_started_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three restarts in an hour are the most, and those of earlier hours do not count."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(ManagedProcess, "start", lambda _: None)
    stack = Stack(settings)
    monkeypatch.setattr(stack, "_write_records", lambda: None)
    daemon = ManagedProcess("daemon", [], {}, settings.root, settings.data / "run" / "daemon.log")
    for _ in range(3):
        stack._revive(daemon)
    now[0] += 3599
    with pytest.raises(StoreError, match="daemon ended by itself"):
        stack._revive(daemon)
    now[0] += 1
    stack._revive(daemon)


def test_old_runs_are_removed_each_hour(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is told and tried again an hour later: the programs are watched meanwhile."""
    calls: list[str] = []

    def failing(_: Settings, url: str) -> None:
        calls.append(url)
        raise StoreError("no database", cure="Start it.")

    now = [10.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "opened_instance", failing)
    lines: list[str] = []
    stack = Stack(settings)
    stack._url = "postgresql://here"
    stack._report = lines.append
    for at in (10.0, 3609.0, 3610.0):
        now[0] = at
        stack._tidy()
    assert calls == ["postgresql://here"] * 2
    assert lines == ["old runs were not removed (StoreError); tried again in an hour"] * 2


def test_a_full_disk_does_not_end_the_stack(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL is tried again each half minute and the failure told once; the restarts from before count no more."""
    lines: list[str] = []
    full = [True, False]
    now = [100.0]

    def start(server: EmbeddedServer) -> None:
        if full.pop(0):
            raise disk_full("PostgreSQL did not start", server.data)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def revive(server: EmbeddedServer) -> bool:
        raise disk_full("PostgreSQL ended", server.data)  # as long as its log ends so

    monkeypatch.setattr(EmbeddedServer, "revive", revive)
    monkeypatch.setattr(EmbeddedServer, "is_running", lambda _: False)
    monkeypatch.setattr(EmbeddedServer, "start", start)
    stack = Stack(settings)
    monkeypatch.setattr(stack, "_write_records", lambda: None)
    stack._report = lines.append
    stack._restarts["daemon"] = [99.0] * 3
    there = []
    for at in (100.0, 129.0, 130.0, 160.0):
        now[0] = at
        there.append(stack._revive_database())
    assert there == [False, False, False, True]
    assert "free some space" in lines[0]
    assert lines[1:] == ["PostgreSQL works again"]
    assert stack._restarts == {}


def test_secrets_of_dotenv_stay_there(tmp_path: Path) -> None:
    """Programs get what else stands in `.env`: a secret in their environment would win over one that is renewed."""
    make_settings(tmp_path)
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("ACME_CLIENT_SECRET=old\nCRM_ALLOWED_HOSTS=crm.acme.com\n")
    stack = Stack(load_settings(tmp_path, {"ACME_CLIENT_ID": "id"}))
    environ = stack._environ()
    assert "ACME_CLIENT_SECRET" not in environ
    assert environ["CRM_ALLOWED_HOSTS"] == "crm.acme.com"
    assert environ["ACME_CLIENT_ID"] == "id"


def test_a_service_whose_program_ended_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox that another program served is replaced when it ends: a stack that is up keeps what it needs."""
    make_settings(tmp_path)
    listens = [True]
    monkeypatch.setattr(module, "is_listening", lambda *_: listens[0])
    service = Service("mail", "mail of acme", "http://127.0.0.1:9", "127.0.0.1", 9, ("-c", "1"))
    stack = Stack(load_settings(tmp_path, {}), StackOptions(services=(service,)))
    stack._start_services()
    started: list[Service] = []
    monkeypatch.setattr(stack, "_start_service", started.append)
    stack._replace_services()
    assert started == []
    listens[0] = False
    stack._replace_services()
    stack._replace_services()
    assert started == [service]


def test_a_long_wait_is_not_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a program comes up, what is waited for is said again and again."""
    make_settings(tmp_path)
    monkeypatch.setattr(module, "_SAY_EVERY_S", 0.1)
    said: list[str] = []
    stack = Stack(load_settings(tmp_path, {}))
    stack._report = said.append
    answers = iter([False, False, False, True])
    stack._await(lambda: next(answers), [], "Dagster")
    assert "waiting for Dagster: 0 s" in said
