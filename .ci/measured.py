"""Run all tests, say what they took, and fail where `.ci/budgets.toml` allows less.

`python .ci/measured.py COMMAND...`. Counted are the CPU seconds of the command and of all that it started;
on Linux also of servers that outlived who started them. With `--only-some` in front nothing is judged: some
of the tests say nothing about all of them.

Machines differ, and one machine differs from day to day: the same tests took 1,512 CPU seconds and 2,028. A small piece
of work is timed every few seconds meanwhile, and CPU seconds are judged as a machine would have taken them that
needs `YARDSTICK_S` for it.
"""

import ctypes
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUDGETS = Path(__file__).with_name("budgets.toml")
YARDSTICK_S = 0.0098
"""CPU seconds of the yardstick beside two workers on the machine that the budget is for; others are compared with it."""
_EVERY_S = 5
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


def yardstick_s() -> float:
    """Do a fixed piece of work, and return its CPU seconds."""
    started = time.thread_time()
    rows = [{"id": n, "name": f"name {n * 7919 % 1000}", "odd": bool(n % 2)} for n in range(4_000)]
    text = json.dumps(sorted(rows, key=lambda row: row["name"]))
    zlib.compress(json.dumps(json.loads(text)).encode(), 1)
    return time.thread_time() - started


@contextmanager
def pace() -> Iterator[list[float]]:
    """Collect how many times longer the yardstick takes than on the machine of the budget, again and again."""
    ended, ratios = threading.Event(), []

    def measure() -> None:
        while True:
            ratios.append(yardstick_s() / YARDSTICK_S)
            if ended.wait(_EVERY_S):
                return

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield ratios
    finally:
        ended.set()
        thread.join()


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
    with pace() as ratios:
        code, taken = run(arguments if is_judged else arguments[1:])
    print("The tests took {cpu_s:,.0f} CPU seconds in {wall_s:,.0f} seconds.".format(**taken))
    slower = statistics.median(ratios)
    taken["cpu_s"] /= slower
    print(
        "This machine took {:.2f} times as long for the yardstick as the one that the budget is for, "
        "which would have taken {:,.0f} CPU seconds.".format(slower, taken["cpu_s"])
    )
    if code or not is_judged:
        return code
    problems = excess("suite", taken)
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
