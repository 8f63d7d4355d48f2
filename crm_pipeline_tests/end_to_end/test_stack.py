from pathlib import Path

import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.orchestration.health import is_loaded
from crm_pipeline.orchestration.stack import Stack
from crm_pipeline_tests.end_to_end.killed_up import Project, eventually


def test_a_killed_stack_is_taken_over_and_works(tmp_path: Path) -> None:
    """`up` killed in a run: the next one ends what is left, frees the pools, and a new run succeeds.

    Killed are `up`, PostgreSQL and the run; the other programs are orphans. Until then a second `up`
    is refused. Of the stack that takes over nothing is left when it stops.
    """
    project = Project.at(tmp_path / "project")
    with project.running() as program:
        eventually(lambda: is_loaded(project.url))
        with pytest.raises(ConfigError, match="is running already"):
            Stack(project.settings, project.options).start()
        left = project.killed_in_a_run(program, "some")
    project.taken_over(left)
    names = {path.name for path in project.settings.root.iterdir()}
    assert names == {"connections.yaml", ".env", "data"}
