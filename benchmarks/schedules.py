"""Schedules: records that change while they are read, in as many orders as an hour allows, by the real functions.

`python -m benchmarks.schedules [--schedules 1000000] [--examples 2000]`. Two parts. `functions`: random changes, late commits,
refreshes of which some fail, and reads by id; windows come from `due` and `edge_of`, and the rows from the fold,
some ten thousand schedules in one fold. `extractor`: extraction and landing as they are, with page reads and kills in
between, as in `crm_pipeline_tests/stages/raw/test_schedules.py`. Afterwards each record must be as the CRM has it. To show
that the first part can fail, it is done with a look-back that is too short as well.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.measuring import machine, table
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.raw.task import due
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.landing.watermark import edge_of
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables.engine import Engine

ORIGIN = datetime(2026, 11, 1, tzinfo=UTC)
LOOKBACK_S = 5
CHUNK = 20_000
RECORDS, VERSIONS, REFRESHES, EVERY_S = 2, 4, 5, 10
COLUMNS = ("part", "schedules", "wrong", "seconds")
SCHEMA = Schema(
    "Contact",
    "Contact",
    tuple(Field(name, name, "string") for name in ("Id", "Name", "IsDeleted", "SystemModstamp")),
)
MAP = ObjectMap("Contact", "contacts", (FieldMap("Id", "source_id"), FieldMap("Name", "full_name")))


def report(schedules: int = 1_000_000, examples: int = 2_000) -> str:
    """Run both parts and return a table in Markdown.

    Raises:
        AssertionError: a schedule went wrong, or none did with a look-back that is too short.
    """
    rows = []
    for name, lookback_s, count in (
        ("window and fold functions", LOOKBACK_S, schedules),
        ("the same, look-back 2 s too short", LOOKBACK_S - 2, min(schedules, CHUNK)),
    ):
        started_s = time.perf_counter()
        wrong = sum(
            wrong_in(seed, min(CHUNK, count - first), lookback_s)
            for seed, first in enumerate(range(0, count, CHUNK))
        )
        rows.append((name, f"{count:,}", f"{wrong:,}", f"{time.perf_counter() - started_s:,.0f}"))
        assert bool(wrong) == (lookback_s < LOOKBACK_S), f"{name}: {wrong} schedules went wrong"
    started_s = time.perf_counter()
    extractor(examples)
    seconds = time.perf_counter() - started_s
    rows.append(("extraction and landing", f"{examples:,}", "0", f"{seconds:,.0f}"))
    return f"{machine()}\n\n{table(COLUMNS, rows)}"


def wrong_in(seed: int, schedules: int, lookback_s: int = LOOKBACK_S) -> int:
    """Return how many of some random schedules end with a record that is not as the CRM has it."""
    world = _World(np.random.default_rng(seed), schedules)
    with (
        tempfile.TemporaryDirectory() as folder,
        Engine(Path(folder) / "engine", memory_limit="1000MB", threads=2) as engine,
    ):
        clock = FrozenClock(ORIGIN)
        landing = Landing(Path(folder) / "data", clock)
        for at_s, seen, is_point in world.reads(lookback_s):
            clock.advance(at_s - clock.monotonic())
            _land(landing, world, seen, is_point=is_point)
        landed = collect("acme", MAP, landing)
        assert landed is not None
        relation = folded(engine, landed, ranked(engine, landed))
        expected = engine.load("expected", world.final())
        [wrong] = engine.row(
            "SELECT count(DISTINCT split_part(coalesce(_source_id, id), '-', 1)) "
            f"FROM {relation} FULL JOIN {expected} ON id = _source_id "
            f"WHERE {raw('Name')} IS DISTINCT FROM value OR _deleted IS DISTINCT FROM is_deleted"
        )
    return int(wrong)


class _World:
    """Records with their versions, in many schedules at once; times are seconds since the beginning.

    A version is visible some seconds after the time that it carries, at most a look-back. A record is locked until then.
    """

    def __init__(self, random: np.random.Generator, schedules: int) -> None:
        shape = (schedules, RECORDS, VERSIONS)
        self.stamp = np.sort(random.integers(0, REFRESHES * EVERY_S, shape), axis=2)
        lag = random.choice([0, 0, 1, LOOKBACK_S], shape)
        for earlier, later in zip(range(VERSIONS), range(1, VERSIONS), strict=False):
            locked_until = self.stamp[:, :, earlier] + lag[:, :, earlier] + 1
            self.stamp[:, :, later] = np.maximum(self.stamp[:, :, later], locked_until)
        self.visible_at = self.stamp + lag
        self.is_deleted = random.random(shape) < 0.3
        self.succeeds = random.random((schedules, REFRESHES)) < 0.7
        self.pointed = random.random((schedules, RECORDS, REFRESHES)) < 0.2
        # Some time after all that: the refreshes once it is quiet.
        self.end_s = int(self.visible_at.max()) + LOOKBACK_S + 1

    def reads(self, lookback_s: int) -> Any:
        """Yield the time of each read, which version of each record it lands (-1: none), and whether it is by ids."""
        landed = np.full(self.stamp.shape[:2], -1)
        times = [EVERY_S * (number + 1) for number in range(REFRESHES)]
        code = self.succeeds @ (1 << np.arange(REFRESHES))
        for number, at_s in enumerate([*times, self.end_s]):
            seen = self._visible(at_s)
            windows = np.array(
                [
                    window_of(_pattern(c, number), (*times, self.end_s), lookback_s)
                    for c in range(1 << REFRESHES)
                ]
            )[code]
            stamp = np.take_along_axis(self.stamp, np.maximum(seen, 0)[:, :, None], 2)[:, :, 0]
            inside = (
                (seen >= 0)
                & (stamp >= windows[:, None, 0])
                & (stamp < windows[:, None, 1])
                & (seen != landed)
            )
            if number < REFRESHES:
                inside &= self.succeeds[:, number, None]
            landed = np.where(inside, seen, landed)
            yield at_s, np.where(inside, seen, -1), False
            if number < REFRESHES:
                later_s = at_s + EVERY_S // 2
                by_id = np.where(self.pointed[:, :, number], self._visible(later_s), -1)
                yield later_s, by_id, True

    def _visible(self, at_s: int) -> Any:
        return (self.visible_at <= at_s).sum(axis=2) - 1

    def final(self) -> pa.Table:
        """Return each record as the CRM has it in the end."""
        schedules, records, _ = self.stamp.shape
        last = np.full((schedules, records), VERSIONS - 1)
        return pa.table(
            {
                "id": _ids(*np.indices((schedules, records)).reshape(2, -1)),
                "value": pa.array(map(str, last.ravel()), pa.string()),
                "is_deleted": pa.array(self.is_deleted[:, :, -1].ravel()),
            }
        )


def _pattern(code: int, refreshes: int) -> tuple[bool, ...]:
    """Return which of the refreshes before one were committed."""
    return tuple(bool(code >> number & 1) for number in range(refreshes))


@cache
def window_of(committed: tuple[bool, ...], times: tuple[int, ...], lookback_s: int) -> Any:
    """Return start and end of a refresh's window in seconds, as the real functions choose it.

    Args:
        committed: which refreshes before it were committed.
        times: of all refreshes.
        lookback_s: the look-back.
    """
    commits: list[WindowCommit] = []
    for number, is_committed in enumerate((*committed, True)):
        present = _at(times[number])
        task: Any = SimpleNamespace(
            mode="refresh",
            present=SimpleNamespace(at=present),
            connection="acme",
            obj=SimpleNamespace(name="Contact"),
            lookback=timedelta(seconds=lookback_s),
            landing=SimpleNamespace(edge=lambda *_, present: edge_of(commits, present)),
        )
        _, window = due(task, None)
        if is_committed:
            commits.append(_commit(window, present))
    start = window.from_at or ORIGIN
    return (start - ORIGIN).total_seconds(), (window.to_at - ORIGIN).total_seconds()


def _commit(window: Window, present: datetime) -> WindowCommit:
    return WindowCommit(
        window_id=str(present),
        kind="window",
        connection="acme",
        object="Contact",
        window=window,
        batches=(),
        records=0,
        known=0,
        quarantined=0,
        vendor_count=None,
        vendor_count_before=None,
        calls=0,
        route="rest",
        reason="",
        complete=False,
        schema_fingerprint="",
        committed_at=present,
        present=present,
    )


def _land(landing: Landing, world: _World, seen: Any, *, is_point: bool) -> None:
    """Land one read of all schedules; which windows are committed was decided before."""
    schedule, record = np.nonzero(seen >= 0)
    version = seen[schedule, record]
    chosen = (schedule, record, version)
    stamps = [_at(int(second)) for second in world.stamp[chosen]]
    batch = batch_of(
        ids=_ids(schedule, record).to_pylist(),
        modified_at=stamps,
        texts=[f'{{"Name":"{value}"}}' for value in version],
        deleted=world.is_deleted[chosen].tolist(),
        owner="acme",
    )
    at = landing.clock.now()
    options: Mapping[str, Any] = {"kind": "point"} if is_point else {}
    window = Window(at, at) if is_point else Window(None, at)
    with landing.begin("acme", "Contact", window, SCHEMA, **options) as writer:
        if batch.num_rows:
            writer.write([batch], shape="json", route="rest", extracted_at=at)
        writer.commit(Counts(present=at))


def _ids(schedules: Sequence[int], records: Sequence[int]) -> pa.Array:
    return pa.array(
        [f"{one}-{other}" for one, other in zip(schedules, records, strict=True)], pa.string()
    )


def _at(second: int) -> datetime:
    return ORIGIN + timedelta(seconds=second)


def extractor(examples: int) -> None:
    """Run random schedules with extraction and landing as they are.

    Raises:
        AssertionError: one of them loses or doubles something; the text has the steps.
    """
    from crm_pipeline_tests.stages.conftest import Org
    from crm_pipeline_tests.stages.raw.schedules import ByIdAccount, PagedAccount
    from crm_pipeline_tests.stages.raw.test_schedules import STEPS, is_right

    with (
        tempfile.TemporaryDirectory() as folder,
        Engine(Path(folder), memory_limit="256MB", threads=1) as engine,
    ):

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            steps=STEPS,
            account=st.sampled_from([PagedAccount, ByIdAccount]),
            counts=st.booleans(),
        )
        def any_schedule(steps: Any, account: Any, counts: bool) -> None:
            assert is_right(Org, engine, steps, account=account, counts=counts), steps

        any_schedule()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--examples", type=int, default=2_000)
    chosen = parser.parse_args()
    print(report(chosen.schedules, chosen.examples))
