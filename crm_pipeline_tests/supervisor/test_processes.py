import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.supervisor.processes import (
    MARK_VARIABLE,
    ManagedProcess,
    Records,
    cut_log,
    write_records,
)

# A leader that starts a child of its own, says so, and waits for the end of its input.
FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[ManagedProcess]:
    process = ManagedProcess(
        name="family",
        command=[sys.executable, "-c", FAMILY],
        environ={**os.environ, MARK_VARIABLE: "our-mark"},
        cwd=tmp_path,
        log=tmp_path / "family.log",
    )
    process.start()
    yield process
    process.stop()


def grandchild(family: ManagedProcess) -> psutil.Process:
    assert family.process is not None
    while not family.log.read_text().strip():
        assert family.process.poll() is None
    return psutil.Process(int(family.log.read_text()))


def test_stopping_ends_the_whole_session(family: ManagedProcess) -> None:
    """Nothing that a program started outlives it."""
    young = grandchild(family)
    family.stop()
    assert not family.is_running()
    assert not young.is_running() or young.status() == psutil.STATUS_ZOMBIE


def test_a_killed_stack_is_found_by_its_records(family: ManagedProcess, tmp_path: Path) -> None:
    """Recorded processes and their children are found again, even if the leader is dead."""
    young = grandchild(family)
    path = tmp_path / "children.json"
    write_records(path, "our-mark", [family], owns_database=True)
    records = Records.read(path)
    assert records.owns_database
    assert {process.pid for process in records.living()} == {family.pid, young.pid}
    assert family.process is not None
    family.process.kill()
    family.process.wait()
    assert {process.pid for process in records.living()} == {young.pid}


@pytest.mark.parametrize("altered", ["start time", "mark"])
def test_strangers_are_never_ended(family: ManagedProcess, tmp_path: Path, altered: str) -> None:
    """A recorded process counts only with its start time, another one of its session only with the stack's mark."""
    young = grandchild(family)
    path = tmp_path / "children.json"
    write_records(path, "our-mark", [family], owns_database=False)
    content = json.loads(path.read_text())
    if altered == "mark":
        content["mark"] = "another"
    content["children"][0]["started"] -= 3600
    path.write_text(json.dumps(content))
    living = {process.pid for process in Records.read(path).living()}
    assert living == (set() if altered == "mark" else {young.pid})


@pytest.mark.parametrize("text", ["", "{", '{"mark": 1}', "[]"])
def test_unreadable_records_name_nobody(tmp_path: Path, text: str) -> None:
    """A half-written file ends nothing."""
    path = tmp_path / "children.json"
    path.write_text(text)
    assert Records.read(path).living() == []


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which program could not be started."""
    process = ManagedProcess("nobody", ["/nonexistent"], {}, tmp_path, tmp_path / "log")
    with pytest.raises(StoreError, match="nobody cannot be started"):
        process.start()


def test_the_log_of_a_dead_process(tmp_path: Path) -> None:
    """The end of the log can still be read."""
    process = ManagedProcess(
        "speaker", [sys.executable, "-c", "print('last words')"], {}, tmp_path, tmp_path / "log"
    )
    process.start()
    assert isinstance(process.process, subprocess.Popen)
    process.process.wait()
    assert not process.is_running()
    assert "last words" in process.log_tail()
    process.stop()


def test_a_long_log_is_cut_while_it_is_written(tmp_path: Path) -> None:
    """What it held is in `.log.1`; the program, which appends, goes on at the beginning of the file."""
    log = tmp_path / "daemon.log"
    with log.open("ab", buffering=0) as output:
        output.write(b"x" * 5_000_001)
        cut_log(log)
        output.write(b"after")
        cut_log(log)
    assert log.read_bytes() == b"after"
    kept = tmp_path / "daemon.log.1"
    assert kept.stat().st_size == 5_000_001
    assert kept.stat().st_mode & 0o777 == 0o600
