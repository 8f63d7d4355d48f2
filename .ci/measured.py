"""Run all tests, say what they took, and fail where `.ci/budgets.toml` allows less.

`python .ci/measured.py COMMAND...`. Counted are the CPU seconds of the command and of all that it started;
on Linux also of servers that outlived who started them. With `--only-some` in front nothing is judged: some
of the tests say nothing about all of them.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BUDGETS = Path(__file__).with_name("budgets.toml")
_PATIENCE_S = 3
_SUBREAPER = 36  # prctl(2): PR_SET_CHILD_SUBREAPER


def budget(section: str) -> Mapping[str, Any]:
    """Return what a section of the budgets allows.

    Raises:
        ValueError: it gives no reason.
    """
    found = tomllib.loads(BUDGETS.read_text(encoding="utf-8"))[section]
    if len(str(found.get("reason", "")).split()) < 4:
        raise ValueError(f"{BUDGETS.name}: [{section}] needs a reason: say what the number is for.")
    return found


def excess(section: str, taken: Mapping[str, float]) -> list[str]:
    """Return a sentence for each number that is above what is allowed."""
    allowed = budget(section)
    return [
        f"{section}: {name} is {value:,.0f}, and {BUDGETS.name} allows {allowed[name]:,}. "
        "Make it cheaper, or raise the number there and say why beside it."
        for name, value in taken.items()
        if value > allowed[name]
    ]


def run(command: Sequence[str]) -> tuple[int, dict[str, float]]:
    """Run a command; return its exit code and what it took."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    child = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = _ended(child)
    wall_s = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": wall_s}


def _ended(child: "subprocess.Popen[bytes]") -> int:
    """Wait for a child, and then a little for those that it left behind."""
    code, until = None, 0.0
    while code is None or time.monotonic() < until:
        try:
            pid, status = os.waitpid(-1, 0 if code is None else os.WNOHANG)
        except ChildProcessError:
            break
        except KeyboardInterrupt:  # the child got it, too, and says what came of it
            continue
        if pid == child.pid:
            code = child.returncode = os.waitstatus_to_exitcode(status)
            until = time.monotonic() + _PATIENCE_S
        elif pid == 0:
            time.sleep(0.1)
    return 1 if code is None else code


def main(arguments: Sequence[str]) -> int:
    is_judged = arguments[0] != "--only-some"
    code, taken = run(arguments if is_judged else arguments[1:])
    print("The tests took {cpu_s:,.0f} CPU seconds in {wall_s:,.0f} seconds.".format(**taken))
    if code or not is_judged:
        return code
    problems = excess("suite", taken)
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
