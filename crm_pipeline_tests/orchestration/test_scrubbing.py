from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.scrubbing import failed
from crm_pipeline.settings import Settings
from crm_pipeline.store import files
from crm_pipeline.store.scrub import Corruption, Scrubbed, Tally
from crm_pipeline_tests.rot.flips import flip_bit


@pytest.fixture
def release(settings: Settings) -> Path:
    """The one file below a data folder: an empty release."""
    path = settings.data / "tables" / "releases" / "1.json"
    files.write_json(path, {"number": 1, "tables": {}, "committed_at": None})
    return path


@pytest.fixture
def ephemeral() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(settings: Settings, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_defs(settings, {"crm": Workspace(settings)}).resolve_job_def("scrub")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def metadata(event: Any) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def test_a_run_over_whole_files(
    settings: Settings, release: Path, ephemeral: dg.DagsterInstance
) -> None:
    """The step shows how many files and bytes were compared, by kind."""
    done = run(settings, ephemeral)
    assert done.success
    [output] = done.filter_events(lambda event: event.is_successful_output)
    shown = metadata(output.event_specific_data)
    assert (shown["files"], shown["files_damaged"], shown["files_unproven"]) == (1, 0, 0)
    assert shown["bytes"] == release.stat().st_size
    assert "| releases | 1 |" in shown["kinds"]


def test_a_run_that_finds_damage_fails(
    settings: Settings, release: Path, ephemeral: dg.DagsterInstance
) -> None:
    """The failure names the file and what to do, and lists it in a table; it is not tried again."""
    flip_bit(release)
    done = run(settings, ephemeral)
    assert not done.success
    [event] = done.filter_events(lambda event: event.is_step_failure)
    failure = event.step_failure_data.user_failure_data
    assert failure.description.startswith("Damaged files: 1. ")
    assert str(release) in str(failure.description)
    shown = metadata(failure)
    assert shown["files_damaged"] == 1
    assert str(release) in str(shown["damaged"])
    assert not [event for event in done.all_events if event.is_step_up_for_retry]


def test_a_run_that_finds_damage_in_what_nothing_uses(
    settings: Settings, release: Path, ephemeral: dg.DagsterInstance
) -> None:
    """It succeeds, and lists the file."""
    later = {"number": 2, "tables": {}, "committed_at": None}
    files.write_json(release.with_name("2.json"), later)
    flip_bit(release)
    done = run(settings, ephemeral)
    assert done.success
    [output] = done.filter_events(lambda event: event.is_successful_output)
    shown = metadata(output.event_specific_data)
    assert shown["files_damaged"] == 1
    assert str(release) in str(shown["damaged"])


def test_many_damaged_files_are_a_short_sentence() -> None:
    """Of a disk that dies the first files are named and the rest is counted; the table has more."""
    corruption = [Corruption("tables", Path(f"/data/{n}"), "gone", "Build it.") for n in range(300)]
    kinds = {"tables": Tally(files=300, damaged=300)}
    failure = failed(Scrubbed(kinds, tuple(corruption), 1.0))
    assert failure.description is not None
    assert failure.description.endswith("And 297 more.")
    assert "/data/2: gone. Build it." in failure.description
    assert str(failure.metadata["damaged"].value).count("\n") == 201
