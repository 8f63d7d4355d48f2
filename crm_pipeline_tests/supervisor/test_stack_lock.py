import fcntl
import os
from pathlib import Path

import pytest

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.supervisor import stack_lock
from crm_pipeline.supervisor.stack_lock import Holder, lock_stack, stack_of


def test_one_stack_per_folder(tmp_path: Path) -> None:
    """The error of a second stack names the process; there is none once that has ended."""
    assert stack_of(tmp_path) is None
    held = lock_stack(tmp_path)
    assert stack_of(tmp_path) == Holder(os.getpid())
    with pytest.raises(
        ConfigError, match=rf"`crm-pipeline up` \(process {os.getpid()}\) is running"
    ):
        lock_stack(tmp_path)
    os.close(held)
    assert stack_of(tmp_path) is None
    os.close(lock_stack(tmp_path))


def test_the_lock_of_a_version_that_did_not_write_its_process_id(tmp_path: Path) -> None:
    """The lock counts; the process is not named."""
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "up.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert str(stack_of(tmp_path)) == "`crm-pipeline up`"


def test_a_check_of_the_lock_does_not_stop_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check takes the lock for a moment; a start in that moment waits for it."""
    os.close(lock_stack(tmp_path))
    looking = os.open(tmp_path / "run" / "up.lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    looked: list[None] = []

    def look(data: Path) -> Holder | None:
        looked.append(None)
        if len(looked) == 2:
            os.close(looking)
        return stack_of(data)

    monkeypatch.setattr(stack_lock, "stack_of", look)
    os.close(lock_stack(tmp_path))
    assert len(looked) == 2
