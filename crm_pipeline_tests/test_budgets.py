"""Budgets of the house: what stands in `.ci/budgets.toml`."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def measured() -> Any:
    """The program that CI runs the tests with."""
    spec = importlib.util.spec_from_file_location("measured", ROOT / ".ci" / "measured.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sandbox_is_no_larger_than_agreed(measured: Any) -> None:
    """More than half of the repository was the emulator once: it grows only with a reason."""
    sources = (ROOT / "sandbox" / "src").rglob("*.py")
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in sources)
    assert measured.excess("sandbox", {"lines": lines}) == []


def test_what_is_too_much_is_said_in_a_sentence(measured: Any) -> None:
    """What, how much, how much is allowed where, and what to do; what is within says nothing."""
    [sentence] = measured.excess("suite", {"cpu_s": 999_999.0, "wall_s": 1.0})
    assert "suite: cpu_s is 999,999, and budgets.toml allows" in sentence
    assert "say why beside it" in sentence


def test_a_number_without_a_reason_is_refused(
    measured: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget is raised with a reason beside it, or not at all."""
    budgets = tmp_path / "budgets.toml"
    monkeypatch.setattr(measured, "BUDGETS", budgets)
    budgets.write_text('[suite]\ncpu_s = 5\nreason = ""\n')
    with pytest.raises(ValueError, match=r"\[suite\] needs a reason"):
        measured.budget("suite")


@pytest.mark.parametrize(
    ("options", "seconds", "code"), [([], "0.01", 0), ([], "1", 1), (["--only-some"], "1", 0)]
)
def test_a_suite_that_takes_too_long_fails(
    tmp_path: Path, options: list[str], seconds: str, code: int
) -> None:
    """Counted is what a program and those that it starts compute, though it ends well; a part is not judged."""
    program = shutil.copy(ROOT / ".ci" / "measured.py", tmp_path)
    (tmp_path / "budgets.toml").write_text(
        '[suite]\ncpu_s = 0.4\nwall_s = 100\nreason = "enough for a small program"\n'
    )
    busy = f"import time\nwhile time.process_time() < {seconds}: pass"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    command = [sys.executable, program, *options, sys.executable, "-c", outer]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "CPU seconds" in done.stdout
    assert ("cpu_s is" in done.stderr) is bool(code)


def test_a_slow_machine_is_no_expensive_suite(
    measured: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CPU seconds are judged as the machine of the budget would have taken them; the yardstick says how much faster it is."""
    monkeypatch.setattr(measured, "run", lambda _: (0, {"cpu_s": 3_000.0, "wall_s": 9.0}))
    for times, code in ((2.0, 0), (1.0, 1)):
        monkeypatch.setattr(measured, "yardstick_s", lambda t=times: t * measured.YARDSTICK_S)
        assert measured.main(["true"]) == code
        assert f"took {times:.2f} times as long for the yardstick" in capsys.readouterr().out
