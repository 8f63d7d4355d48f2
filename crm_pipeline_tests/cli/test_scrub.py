import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store import files
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.window import Counts
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.rot.flips import flip_bit

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def commit(project: Path) -> Path:
    """The commit of a window of `acme`, in which nothing landed."""
    landing = Landing(project / "data", FrozenClock("2026-11-01T00:10:00Z"))
    schema = Schema("Contact", "Contact", (Field("Id", "Id", "id"),))
    with landing.begin("acme", "Contact", Window(None, UNTIL), schema) as writer:
        writer.commit(Counts())
    [path] = (project / "data").glob("landing/acme/Contact/windows/*.json")
    return path


def test_whole_files(run: Run, commit: Path) -> None:
    """Files are counted by kind, and the exit code is 0; a line on stderr shows the progress."""
    result = run("scrub")
    assert result.exit_code == 0
    lines = {line.split("  ")[0].strip(): line.split() for line in result.stdout.splitlines()}
    assert lines["window commits"][-4:-2] == ["1", f"{commit.stat().st_size:,}"]
    assert lines["all"][-4] == "2"
    assert "landing acme: 2 files" in result.stderr


def test_a_damaged_file(run: Run, commit: Path) -> None:
    """A damaged file has a paragraph with its cure, counts in the table, and the exit code is 1."""
    flip_bit(commit)
    result = run("scrub")
    assert result.exit_code == 1
    [line] = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert str(commit) in line
    assert "`crm-pipeline backfill acme --object Contact` reads the object again" in line
    assert "damaged" in result.stdout


def test_a_damaged_file_that_nothing_uses(run: Run, project: Path) -> None:
    """A damaged file that nothing uses is a note, in JSON as well, and the exit code is 0."""
    releases = project / "data" / "tables" / "releases"
    for number in (1, 2):
        files.write_json(
            releases / f"{number}.json", {"number": number, "tables": {}, "committed_at": None}
        )
    flip_bit(releases / "1.json")
    result = run("scrub")
    assert result.exit_code == 0
    assert "error:" not in result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("note:")]
    assert str(releases / "1.json") in line
    [damaged] = json.loads(run("scrub", "--json").stdout)["damaged"]
    assert damaged["is_used"] is False


def test_for_scripts(run: Run, commit: Path) -> None:
    """JSON has the counts by kind and each damaged file with its cure."""
    flip_bit(commit)
    result = run("scrub", "acme", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["kinds"]["window commits"]["damaged"] == 1
    [damaged] = report["damaged"]
    assert (damaged["kind"], damaged["path"]) == ("window commits", str(commit))
    assert "backfill acme" in damaged["cure"]
    assert report["seconds"] >= 0


def test_one_connection(run: Run, commit: Path) -> None:
    """Corruption in another connection does not count; one that there is not is a usage error."""
    flip_bit(commit)
    assert run("scrub", "demo").exit_code == 0
    result = run("scrub", "acmee")
    assert result.exit_code == 2
    assert "acme" in result.stderr


def test_nothing_there_yet(run: Run, project: Path) -> None:
    """Before the first run there is nothing to check, and nothing is made."""
    assert run("scrub").exit_code == 0
    assert not (project / "data").exists()
