"""Read every file below the data folder and compare it with its record.

Belongs here: running the checks, counting, reporting. The lists of files and their records are in `landing.py` and
`tables.py`. PostgreSQL and Dagster check their own folders.

Files come and go during the scrub, because runs go on. So a file that seems damaged is checked a second time, with
its records read again, before it is reported.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store.scrub.check import KINDS, Check, Verdict
from crm_pipeline.store.scrub.landing import landing_checks, looks_checks, quarantine_checks
from crm_pipeline.store.scrub.tables import published_checks, table_checks

_THREADS = min(4, os.cpu_count() or 1)
_AHEAD = 4 * _THREADS
Progress = Callable[[str, int, int | None], None]
"""Called with `(step, files so far, files expected)`."""


@dataclass
class Tally:
    """The files of one kind.

    Attributes:
        unproven: readable files of earlier versions, which wrote no checksums.
    """

    files: int = 0
    bytes: int = 0
    damaged: int = 0
    unproven: int = 0

    def add(self, verdict: Verdict, size: int) -> None:
        """Count a file."""
        self.files += 1
        self.bytes += size
        self.unproven += not verdict.is_proven


@dataclass(frozen=True)
class Corruption:
    """A file that is not as it was written, and the cure.

    Attributes:
        is_used: False for a file that nothing current uses, so that nothing has to be done.
    """

    kind: str
    path: Path
    problem: str
    cure: str
    is_used: bool = True

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}. {self.cure}"


@dataclass(frozen=True)
class Scrubbed:
    """The result of a scrub.

    Attributes:
        corruption: used files before unused ones.
    """

    kinds: Mapping[str, Tally]
    corruption: tuple[Corruption, ...]
    seconds: float = field(compare=False)

    @property
    def is_usable(self) -> bool:
        """Say whether all files that something uses are as they were written."""
        return not any(corruption.is_used for corruption in self.corruption)


def scrub(data: Path, connection: str = "", *, report: Progress | None = None) -> Scrubbed:
    """Check all files below a data folder.

    Args:
        data: the folder.
        connection: check only its landing and its tables; "" checks everything.
        report: called with the progress.

    Raises:
        StoreError: a folder cannot be listed.
    """
    started_s = time.monotonic()
    kinds = {kind: Tally() for kind in KINDS}
    suspects = set()
    step, files = "", 0
    try:
        for check, verdict, size in _looked(_checks(data, connection)):
            if verdict is None:  # collected or merged meanwhile
                continue
            kinds[check.kind].add(verdict, size)
            if verdict.problem:
                suspects.add(check.path)
            files = files + 1 if check.step == step else 1
            step = check.step
            if report is not None:
                report(step, files, None)
        corruption = list(_confirmed(data, connection, suspects)) if suspects else []
    except OSError as error:
        raise StoreError(
            f"{error.filename or data} cannot be looked at: {error.strerror or error}.",
            cure="Make it readable for this user, or mend the disk.",
        ) from error
    for damaged in corruption:
        kinds[damaged.kind].damaged += 1
    corruption.sort(key=lambda damaged: not damaged.is_used)
    return Scrubbed(kinds, tuple(corruption), time.monotonic() - started_s)


def _checks(data: Path, connection: str) -> Iterator[Check]:
    parts = [
        landing_checks(data, connection),
        quarantine_checks(data, connection),
        looks_checks(data, connection),
        table_checks(data, connection),
    ]
    return chain(*parts) if connection else chain(*parts, published_checks(data))


def _confirmed(data: Path, connection: str, suspects: set[Path]) -> Iterator[Corruption]:
    again = (check for check in _checks(data, connection) if check.path in suspects)
    for check, verdict, _ in _looked(again):
        if verdict is not None and verdict.problem:
            yield Corruption(check.kind, check.path, verdict.problem, check.cure, check.is_used)


def _looked(checks: Iterable[Check]) -> Iterator[tuple[Check, Verdict | None, int]]:
    """Run checks, some at a time, in their order; the verdict is None for a file that may be gone and is."""
    waiting: deque[tuple[Check, Future[tuple[Verdict | None, int]]]] = deque()
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="scrub") as pool:
        for check in checks:
            waiting.append((check, pool.submit(_look, check)))
            if len(waiting) >= _AHEAD:
                done, future = waiting.popleft()
                yield done, *future.result()
        for done, future in waiting:
            yield done, *future.result()


def _look(check: Check) -> tuple[Verdict | None, int]:
    try:
        size = check.path.stat().st_size
        return check.look(), size
    except FileNotFoundError:
        return (Verdict("it is gone") if check.is_needed else None), 0
    except CorruptFile as error:
        return Verdict(
            error.message.replace(f"{check.path} is damaged", "it is damaged").rstrip(".")
        ), 0
    except OSError as error:
        return Verdict(f"it cannot be read: {error.strerror or error}"), 0
