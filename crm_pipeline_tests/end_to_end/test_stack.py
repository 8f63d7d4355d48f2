import shutil
from pathlib import Path

import pytest
import requests

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.supervisor.health import is_loaded
from crm_pipeline.supervisor.stack import Stack
from crm_pipeline_tests.end_to_end.killed_up import Project, eventually
from crm_pipeline_tests.modes import open_to_others


def test_a_killed_stack_is_taken_over_and_works(
    tmp_path: Path, installed: Path, initialised: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`up` killed in a run: the next one ends what is left, frees the pools, and a new run succeeds.

    Killed are `up`, PostgreSQL and the run; the other programs are orphans. Until then a second `up`
    is refused. Of the stack that takes over nothing is left when it stops. While it is up, requests for
    another host are refused, and what its programs write is for its owner alone. The first `up` runs from the wheel,
    in a project that `init` made.
    """
    shutil.copytree(initialised, tmp_path / "project")
    monkeypatch.setenv("PYTHONPATH", str(installed))
    project = Project.at(tmp_path / "project")
    with project.running() as program:
        eventually(lambda: is_loaded(project.url))
        assert_private(project)
        with pytest.raises(ConfigError, match="is running already"):
            Stack(project.settings, project.options).start()
        left = project.killed_in_a_run(program, "some")
    project.taken_over(left)
    names = {path.name for path in project.settings.root.iterdir()}
    assert names - {path.name for path in initialised.iterdir()} == {".env", "data"}


def assert_private(project: Project) -> None:
    for path, headers in (
        ("/", {"Host": "evil.example"}),
        ("/graphql?query={version}", {"Host": "evil.example:3000"}),
        ("/graphql?query={version}", {"Origin": "http://evil.example"}),
    ):
        assert requests.get(f"{project.url}{path}", headers=headers).status_code == 403
    assert requests.get(project.url).status_code == 200
    for name in ("run", "dagster"):
        assert open_to_others(project.settings.data / name) == []
