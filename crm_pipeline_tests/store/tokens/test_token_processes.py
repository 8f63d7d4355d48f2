"""Tokens with many processes; parts of `benchmarks/tokens.py`."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tokens
from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline.stages.raw import opened
from crm_pipeline.store.postgres.database import Database
from crm_sandbox.server import SandboxServer

ROOT = Path(__file__).parents[3]


def test_every_expiry_costs_one_refresh(fresh_url: str) -> None:
    """Three processes meet eight expiries at once: eight refreshes, no dead refresh token shown, and no
    token used before it was stored."""
    found = tokens.run(fresh_url, 8, 3)
    assert (found.refreshes, found.refused, found.unstored) == (8, 0, 0)
    assert found.failures == []


def test_a_process_killed_meanwhile(fresh_url: str) -> None:
    """When processes are killed during refreshes, the others go on; a token lost on the way is reported."""
    found = tokens.run(fresh_url, 4, 2, kills=2)
    assert (found.refreshes, found.unstored, found.kills) == (4, 0, 2)
    assert all("authorize the app again" in words for words in found.failures)
    assert bool(found.refused) == bool(found.failures)


def test_a_refresh_that_was_answered_and_never_stored(
    fresh_url: str, database: Database, tmp_path: Path
) -> None:
    """A refresh token lost between vendor and store: the next caller gets an error with the cure, and a newly
    authorized token is used at once."""
    with SandboxServer(contacts=20) as sandbox:
        sandbox.salesforce.rotate()
        (tmp_path / "connections.yaml").write_text(tokens.CONNECTIONS.format(url=sandbox.url))
        worker = Path(__file__).with_name("dying_login.py")
        given = tokens.ENVIRON["BENCH_REFRESH_TOKEN"]
        command = [sys.executable, str(worker), str(tmp_path), fresh_url, given]
        died = subprocess.run(
            command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, timeout=60, check=False
        )
        assert died.returncode == -signal.SIGKILL
        (lost,) = sandbox.salesforce.sessions.living_refresh_tokens()
        settings = load_settings(tmp_path, {**tokens.ENVIRON, "CRM_DATABASE_URL": fresh_url})
        with opened(settings, tokens.NAME, database) as account:
            with pytest.raises(AuthFailed, match="invalid_grant") as caught:
                account.objects()
            assert "authorize the app again and store the new token" in caught.value.cure
        environ = {"BENCH_REFRESH_TOKEN": lost, "CRM_DATABASE_URL": fresh_url}
        settings = load_settings(tmp_path, {**tokens.ENVIRON, **environ})
        with opened(settings, tokens.NAME, database) as account:
            assert account.objects()
