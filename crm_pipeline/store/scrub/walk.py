"""Reads every file below the data folder and compares it with what was recorded when it was written.

Belongs here: looking, counting, telling. Which files there are and what is known of them is in
`landing.py` and `tables.py`. PostgreSQL and Dagster look after their own folders.

Runs go on meanwhile: files come and go. So what seems damaged is looked at a second time, with all that
is recorded of it read anew, before it is told.
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
Tell = Callable[[str, int, int | None], None]
"""Told `(step, files so far, files expected)`."""


@dataclass
class Tally:
    """The files of one kind.

    Attributes:
        unproven: files that can be read, but were written by an earlier version without a checksum.
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
    """A file that is not as it was written, and what to do.

    Attributes:
        is_used: False where nothing current uses the file, so that nothing is to be done.
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
    """What was found.

    Attributes:
        damage: files that are used before those that are not.
    """

    kinds: Mapping[str, Tally]
    corruption: tuple[Corruption, ...]
    seconds: float = field(compare=False)

    @property
    def is_usable(self) -> bool:
        """Say whether all files that something uses are as they were written."""
        return not any(one.is_used for one in self.corruption)


def scrub(data: Path, connection: str = "", *, told: Tell | None = None) -> Scrubbed:
    """Check all files below a data folder.

    Args:
        data: the folder.
        connection: only what landed of it and its tables; "" checks all there is.
        told: is told about progress.

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
            if told is not None:
                told(step, files, None)
        corruption = list(_confirmed(data, connection, suspects)) if suspects else []
    except OSError as error:
        raise StoreError(
            f"{error.filename or data} cannot be looked at: {error.strerror or error}.",
            cure="Make it readable for this user, or mend the disk.",
        ) from error
    for one in corruption:
        kinds[one.kind].damaged += 1
    corruption.sort(key=lambda one: not one.is_used)
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
    """Look at files, some at a time, in their order; None of what is gone and may be."""
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
