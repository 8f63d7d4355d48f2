"""State of older versions: each archive of `crm_pipeline_tests/state` read by today's code, of which the tests read two."""

import os
import subprocess
import sys
import time

from benchmarks.measuring import machine

_TEST = "crm_pipeline_tests/end_to_end/test_older_state.py"


def report() -> str:
    """Read every archive; return what pytest counted, or all that it printed where a table differs."""
    started_s = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", _TEST]
    environ = {**os.environ, "CRM_STATES": "all"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    printed = done.stdout.strip().splitlines()
    head = f"{time.perf_counter() - started_s:,.0f} s; {machine()}"
    return "\n\n".join([head, *(printed[-1:] if not done.returncode else printed)])


if __name__ == "__main__":
    print(report())
