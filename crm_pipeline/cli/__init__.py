"""The command line: the same actions as in the Dagster UI, and those that prepare them.

One module per group of commands. They import what they need inside functions, so that `--help` and a typo
are answered at once. No module here makes a decision about data.
"""

import gc
import os
import signal
import sys

_OBJECTS_BEFORE_COLLECTION = 50_000


def main() -> None:
    """Run `crm-pipeline`."""
    # Importing makes a million objects that stay: looking through them after every 700 takes a twentieth of a run.
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION, 20, 20)
    from crm_pipeline.cli.app import app
    from crm_pipeline.cli.failures import INTERRUPTED

    # Service managers and `timeout` send SIGTERM: it ends a command as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(args=_debug_first(sys.argv[1:]), prog_name="crm-pipeline")
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            # Threads of an interrupted run would keep the program alive until they are done.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(INTERRUPTED)
        raise


def _debug_first(arguments: list[str]) -> list[str]:
    """Return the arguments with `--debug` in front: it may stand anywhere."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    if "--debug" not in arguments[:end]:
        return arguments
    rest = [argument for argument in arguments[:end] if argument != "--debug"]
    return ["--debug", *rest, *arguments[end:]]
