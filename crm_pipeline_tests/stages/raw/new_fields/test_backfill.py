"""Fields that come, go and come back at any moment, budgets and kills: the table has all values, by the fewest calls."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.asked_ids import Outcome
from crm_pipeline.connectors.base import Page, Usage
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.point_pages import not_by_id, point_page
from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import AllowanceSpent, Unavailable
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.published.field_backfills import field_backfills_table
from crm_pipeline.stages.raw import extract, note_changes
from crm_pipeline.stages.raw.new_fields import backfill, fill_new_fields, is_due
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfill, FieldBackfills
from crm_pipeline.store.landing import Landing, compaction
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline_tests.stages.raw.crm import connection
from crm_pipeline_tests.stages.raw.test_point import (
    MAP,
    OBJECT,
    ORIGIN,
    STAMPED,
    Record,
    Vendor,
    VendorAccount,
)

BATCH = 2
KEY = HashKey(b"k" * 32)
DAY = 86_400
KEYS = tuple(str(n) for n in range(1, 6))


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Shaped(Vendor):
    """A vendor with fields that come and go; each has one value in each record, which moves no time of change."""

    names: list[str] = field(default_factory=list)

    @property
    def fields(self) -> tuple[Field, ...]:
        return (*STAMPED, *(Field(name, name, "string") for name in self.names))


class ShapedAccount(VendorAccount):
    """Reads by ids in batches of two; a batch costs one call."""

    def __init__(self, vendor: Shaped, connection: Any) -> None:
        super().__init__(vendor, connection)
        self.shaped = vendor
        self.points = 0
        self.batch_cost = 1
        self.refuses: Exception | None = None
        self.refused: set[str] = set()
        self._most: int | None = None

    @property
    def usage(self) -> Usage:  # type: ignore[override]
        return Usage(self.points, None, None, self.points)

    def describe(self, obj: str) -> Schema:
        return Schema(obj, obj, self.shaped.fields)

    def point_batch(self, obj: str, schema: Schema) -> PointBatch:
        return PointBatch(BATCH, self.batch_cost)

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        for start in range(0, len(ids), BATCH):
            if self.refuses is not None:
                raise self.refuses
            if self._most is not None and self.points >= self._most:
                raise AllowanceSpent("acme: too much.", wait_s=0.0)
            self.points += self.batch_cost
            asked = ids[start : start + BATCH]
            yield from super().read(obj, [one for one in asked if one not in self.refused], schema)
            left = {one: Outcome("refused", "busy", one) for one in asked if one in self.refused}
            yield point_page(None, left, asked_at=self.shaped.now)

    @contextmanager
    def spending(self, amount: int) -> Iterator[None]:
        self._most = self.points + amount
        try:
            yield
        finally:
            self._most = None

    def _other(self, *_: Any) -> Any:
        raise NotImplementedError

    count_live = plan_sweep = deletion_marks = _other

    def _batch(self, found: dict[str, Record], shape: str) -> pa.RecordBatch:
        texts = [
            {
                "Id": key,
                "Name": str(one.value),
                "IsDeleted": str(one.is_deleted).lower(),
                "SystemModstamp": one.changed_at.isoformat(),
                **{name: f"{name} of {key}" for name in self.shaped.names},
            }
            for key, one in found.items()
        ]
        return batch_of(
            ids=list(found),
            modified_at=[one.changed_at for one in found.values()],
            texts=list(map(json.dumps, texts)),
            deleted=[one.is_deleted for one in found.values()],
            owner="acme",
        )


class Pipeline:
    """A data folder that reads the vendor, and fills what it lacks."""

    def __init__(self, folder: Path) -> None:
        self.clock = FrozenClock(ORIGIN)
        self.vendor = Shaped(is_whole=False, shape="json", clock=self.clock)
        self.folder = folder
        self.connection = replace(connection(), lookback_s=5, objects=(OBJECT,))
        self.obj = OBJECT
        self.engines = 0
        for key in KEYS:
            self.vendor.put(key, 1)
        self.clock.advance(10)
        self.account = ShapedAccount(self.vendor, self.connection)

    @property
    def landing(self) -> Landing:
        return Landing(self.folder, self.clock)

    @property
    def backfills(self) -> FieldBackfills:
        return FieldBackfills(self.folder, self.clock)

    def refresh(self, allowed: int | None = None) -> FieldBackfill | None:
        """Refresh and fill, as the raw asset does; the calls are no more than what is lacking needs."""
        register = Register(self.folder, self.clock)
        before = self.landing.latest_schema("acme", OBJECT.name)
        done = extract(self.account, self.obj, None, mode="refresh", landing=self.landing, key=KEY)  # type: ignore[arg-type]
        note_changes(self.landing, register, DriftPolicies(), "acme", OBJECT.name, before=before)
        lacking, calls = self.lacking(), self.account.points
        spent = self.backfills.spent_today("acme")
        try:
            filled = fill_new_fields(
                self.account,  # type: ignore[arg-type]
                self.obj,
                self.landing,
                register,
                schema=done.schema,
                open_engine=self.engine,
                allowed=allowed,
                key=KEY,
            )
        finally:
            batches = -(-len(lacking) // BATCH)
            assert self.account.points - calls <= batches * self.account.batch_cost
            self.clock.advance(1)
        assert allowed is None or self.account.points - calls <= max(0, allowed - spent)
        return filled

    def engine(self) -> Engine:
        self.engines += 1
        return Engine(self.folder / "tmp", memory_limit="256MB", threads=1)

    def is_due(self) -> bool:
        return is_due(self.landing, Register(self.folder, self.clock), "acme", OBJECT.name)

    def rows(self) -> list[dict[str, Any]]:
        """Return every landed version."""
        return [
            row
            for batch in self.landing.batches("acme", OBJECT.name)
            for row in pq.read_table(batch.path).to_pylist()
        ]

    def lacking(self) -> set[str]:
        """Return the live records whose newest version lacks a field, by the landed records alone: not the code under test."""
        newest: dict[str, dict[str, Any]] = {}
        for row in sorted(self.rows(), key=lambda one: (one["_modified_at"], one["_extracted_at"])):
            newest[row["_source_id"]] = row
        return {
            key
            for key, row in newest.items()
            if not row["_deleted"]
            and not set(self.vendor.names) - set(self.obj.exclude) <= set(json.loads(row["record"]))
        }

    def shown(self, engine: Engine) -> dict[str, tuple[str | None, ...]]:
        """Return the fields of the live records as the normalized tables fold them."""
        landed = collect("acme", MAP, self.landing)
        assert landed is not None
        relation = folded(engine, landed, ranked(engine, landed))
        columns = ", ".join(raw(name) for name in ("Name", *self.vendor.names))
        rows = engine.rows(f"SELECT _source_id, {columns} FROM {relation} WHERE NOT _deleted")
        return {row[0]: row[1:] for row in rows}

    def truth(self) -> dict[str, tuple[str | None, ...]]:
        return {
            key: (str(one.value), *(f"{name} of {key}" for name in self.vendor.names))
            for key, one in self.vendor.records.items()
            if not one.is_deleted
        }

    def do(self, step: tuple[Any, ...]) -> None:
        kind, *given = step
        vendor = self.vendor
        if kind == "field":
            [name] = given
            vendor.names = (
                [n for n in vendor.names if n != name]
                if name in vendor.names
                else [*vendor.names, name]
            )
        elif kind == "edit":
            vendor.put(*given)
        elif kind == "delete" and given[0] in vendor.records:
            vendor.put(given[0], vendor.records[given[0]].value, is_deleted=True)
        elif kind == "wait":
            self.clock.advance(given[0])
        elif kind == "refresh":
            self.refresh(*given)
        elif kind == "killed":
            self.killed(*given)

    def killed(self, after: int) -> None:
        """Refresh, and let the process end when a batch has landed and before that is noted."""
        notes = 0
        noted = FieldBackfills.note

        def dying(*args: Any, **named: Any) -> None:
            nonlocal notes
            notes += 1
            if notes > after:
                raise Killed
            noted(*args, **named)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FieldBackfills, "note", dying)
            with suppress(Killed):
                self.refresh()


STEPS = st.one_of(
    st.tuples(st.just("field"), st.sampled_from(["A", "B"])),
    st.tuples(st.just("field"), st.sampled_from(["A", "B"])),
    st.tuples(st.just("edit"), st.sampled_from(KEYS), st.integers(2, 9)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS)),
    st.tuples(st.just("wait"), st.sampled_from([1, DAY])),
    st.tuples(st.just("refresh"), st.sampled_from([0, 1, 2])),
    st.tuples(st.just("killed"), st.integers(0, 2)),
    st.tuples(st.just("refresh")),
)
_BACK = [
    *[("refresh",), ("field", "A"), ("refresh", 1), ("field", "A"), ("refresh",)],
    *[("edit", "1", 2), ("refresh",), ("field", "A"), ("killed", 0), ("field", "B"), ("killed", 1)],
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine"), memory_limit="256MB", threads=1) as made:
        yield made


@settings(max_examples=6, deadline=None)
@example(steps=_BACK)
@given(st.lists(STEPS, min_size=4, max_size=10))
def test_whatever_comes_and_goes(engine: Engine, steps: list[tuple[Any, ...]]) -> None:
    """Once all is quiet, every record has every field, and nothing is read again; no refresh makes more calls than full
    batches of what is lacking, or than its budget. Merging of windows changes nothing of it."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "KEPT", 1)
        patch.setattr(compaction, "FEWEST", 2)
        patch.setattr(backfill, "_READ_AT_ONCE", BATCH)
        run = Pipeline(Path(folder))
        for step in steps:
            run.do(step)
            run.clock.advance(1)
        run.clock.advance(DAY)
        run.refresh()
        assert not run.is_due()
        assert run.lacking() == set()
        assert run.shown(engine) == run.truth()
        calls = run.account.points
        run.refresh()
        assert run.account.points == calls


@pytest.fixture
def run(tmp_path: Path) -> Pipeline:
    """A pipeline that has read a vendor of five records."""
    made = Pipeline(tmp_path)
    made.refresh()
    made.clock.advance(DAY)
    return made


@pytest.fixture
def single_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a commit have one batch."""
    monkeypatch.setattr(backfill, "_READ_AT_ONCE", BATCH)


def test_a_renamed_field_is_not_new(run: Pipeline) -> None:
    """The successor of a removed field is not filled, its history stands under the old name; where a person says that it is
    no rename, it is."""
    run.vendor.names = ["Old"]
    run.vendor.put("1", 2)
    assert run.refresh() is not None
    calls = run.account.points
    run.clock.advance(DAY)
    run.vendor.names = ["New"]
    register = Register(run.folder, run.clock)
    before = run.landing.latest_schema("acme", OBJECT.name)
    extract(run.account, OBJECT, None, mode="refresh", landing=run.landing)  # type: ignore[arg-type]
    policies = DriftPolicies()
    note_changes(run.landing, register, policies, "acme", OBJECT.name, before=before)
    [gone] = [one for one in register.of("acme", OBJECT.name) if one.kind == "removed"]
    register.propose(gone.number, "New", {"records_compared": 5})
    run.clock.advance(1)
    assert (run.refresh(), run.account.points) == (None, calls)
    register.decide(gone.number, "ignored")
    assert run.refresh() is not None
    assert run.lacking() == set()


def test_records_that_the_vendor_does_not_show(run: Pipeline, engine: Engine) -> None:
    """They are asked for once, and counted; another field brings them up again."""
    run.vendor.names = ["A"]
    run.vendor.records.pop("3")
    done = run.refresh()
    assert done is not None
    assert (done.state, done.filled, done.absent) == ("complete", 4, 1)
    calls = run.account.points
    run.clock.advance(DAY)
    assert (run.refresh(), run.account.points) == (None, calls)
    run.vendor.names = ["A", "B"]
    again = run.refresh()
    assert again is not None
    assert (again.names, again.records, again.absent) == (("A", "B"), 5, 1)


def test_a_vendor_that_refuses(run: Pipeline) -> None:
    """What it refuses stops no refresh; the next one goes on. Where records cannot be read by their ids, nothing is tried
    again; `ops.field_backfills` says why."""
    run.vendor.names = ["A"]
    run.account.refuses = Unavailable("acme: it does not answer.", cure="Wait.")
    stopped = run.refresh()
    assert stopped is not None
    assert (stopped.state, stopped.reason) == ("filling", "acme: it does not answer. Wait.")
    assert run.is_due()
    run.account.refuses = not_by_id("acme.Contact", "they are parts of others", "Read those.")
    refused = run.refresh()
    assert refused is not None
    assert refused.state == "impossible"
    run.account.refuses = None
    assert (run.refresh(), run.account.points) == (None, 0)
    [row] = field_backfills_table(run.backfills, ["acme", "other"]).arrow.to_pylist()
    assert (row["object"], row["fields"], row["records"]) == (OBJECT.name, "A", 5)
    assert "parts of others" in row["reason"]


def test_records_that_the_vendor_refuses(run: Pipeline) -> None:
    """They are asked for again the next day, those that have landed are not."""
    run.vendor.names = ["A"]
    run.account.refused = {"2"}
    first = run.refresh()
    assert first is not None
    assert (first.state, first.filled, first.left) == ("filling", 4, 1)
    assert "refused 1 records" in first.reason
    assert not run.is_due()
    run.clock.advance(DAY)
    run.account.refused = set()
    calls = run.account.points
    done = run.refresh()
    assert done is not None
    assert (done.state, done.records, done.filled) == ("complete", len(KEYS), len(KEYS))
    assert (run.account.points - calls, run.lacking()) == (1, set())


def test_batches_whose_records_have_landed_again(run: Pipeline) -> None:
    """Reads of months without the field and with it again leave nothing to fill: nothing is read, and what is shown stays."""
    run.vendor.names = ["A"]
    run.refresh()
    shown = run.backfills.of("acme", OBJECT.name)
    assert shown is not None
    for names in ([], ["A"]):
        run.clock.advance(DAY)
        run.vendor.names = names
        extract(run.account, OBJECT, None, mode="range", landing=run.landing)  # type: ignore[arg-type]
    run.clock.advance(1)
    calls = run.account.points
    assert run.is_due()
    assert (run.refresh(), run.account.points, run.is_due()) == (None, calls, False)
    now = run.backfills.of("acme", OBJECT.name)
    assert now is not None
    assert replace(now, key=shown.key) == shown


def test_the_day_of_a_budget(run: Pipeline) -> None:
    """What a batch costs fits into the budget, or it waits for the next day, without looking at landing again; the table says
    what is left."""
    run.account.batch_cost = 3
    run.vendor.names = ["A"]
    first = run.refresh(4)
    assert first is not None
    assert (first.filled, first.left, first.waits_on) == (BATCH, 3, run.backfills.today)
    assert not run.is_due()
    calls, engines = run.account.points, run.engines
    waiting = replace(first, read_last=0)
    assert (run.refresh(4), run.account.points, run.engines) == (waiting, calls, engines)
    [row] = field_backfills_table(run.backfills, ["acme"]).arrow.to_pylist()
    assert (row["state"], row["filled"], row["records_left"]) == ("filling", 2, 3)
    run.clock.advance(DAY)
    assert run.is_due()
    run.refresh(6)
    done = run.backfills.of("acme", OBJECT.name)
    assert done is not None
    assert (done.state, done.filled, run.lacking()) == ("complete", len(KEYS), set())


@pytest.mark.usefixtures("single_batches")
def test_a_batch_that_landed_and_was_not_noted(run: Pipeline) -> None:
    """It counts as filled, and is not read again."""
    run.vendor.names = ["A"]
    run.killed(1)
    known = run.backfills.of("acme", OBJECT.name)
    assert known is not None
    assert (known.filled, len(run.lacking())) == (BATCH, 1)
    done = run.refresh()
    assert done is not None
    assert (done.state, done.records, done.filled) == ("complete", len(KEYS), len(KEYS))


@pytest.mark.usefixtures("single_batches")
def test_records_that_lost_the_field_again(run: Pipeline) -> None:
    """Records that were filled, and that a read of months has landed without the field since, are filled again: while others
    still wait, and after all were complete."""
    for allowed in (1, None):
        run.vendor.names = ["A"]
        run.refresh(allowed)
        run.clock.advance(DAY)
        run.vendor.names = []
        extract(run.account, OBJECT, None, mode="range", landing=run.landing)  # type: ignore[arg-type]
        run.clock.advance(DAY)
        run.vendor.names = ["A"]
        done = run.refresh()
        assert done is not None
        assert (done.state, done.left, run.lacking()) == ("complete", 0, set())
        run.clock.advance(DAY)
    assert (done.records, done.filled) == (len(KEYS), len(KEYS))


def test_a_field_that_another_read_has_noticed(run: Pipeline) -> None:
    """A refresh is due although nothing was noted: the process of the first one died, or a read of months was no refresh;
    also where the field is gone again before anything was read."""
    assert not run.is_due()
    run.vendor.names = ["A"]
    run.killed(0)
    assert run.account.points > 0
    assert run.is_due()
    run.refresh()
    assert (run.is_due(), run.lacking()) == (False, set())
    run.vendor.names = ["A", "B"]
    extract(run.account, OBJECT, None, mode="range", landing=run.landing)  # type: ignore[arg-type]
    run.clock.advance(1)
    assert run.is_due()
    calls = run.account.points
    assert (run.refresh(), run.account.points, run.is_due()) == (None, calls, False)


def test_fields_that_connections_yaml_has_kept_out(run: Pipeline) -> None:
    """A field that is no longer excluded is new, and filled; one that still is stays out of the records that are read."""
    run.vendor.names = ["A", "B"]
    run.obj = replace(OBJECT, exclude=("A", "B"))
    assert run.refresh() is None
    run.clock.advance(DAY)
    run.obj = replace(OBJECT, exclude=("B",))
    done = run.refresh()
    assert done is not None
    assert (done.names, done.filled) == (("A",), len(KEYS))
    texts = [text for row in run.rows() if '"A"' in (text := row["record"])]
    assert len(texts) == len(KEYS)
    assert not any("B of" in row["record"] for row in run.rows())
