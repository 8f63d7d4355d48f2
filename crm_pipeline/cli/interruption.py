"""Ctrl-C during a run ends the program at once, with the run marked as cancelled.

Dagster treats an interrupt as the failure of one step, retries it and goes on with the others. So a run
works in a thread of its own, which gets no signals, and the main thread waits for them.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from crm_pipeline.cli.console import say

if TYPE_CHECKING:
    import dagster as dg

T = TypeVar("T")
_LOOK_EVERY_S = 0.2


def interruptible(instance: "dg.DagsterInstance", work: Callable[[], T]) -> T:
    """Call `work`, which runs a job of this instance, and return what it returns.

    Raises:
        KeyboardInterrupt: Ctrl-C; what the run had committed stands, and it is marked as cancelled.
            Its threads still work: the program has to end.
    """
    outcome: dict[str, Any] = {}

    def call() -> None:
        try:
            outcome["value"] = work()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            outcome["error"] = error

    thread = threading.Thread(target=call, daemon=True, name="run")
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        try:
            _cancel_own_runs(instance)
        except Exception as error:  # noqa: BLE001 - the program ends in any case
            say(f"the run was not marked as cancelled ({type(error).__name__}); `up` does that")
        # Errors of its threads after PostgreSQL has stopped are not shown.
        logging.disable()
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
        raise
    if "error" in outcome:
        raise outcome["error"]
    value: T = outcome["value"]
    return value


def _cancel_own_runs(instance: "dg.DagsterInstance") -> None:
    import dagster as dg

    from crm_pipeline.supervisor.reconcile import worker_of

    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    for record in instance.get_run_records(started):
        run = record.dagster_run
        worker = worker_of(instance, run.run_id)
        if worker is not None and worker.pid == os.getpid():
            instance.report_run_canceled(
                run, "Interrupted by the user; what it had committed stands."
            )
