"""Both distributions as their users have them: wheels, unpacked beside nothing, and a project that `init` made."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
# Built in a copy: what an earlier build left in the checkout would be in the wheel as well.
_SOURCES = {
    ".": (
        *("crm_pipeline", "docs", "connections.yaml", ".env.example", "dagster.yaml"),
        *("workspace.yaml", "constraints.txt", "pyproject.toml", "README.md", "LICENSE"),
    ),
    "sandbox": ("src", "pyproject.toml", "README.md", "LICENSE"),
}
_BUILD = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "images")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The wheels of product and sandbox, built by the backend of the test environment, without a network."""
    folder = tmp_path_factory.mktemp("wheels")
    for part, names in _SOURCES.items():
        source = tmp_path_factory.mktemp("source")
        for name in names:
            path = CHECKOUT / part / name
            if path.is_dir():
                shutil.copytree(path, source / name, symlinks=True, ignore=_LEFT_OUT)
            else:
                shutil.copy(path, source / name)
        subprocess.run(
            [sys.executable, "-c", _BUILD, str(folder)],
            cwd=source,
            env={**os.environ, "PYTHONWARNINGS": "default"},
            check=True,
            capture_output=True,
        )
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two distributions; first on PYTHONPATH it stands for their installation."""
    target = tmp_path_factory.mktemp("installed")
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    return target


@pytest.fixture(scope="session")
def initialised(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that `crm-pipeline init` made in an empty folder; tests work on copies."""
    empty = tmp_path_factory.mktemp("empty")
    code = "import crm_pipeline, crm_sandbox; print(crm_pipeline.__file__, crm_sandbox.__file__)"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)}
    for arguments in (("-c", code), ("-m", "crm_pipeline", "init", "crm")):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=empty,
            env=environ,
            check=True,
            capture_output=True,
            text=True,
        )
        if arguments[0] == "-c":
            assert all(Path(path).is_relative_to(installed) for path in done.stdout.split())
    return empty / "crm"
