"""What a user reads when something outside is wrong, from the program itself."""

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline_tests.cli.conftest import CONNECTIONS, Program, Run

NOWHERE = "postgresql://nobody:hush-hush@127.0.0.1:1/crm"


class _Refusal(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = b'{"error":"invalid_client","error_description":"invalid client credentials"}'
        self.send_response(400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """The port of a vendor that knows nobody."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def postgres(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of the test have a database."""
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)


def assert_explained(result: Any, code: int, *words: str) -> None:
    is_program = isinstance(result, subprocess.CompletedProcess)
    assert (result.returncode if is_program else result.exit_code) == code, result.stderr
    text = result.stdout + result.stderr
    assert "Traceback" not in text
    assert "hush-hush" not in text
    for word in words:
        assert word in text
    if not result.stdout:
        assert result.stderr.count("\n") == 1


TYPOS = [
    ("vendor: salesforce", "vendor: salesfarce", ["connections.yaml:3", "'salesforce'?"]),
    ("objects:", "objcts:", ["connections.yaml:9", "'objects'?"]),
    ("sandbox: true", "sandbox: perhaps", ["connections.yaml:13", "true or false"]),
]


@pytest.mark.parametrize(("old", "new", "words"), TYPOS)
@pytest.mark.parametrize("command", ["check", "status", "up", "demo", "sandbox"])
def test_typo_in_connections(
    run: Run, project: Path, command: str, old: str, new: str, words: list[str]
) -> None:
    """A typo stops every command at once, with file, line and cure."""
    (project / "connections.yaml").write_text(CONNECTIONS.replace(old, new, 1))
    assert_explained(run(command), 2, *words)


def test_typo_as_the_program_says_it(program: Program, project: Path) -> None:
    """In a process of its own a command says the same."""
    old, new, words = TYPOS[0]
    (project / "connections.yaml").write_text(CONNECTIONS.replace(old, new, 1))
    assert_explained(program("check"), 2, *words)


@pytest.mark.parametrize("arguments", [["check"], ["preview", "acme", "Contact"]])
def test_postgresql_not_reachable(run: Run, arguments: list[str]) -> None:
    """Without its database a command says how to get it, and hides the password."""
    result = run(*arguments, env={"CRM_DATABASE_URL": NOWHERE})
    assert_explained(result, 1, "PostgreSQL", "db start")


@pytest.mark.parametrize("command", ["check", "demo", "sandbox"])
def test_data_not_writable(run: Run, project: Path, command: str) -> None:
    """A file in the place of the data folder is named, with the way around it."""
    (project / "data").write_text("")
    assert_explained(run(command), 1, str(project / "data"), "CRM_DATA")


def test_port_in_use(run: Run, taken_port: int) -> None:
    """The sandbox names the port that is taken and the variable that changes it."""
    result = run("sandbox", env={"CRM_SANDBOX_PORT": str(taken_port)})
    assert_explained(result, 2, str(taken_port), "CRM_SANDBOX_PORT")


def test_missing_secret(run: Run, project: Path, postgres: None) -> None:
    """A missing secret fails its own connection, naming the variable."""
    (project / ".env").write_text("DEMO_ID=d\nDEMO_SECRET=s\nACME_ID=a\n")
    assert_explained(run("check", "acme"), 1, "ACME_SECRET", ".env")
    assert_explained(run("preview", "acme", "Contact"), 2, "ACME_SECRET", ".env")


def test_wrong_credentials(run: Run, postgres: None, refusing_port: int) -> None:
    """Refused credentials are a finding with a cure, and exit code 1."""
    port = str(refusing_port)
    assert_explained(
        run("check", "demo", env={"CRM_SANDBOX_PORT": port}), 1, "invalid_client", "fail"
    )
    assert_explained(
        run("preview", "demo", "Contact", env={"CRM_SANDBOX_PORT": port}), 1, "invalid_client"
    )


def test_unreachable_host(run: Run, postgres: None) -> None:
    """An address where nobody answers is named."""
    result = run("check", "demo", env={"CRM_SANDBOX_PORT": "1"})
    assert_explained(result, 1, "127.0.0.1", "fail")


def test_debug_shows_the_traceback(program: Program) -> None:
    """With --debug, and only with it, the traceback comes as well, still without the password."""
    result = program("check", "--debug", CRM_DATABASE_URL=NOWHERE)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "hush-hush" not in result.stderr


def test_database_commands(run: Run, project: Path) -> None:
    """`db url` fails with a cure until `db start`, whose output a shell can evaluate."""
    assert_explained(run("db", "url"), 1, "crm-pipeline db start")
    started = run("db", "start")
    try:
        assert "export CRM_DATABASE_URL=" in started.stdout
        assert "export DAGSTER_HOME=" in started.stdout
        url = run("db", "url").stdout.strip()
        assert url in started.stdout
    finally:
        assert run("db", "stop").exit_code == 0
    assert "was not running" in run("db", "stop").stderr
