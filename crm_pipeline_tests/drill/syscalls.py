"""System calls that write, and `strace` that lets one of them fail or be the last.

Belongs here: which calls a stage makes on a project's files, and the options for one injection. The
counters of `strace` are those of each thread, so one injection may let a call fail in several.
"""

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile"),
    *("fsync", "fdatasync", "sync_file_range", "ftruncate", "truncate", "fallocate"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"),
)
EFFECTS: Mapping[str, str] = {"full": "error=ENOSPC", "broken": "error=EIO", "kill": "signal=KILL"}
_CALL = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<rest>.*)")


@dataclass(frozen=True)
class Injection:
    """What happens to the n-th use of a call: `full`, `broken`, or `kill`."""

    call: str
    when: int
    effect: str

    def options(self, log: Path) -> list[str]:
        """Return the injection as options of `strace`."""
        order = f"inject={self.call}:{EFFECTS[self.effect]}:when={self.when}"
        return [*_following(log), "-e", f"trace={self.call}", "-e", order]

    def __str__(self) -> str:
        return f"{self.call}:{self.when}:{self.effect}"


def unusable() -> str:
    """Return why there is no injection on this machine; nothing where there is."""
    program = shutil.which("strace")
    if program is None:
        return "strace is not installed"
    tried = subprocess.run(
        [program, "-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO:when=1", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"strace cannot be used: {tried.stderr.strip()}" if tried.returncode else ""


def watching(log: Path) -> list[str]:
    """Return options of `strace` that only write down the calls."""
    # A question mark: not every architecture has every call.
    return [*_following(log), "-e", f"trace={','.join(f'?{call}' for call in CALLS)}"]


def seen(log: Path, root: Path) -> dict[str, list[int]]:
    """Return for each call at which uses, counted by thread, it was about a file below `root`."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    uses_by_call: dict[str, set[int]] = defaultdict(set)
    for line in log.read_text(errors="replace").splitlines():
        if (match := _CALL.match(line)) is None:
            continue
        count = counts[match["thread"]]
        count[match["call"]] += 1
        if str(root) in match["rest"]:
            uses_by_call[match["call"]].add(count[match["call"]])
    return {call: sorted(uses) for call, uses in sorted(uses_by_call.items())}


def injected(log: Path) -> bool:
    """Say whether the injection was met; a kill leaves its mark in the outcome, not here."""
    return "(INJECTED)" in log.read_text(errors="replace")


def _following(log: Path) -> Sequence[str]:
    return ["-f", "-qq", "-y", "-o", str(log)]
