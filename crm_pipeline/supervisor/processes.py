"""Child processes of the stack: started in sessions of their own, recorded, and ended with their children.

Each child leads a session, by which its own children (code servers, run workers) are found. Ctrl-C in the
terminal reaches only the stack, which ends its children in order. Their ids and start times are on disk:
after a `kill -9` the next start ends what is left, and nothing else.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from crm_pipeline.kernel.errors import StoreError

MARK_VARIABLE = "CRM_STACK"
"""Set in the environment of all processes of the stack; holds the stack's mark."""
_SAME_S = 1.5  # start times have hundredths of seconds, and move with corrections of the clock
_TERM_S = 15.0
_KILL_S = 10.0
_LOG_KEPT_BYTES = 5_000_000
_UMASK = 0o077  # Dagster's files in the data folder are for its owner alone, as ours are


@dataclass
class ManagedProcess:
    """One program that the stack runs.

    Attributes:
        name: for people, for its log and for its record.
        command: what to run.
        patience_s: how long it may take to end by itself.
    """

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    log: Path
    patience_s: float = _TERM_S
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it with its output in its log.

        Raises:
            StoreError: the log cannot be written, or the program is not there.
        """
        try:
            cut_log(self.log)
            self.log.touch(mode=0o600)
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    list(self.command),
                    env=dict(self.environ),
                    cwd=self.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=_UMASK,
                )
        except OSError as error:
            raise StoreError(f"{self.name} cannot be started: {error.strerror}.") from error

    @property
    def pid(self) -> int | None:
        """Its process id, None before the start."""
        return self.process.pid if self.process else None

    def is_running(self) -> bool:
        """Say whether it runs."""
        return self.process is not None and self.process.poll() is None

    def record(self) -> dict[str, object]:
        """Return its name, id and start time, by which it is found again."""
        assert self.process is not None
        try:
            started = psutil.Process(self.process.pid).create_time()
        except psutil.NoSuchProcess:
            started = 0.0
        return {"name": self.name, "pid": self.process.pid, "started": started}

    def stop(self) -> None:
        """End it and everything in its session: with SIGTERM, then with SIGKILL."""
        if self.process is None:
            return
        mark = self.environ.get(MARK_VARIABLE, "")
        # Run workers first: a code server waits for them, and they end their run properly.
        end_all(filter(_is_worker, session_of(self.process.pid, mark)), self.patience_s)
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(self.patience_s)
        end_all(session_of(self.process.pid, mark))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILL_S)

    def log_tail(self, lines: int = 12) -> str:
        """Return the end of its log."""
        with contextlib.suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 20_000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
        return ""


def cut_log(log: Path) -> None:
    """Move what a log has into `<log>.1` once it is long; the program that writes it goes on at its beginning.

    Lines that are written meanwhile are lost. A log that programs append to has to be opened for appending.

    Raises:
        OSError: the log or the disk refuses.
    """
    if not log.exists() or log.stat().st_size <= _LOG_KEPT_BYTES:
        return
    kept = log.with_name(f"{log.name}.1")
    kept.touch(mode=0o600)
    shutil.copyfile(log, kept)
    os.truncate(log, 0)


def session_of(leader: int, mark: str) -> list[psutil.Process]:
    """Return the living processes of a session that carry the stack's mark."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if (
                os.getsid(process.pid) == leader
                and _is_living(process)
                and _is_marked(process, mark)
            ):
                members.append(process)
    return members


def end_all(processes: Iterable[psutil.Process], patience_s: float = 5.0) -> None:
    """Terminate processes, then kill those that stay."""
    chosen = list(processes)
    for process in chosen:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(chosen, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=_KILL_S)


@dataclass(frozen=True)
class Records:
    """The record of a stack on disk: its mark, and start times by process id.

    Attributes:
        owns_database: the stack started the embedded server, and so has to stop it.
    """

    mark: str = ""
    started: Mapping[int, float] = field(default_factory=dict)
    owns_database: bool = False

    @classmethod
    def read(cls, path: Path) -> "Records":
        """Read the records; return empty ones where there are none, or none that can be read."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            started = {int(child["pid"]): float(child["started"]) for child in record["children"]}
            return cls(str(record["mark"]), started, bool(record["owns_database"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def living(self) -> list[psutil.Process]:
        """Return the processes that still run: recorded ones, and others of their sessions.

        A recorded process counts only with its start time, another one only with the stack's mark.
        """
        living = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if _is_ours(process, self.started, self.mark):
                    living.append(process)
        return living


def write_records(
    path: Path, mark: str, processes: Iterable[ManagedProcess], *, owns_database: bool
) -> None:
    """Record which processes belong to the stack."""
    records = [process.record() for process in processes if process.process is not None]
    content = {"mark": mark, "children": records, "owns_database": owns_database}
    temporary = path.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)


def _is_ours(process: psutil.Process, recorded: Mapping[int, float], mark: str) -> bool:
    if not _is_living(process):
        return False
    if process.pid in recorded:
        return abs(process.create_time() - recorded[process.pid]) < _SAME_S
    return os.getsid(process.pid) in recorded and _is_marked(process, mark)


def _is_living(process: psutil.Process) -> bool:
    return bool(process.status() != psutil.STATUS_ZOMBIE)


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any("multiprocessing.spawn" in part for part in process.cmdline())
    return False


def _is_marked(process: psutil.Process, mark: str) -> bool:
    return process.environ().get(MARK_VARIABLE) == mark
