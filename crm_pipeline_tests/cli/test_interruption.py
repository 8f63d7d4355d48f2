import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from crm_pipeline.cli import interruption
from crm_pipeline.cli.interruption import interruptible
from crm_pipeline.kernel.errors import StoreError

NO_INSTANCE: Any = None


@pytest.fixture(autouse=True)
def logs_again() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)


def test_result_and_error_pass() -> None:
    """What the run returns is returned, what it raises is raised."""
    assert interruptible(NO_INSTANCE, lambda: 7) == 7

    def fail() -> None:
        raise StoreError("disk full.")

    with pytest.raises(StoreError, match="disk full"):
        interruptible(NO_INSTANCE, fail)


def test_interrupt_does_not_wait_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C marks the run as cancelled and gets out although the run is still at work."""
    cancelled: list[object] = []
    release = threading.Event()
    monkeypatch.setattr(interruption, "_cancel_own_runs", cancelled.append)
    monkeypatch.setattr(sys, "stderr", sys.stderr)

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(interruption.threading.Thread, "join", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        interruptible(NO_INSTANCE, release.wait)
    sys.stderr.close()
    monkeypatch.undo()
    release.set()
    assert cancelled == [NO_INSTANCE]
