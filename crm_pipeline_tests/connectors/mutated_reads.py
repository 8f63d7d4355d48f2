"""Reads through a proxy that changes one answer, and what came of each.

A trial is a first read, or a refresh after some edits. Right is one of: the right data; a clear refusal with
nothing committed; or the right data with some records in quarantine. In any case nothing is deleted, the watermark
stays in what was asked for, and after the next read without a fault all is right, unless the mutation leaves
nothing by which anybody could notice.
"""

from __future__ import annotations

import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Literal

from crm_pipeline.connectors.base import Account
from crm_pipeline.kernel.clock import FrozenClock, parse_instant
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.settings import Settings
from crm_pipeline.stages.raw import Extraction
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.conformance import PAGE, Way
from crm_pipeline_tests.connectors.conformance_harness import (
    ConformanceHarness,
    Landed,
    server_of,
    settings_in,
)
from crm_pipeline_tests.connectors.fault_proxy import Answer, FaultProxy, proxy_to
from crm_pipeline_tests.connectors.mutations import EVIDENCE_FREE, FLAG, MUTATIONS
from crm_pipeline_tests.harness import START
from crm_sandbox.server import SandboxServer

Outcome = Literal["right", "refused", "quarantined", "unnoticed", "not applied", "WRONG"]
EDITED_AT = "2026-11-23T10:04:00Z"
READ_AGAIN_AT = "2026-11-23T10:05:00Z"
_SMALL = {"CRM_MAX_ANSWER_MB": "2", "CRM_MAX_FILE_MB": "2"}


@dataclass(frozen=True)
class Trial:
    """One read through one mutation, repeatable by its number.

    Attributes:
        nth: which answer is changed, counted from 1.
        is_lasting: later answers to the same path are changed as well.
        is_refresh: a refresh after edits; else a first read.
    """

    way: Way
    mutation: str
    number: int
    nth: int
    is_lasting: bool
    is_refresh: bool

    def __str__(self) -> str:
        kind = "refresh" if self.is_refresh else "first read"
        last = "from answer" if self.is_lasting else "answer"
        return f"{self.way} {kind}, {self.mutation}, {last} {self.nth} (trial {self.number})"


@dataclass(frozen=True)
class Result:
    """What came of a trial; `detail` says what was wrong, or what the refusal said."""

    trial: Trial
    outcome: Outcome
    detail: str = ""


@dataclass
class Ground:
    """One vendor's world, read once without a fault, edited, and read again.

    Attributes:
        before: the data folder after the first read.
        first, second: what the object's records are after each of the reads.
        answers: how many answers each of the reads takes.
    """

    way: Way
    harness: ConformanceHarness
    proxy: FaultProxy
    before: Path
    first: dict[str, Landed]
    second: dict[str, Landed]
    answers: tuple[int, int]

    def run(self, trial: Trial) -> Result:
        """Carry a trial out."""
        self._begin(trial)
        chance = Random(trial.number)
        applied: list[str] = []

        def change(answer: Answer) -> Answer:
            changed = MUTATIONS[trial.mutation](answer, chance)
            if changed is None:
                return answer
            applied.append(answer.path)
            return changed

        self.proxy.change(trial.nth, change, is_lasting=trial.is_lasting)
        done, error = _attempted(self.harness, trial)
        self.proxy.leave()
        if not applied:
            return Result(trial, "not applied")
        return self._judged(trial, done, error, len(applied))

    def _begin(self, trial: Trial) -> None:
        harness = self.harness
        shutil.rmtree(harness.settings.data, ignore_errors=True)
        if trial.is_refresh:
            shutil.copytree(self.before, harness.settings.data)
        forget(harness.database)
        harness.clock = FrozenClock(READ_AGAIN_AT)

    def _judged(
        self, trial: Trial, done: Extraction | None, error: BaseException | None, changed: int
    ) -> Result:
        harness, expected = self.harness, self.second
        if error is not None and not isinstance(error, CrmError):
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            return Result(trial, "WRONG", f"raw {type(error).__name__} at {place}: {error}"[:300])
        kept = harness.landing.windows("demo", harness.object)
        watermark = harness.landing.watermark("demo", harness.object)
        if watermark and watermark > parse_instant(READ_AGAIN_AT):
            return Result(trial, "WRONG", f"the watermark is {watermark}")
        if error is not None:
            is_bare = len(kept) == trial.is_refresh
            return Result(trial, "refused" if is_bare else "WRONG", f"{error}"[:300])
        assert done is not None
        landed = harness.newest()
        gone = [
            key for key, one in landed.items() if one.is_deleted and not _is_deleted(expected, key)
        ]
        # A flag of a record may be the vendor's word that it is deleted, and so may no other value be.
        if len(gone) > (changed if trial.mutation == FLAG else 0):
            return Result(trial, "WRONG", f"{len(gone)} live records are deleted")
        if _same(landed, expected):
            return Result(trial, "right")
        missed = {key for key, one in expected.items() if not _is_in(landed, key, one)}
        if done.quarantined and len(missed) <= done.quarantined:
            return Result(trial, "quarantined")
        difference = f"{len(missed)} of {len(expected)} records differ"
        absent = [key for key in missed if key not in landed]
        if not trial.mutation.startswith("value: "):
            absent = [key for key in missed if not _has_key(landed, key, expected[key])]
        if len(absent) <= done.quarantined:
            # The rest differs in values; those are the vendor's: nobody can know which are meant.
            return Result(trial, "unnoticed", f"{difference} in their values only")
        return self._later(trial, difference)

    def _later(self, trial: Trial, difference: str) -> Result:
        """Read again without a fault: what was not noticed must be right by then, or leave no evidence."""
        if trial.mutation in EVIDENCE_FREE:
            return Result(trial, "unnoticed", difference)
        forget(self.harness.database)
        _, error = _attempted(self.harness, trial, mode="refresh")
        if error is None and _same(self.harness.newest(), self.second):
            return Result(trial, "right", "with the next read")
        return Result(
            trial, "WRONG", f"{difference}; {error or 'and after the next read, too'}"[:300]
        )


def _is_deleted(expected: dict[str, Landed], key: str) -> bool:
    return key in expected and expected[key].is_deleted


def _is_in(landed: dict[str, Landed], key: str, one: Landed) -> bool:
    other = landed.get(key)
    return other is not None and _facts(other) == _facts(one)


def _has_key(landed: dict[str, Landed], key: str, one: Landed) -> bool:
    other = landed.get(key)
    return other is not None and _facts(other)[:2] == _facts(one)[:2]


def _same(landed: dict[str, Landed], expected: dict[str, Landed]) -> bool:
    live = {key: _facts(one) for key, one in landed.items()}
    return live == {key: _facts(one) for key, one in expected.items()}


def _facts(one: Landed) -> tuple[datetime | None, bool, Any]:
    return one.modified_at, one.is_deleted, one.record


def _attempted(
    harness: ConformanceHarness, trial: Trial, mode: str = ""
) -> tuple[Extraction | None, BaseException | None]:
    mode = mode or ("refresh" if trial.is_refresh else "range")
    try:
        return harness.extract(harness.object, route=trial.way.route.name, mode=mode), None
    except BaseException as error:  # noqa: BLE001 - whatever comes is judged
        return None, error


def forget(database: Database) -> None:
    """Empty all tables: what a hostile answer left there belongs to another trial."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname = 'crm_state'"
        )
        for (name,) in cursor.fetchall():
            if not name.endswith("migrations"):
                cursor.execute(f"TRUNCATE {name}")


@contextmanager
def ground_of(way: Way, folder: Path, database: Database, url: str) -> Iterator[Ground]:
    """Open a world behind a proxy and read it twice, with edits in between."""
    case = way.case
    with server_of(case, contacts=30) as server, proxy_to(server.url) as proxy:
        settings = _settings(folder, url, proxy, way)
        harness = ConformanceHarness(server, settings, database, FrozenClock(START), case)
        if hasattr(harness.emulator, "rotate"):
            # Each trial begins with the first refresh token, which would be worth nothing after one.
            harness.emulator.rotate(on=False)
        forget(database)
        proxy.leave()
        harness.extract(harness.object, route=way.route.name)
        first, first_answers = harness.newest(), len(proxy.requests)
        before = folder / "before"
        shutil.copytree(settings.data, before)
        _edit(harness, server)
        harness.clock = FrozenClock(READ_AGAIN_AT)
        proxy.leave()
        harness.extract(harness.object, route=way.route.name, mode="refresh")
        answers = (first_answers, len(proxy.requests))
        yield Ground(way, harness, proxy, before, first, harness.newest(), answers)


def _settings(folder: Path, url: str, proxy: FaultProxy, way: Way) -> Settings:
    settings = settings_in(folder, url, {"demo": proxy.url}, way.case)
    settings.environ.update(_SMALL)  # type: ignore[attr-defined]
    return settings


def _edit(harness: ConformanceHarness, server: SandboxServer) -> None:
    """Edit, delete and add records, a minute before they are read again."""
    emulator, case = harness.emulator, harness.case
    server.clock.stand_at(parse_instant(READ_AGAIN_AT))
    keys = sorted(case.live(emulator))
    for key in keys[:: len(keys) // (PAGE + 2)]:
        emulator.edit(case.object, key, stamp=EDITED_AT, **{case.text: f"Edited {key}"})


def trials(way: Way, answers: tuple[int, int], numbers: range) -> Iterator[Trial]:
    """Choose trials by chance, each repeatable by its number."""
    names = sorted(MUTATIONS)
    for number in numbers:
        chance = Random(f"{way} {number}")
        is_refresh = chance.random() < 0.5
        yield Trial(
            way=way,
            mutation=chance.choice(names),
            number=number,
            nth=chance.randrange(1, answers[is_refresh] + 1),
            is_lasting=chance.random() < 0.3,
            is_refresh=is_refresh,
        )


__all__ = ["Account", "Ground", "Outcome", "Result", "Trial", "ground_of", "trials"]
