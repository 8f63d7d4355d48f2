import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from crm_pipeline.cli.app import app

CONNECTIONS = """\
connections:
  acme:
    vendor: salesforce
    login_url: https://acme.my.salesforce.com
    auth:
      kind: client_credentials
      client_id_env: ACME_ID
      client_secret_env: ACME_SECRET
    objects: [Account, Contact]
  demo:
    vendor: salesforce
    login_url: http://127.0.0.1:8765/salesforce
    sandbox: true
    auth:
      kind: client_credentials
      client_id_env: DEMO_ID
      client_secret_env: DEMO_SECRET
    objects:
      - Account
      - Contact  # people
"""

Run = Callable[..., Result]
Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("CRM_", "DAGSTER_", "SALESFORCE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CRM_HOME", str(tmp_path))
    (tmp_path / "connections.yaml").write_text(CONNECTIONS)
    (tmp_path / ".env").touch(mode=0o600)
    (tmp_path / ".env").write_text("ACME_ID=a\nACME_SECRET=hush-hush\nDEMO_ID=d\nDEMO_SECRET=s\n")
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    """Run a command in this process."""

    def invoke(*arguments: str, **options: str) -> Result:
        return CliRunner().invoke(app, list(arguments), **options)

    return invoke


@pytest.fixture
def program(project: Path) -> Program:
    """Run a command as a program of its own."""

    def start(
        *arguments: str, stdin: bytes = b"", **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "crm_pipeline", *arguments],
            env={**os.environ, **variables},
            cwd=project,
            capture_output=True,
            input=stdin,
            timeout=120,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return start
