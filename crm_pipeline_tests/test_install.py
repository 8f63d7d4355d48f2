"""What `make` installs with: uv where it is on the path, else pip, and what is shown meanwhile."""

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "install.py"
PIP = """#!/bin/sh
test "$3" = --version && exit 0
echo "pip $*" >> {log}
echo "WARNING: Location 'x' is ignored" >&2
echo "Collecting a"
echo "Installing collected packages: a"
exit {code}
"""
UV = '#!/bin/sh\necho "uv $*" >> {log}\nenv | grep UV_ >> {log}\nexit {code}\n'


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment whose python only takes notes, and a path without uv."""
    program(tmp_path / ".venv" / "bin" / "python", PIP, tmp_path)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    monkeypatch.setenv("UV", "uv-of-this-test")
    return tmp_path


def program(path: Path, text: str, place: Path, code: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(log=place / "log", code=code))
    path.chmod(0o755)


def test_without_uv_pip_installs_and_says_so(
    install: ModuleType, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """pip gets the constraints; its warnings are not shown, its progress is."""
    assert install.main([str(place / ".venv"), "-e", "."]) == 0
    assert "-c constraints.txt -e ." in (place / "log").read_text()
    shown = capfd.readouterr()
    assert "installing 1 packages" in shown.out
    assert "WARNING" not in shown.out + shown.err


def test_a_failure_of_pip_is_shown_whole(
    install: ModuleType, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """If pip fails its last lines, warnings included, and its exit code are passed on."""
    program(place / ".venv" / "bin" / "python", PIP, place, code=3)
    assert install.main([str(place / ".venv"), "-e", "."]) == 3
    assert "WARNING" in capfd.readouterr().err


@pytest.mark.parametrize("code", [0, 2])
def test_uv_comes_first(install: ModuleType, place: Path, code: int) -> None:
    """uv gets the same constraints, and pip's index; pip has its turn only if uv fails."""
    program(place / "bin" / "uv-of-this-test", UV, place, code=code)
    assert install.main([str(place / ".venv"), "-e", "."]) == 0
    lines = (place / "log").read_text().splitlines()
    assert "pip install --quiet --python" in lines[0]
    assert "-c constraints.txt" in lines[0]
    assert "UV_DEFAULT_INDEX=https://pip.example/simple" in lines
    assert any(line.startswith("pip -m pip install") for line in lines) == bool(code)
    assert not any(os.environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX"))


def test_a_folder_without_pip_is_made_again(
    install: ModuleType, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uv made the folder and could not fetch pip for it: the next try has pip."""
    folder, good = place / ".venv", place / "good"
    program(good, PIP, place)
    program(folder / "bin" / "python", "#!/bin/sh\nexit 1\n", place)
    python = '#!/bin/sh\necho "$*" >> {log}\ncp ' + f"{good} {folder}/bin/python\n"
    program(place / "python", python, place)
    monkeypatch.setattr(install.sys, "executable", str(place / "python"))
    assert install.main([str(folder), "-e", "."]) == 0
    lines = (place / "log").read_text().splitlines()
    assert lines[0] == f"-m venv --clear {folder}"
    assert lines[1].startswith("pip -m pip install")


def test_a_silent_pip_is_not_a_silent_screen(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """pip writes nothing while it installs; what it does is said meanwhile."""
    monkeypatch.setattr(install, "_SAY_EVERY_S", 0.05)

    def output() -> Iterator[str]:
        yield "Collecting a\n"
        yield "Installing collected packages: a\n"
        time.sleep(0.2)

    install._counted(output())
    assert capsys.readouterr().out.count("installing 1 packages") > 1
