from pathlib import Path

import pytest

from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.cli.conftest import Run


@pytest.fixture
def state(fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("CRM_DATABASE_URL", fresh_url)
    database = Database(fresh_url)
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO crm_state.api_usage VALUES ('acme', '2026-11-24', 'query', 5, 5)"
        )
    return database


def test_there_and_back(run: Run, state: Database, tmp_path: Path) -> None:
    """What was saved is put back; without --replace nothing is overwritten; the key is spoken of."""
    file = tmp_path / "safe" / "state.zip"
    saved = run("backup", str(file))
    assert saved.exit_code == 0
    assert "api_usage 1" in saved.stderr
    assert "state.key, which is not in it" in " ".join(saved.stderr.split())
    refused = run("restore", str(file))
    assert refused.exit_code == 2
    assert "--replace" in refused.stderr
    with state.transaction() as cursor:
        cursor.execute("UPDATE crm_state.api_usage SET calls = 0")
    assert run("restore", str(file), "--replace").exit_code == 0
    with state.transaction() as cursor:
        cursor.execute("SELECT calls FROM crm_state.api_usage")
        assert cursor.fetchall() == [(5,)]


def test_not_writable(run: Run, state: Database, tmp_path: Path) -> None:
    """A place that cannot be written is named."""
    (tmp_path / "file").write_text("")
    result = run("backup", str(tmp_path / "file" / "state.zip"))
    assert result.exit_code == 1
    assert "A file stands where a folder is needed" in " ".join(result.stderr.split())
