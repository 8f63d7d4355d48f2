"""Both wheels are all that is needed: no repository, no file of it.

`cli/test_demo.py` runs `demo` on them, and `test_stack.py` `up`, in projects that `init` made.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import crm_pipeline
import crm_sandbox
from crm_pipeline_tests.end_to_end.killed_up import free_port

# One process for all: each would import Dagster anew.
COMMANDS = """
from crm_pipeline.cli.app import app
for command in (
    ["add", "more", "--vendor", "pipedrive", "--sandbox", "--kind", "token", "--yes"],
    ["discover", "more", "--write"],
    ["backfill", "more", "--object", "users", "--object", "persons"],
    ["query", "--raw-csv", "SELECT connection, count(*) > 0 FROM crm.users GROUP BY 1"],
):
    assert not app(command, standalone_mode=False), command
"""


def test_the_wheels_hold_all_that_is_read(wheels: list[Path]) -> None:
    """Every file of both packages is in its wheel: SQL, limits, vocabularies, the project's files."""
    held = {name for wheel in wheels for name in zipfile.ZipFile(wheel).namelist()}
    for package in (crm_pipeline, crm_sandbox):
        root = Path(str(package.__file__)).parent
        files = {path for path in root.rglob("*") if path.is_file()}
        names = {path.relative_to(root.parent).as_posix() for path in files}
        assert {name for name in names if "__pycache__" not in name} - held == set()
    assert "crm_pipeline/project/files/docs/analysts/13_can_i_trust_it.sql" in held


def test_an_account_in_a_project_that_init_made(
    installed: Path, initialised: Path, tmp_path: Path, fresh_url: str
) -> None:
    """`sandbox`, `add`, `discover`, `backfill` and `query` work where nothing is but the project and the wheels."""
    root = tmp_path / "crm"
    shutil.copytree(initialised, root)
    lines = (root / ".env.example").read_text().splitlines()
    shipped = dict(line.split("=") for line in lines if line[:1].isupper())
    (root / "connections.yaml").write_text("connections:\n")
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(installed),
        "CRM_DATABASE_URL": fresh_url,
        "CRM_SANDBOX_PORT": str(free_port()),
        "MORE_TOKEN": shipped["PIPEDRIVE_DEMO_TOKEN"],
    }
    program = [sys.executable, "-m", "crm_pipeline", "sandbox", "--ends-with-stdin"]
    port = ("--port", environ["CRM_SANDBOX_PORT"])
    with subprocess.Popen(
        [*program, *port, "--contacts", "20"],
        cwd=root,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as sandbox:
        assert sandbox.stdout is not None
        sandbox.stdout.readline()
        done = subprocess.run(
            [sys.executable, "-c", COMMANDS],
            cwd=root / "contracts",
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        sandbox.communicate("")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("more,True\n")
    assert {path.name for path in tmp_path.iterdir()} == {"crm"}
