"""Records that are read by their ids at any moment: the table is right, and nothing else notices them."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.asked_ids import AskedIds, Outcome, word
from crm_pipeline.connectors.base import Page, Plan, Usage
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.point_pages import NOT_FOUND, outcomes_of, point_page
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.kernel.errors import ContractError, ProtocolError
from crm_pipeline.model.mapping import FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.stages.normalized.fold import folded
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.normalized.ranking import ranked
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.stages.published import operations
from crm_pipeline.stages.raw import extract, note_changes, probe, read_points, refused_description
from crm_pipeline.store.drift import Register
from crm_pipeline.store.erasing.subject import RecordKey, Subject
from crm_pipeline.store.landing import Landing, compaction
from crm_pipeline.store.landing.freshness import freshness_of
from crm_pipeline.store.landing.looks import ConnectionLooks
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.records import keyed
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.tombstones import Tombstones
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline_tests.store.landing.test_landing import die

ORIGIN = datetime(2026, 11, 1, tzinfo=UTC)
OBJECT = ObjectSettings("Contact")
STAMPED = tuple(
    Field(name, name, "string") for name in ("Id", "Name", "IsDeleted", "SystemModstamp")
)
BARE = STAMPED[:2]
MAP = ObjectMap("Contact", "contacts", (FieldMap("Id", "source_id"), FieldMap("Name", "full_name")))
IDS = ("1", "2", "3", "4")
"""Beside them there is always a record 0, so that a whole read is never empty."""


@dataclass(frozen=True)
class Record:
    changed_at: datetime
    value: int
    is_deleted: bool = False


@dataclass
class Vendor:
    """A vendor in memory. `is_whole`: it has no times of change, and lists only live records, all of them."""

    is_whole: bool
    shape: str
    clock: FrozenClock
    records: dict[str, Record] = field(default_factory=dict)
    meanwhile: Callable[[], None] | None = None

    @property
    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def put(self, key: str, value: int, *, is_deleted: bool = False) -> None:
        self.records[key] = Record(self.now, value, is_deleted)

    def compute(self, key: str, value: int) -> None:
        """Change a value as formulas change: the time of change stays."""
        if key in self.records:
            self.records[key] = replace(self.records[key], value=value)

    def seen(self, key: str) -> Record | None:
        """Return what a read of the record sees."""
        record = self.records.get(key)
        return None if record is None or (self.is_whole and record.is_deleted) else record


class VendorAccount:
    """The account; like others it takes the times of requests in whole seconds."""

    usage = Usage(1, None, None)

    def __init__(self, vendor: Vendor, connection: Any) -> None:
        self.vendor = vendor
        self.connection = connection
        self.asked = 0

    def identity(self) -> str:
        return "one and the same"

    def describe(self, obj: str) -> Schema:
        self.asked += 1
        return Schema(obj, obj, BARE if self.vendor.is_whole else STAMPED)

    def cursor_field(self, schema: Schema) -> str | None:
        return None if self.vendor.is_whole else "SystemModstamp"

    def vendor_now(self) -> datetime:
        return self.vendor.now

    def plan(self, obj: ObjectSettings, window: Window | None) -> Plan:
        plan = Plan(
            object=obj.name,
            window=None if self.vendor.is_whole else window,
            route="rest",
            reason="",
            schema=self.describe(obj.name),
            cursor_field=None,
            complete=self.vendor.is_whole,
            vendor_count=None,
            calls=1,
        )
        return replace(plan, vendor_count=len(self.inside(plan.window)))

    def count(self, plan: Plan) -> int:
        return len(self.inside(plan.window))

    def pages(self, plan: Plan, checkpoint: Any) -> Iterator[Page]:
        batch = self._batch(self.inside(plan.window), self.vendor.shape)
        shape: Any = self.vendor.shape
        page = Page(shape, "rest", lambda: iter([batch]), self.vendor.now)
        self._others()
        yield page

    def forget(self, checkpoint: Any) -> None:
        pass

    def probe_changes(self, schema: Schema, since: datetime) -> tuple[int, datetime | None]:
        times = [one.changed_at for one in self.vendor.records.values() if one.changed_at >= since]
        return len(times), max(times, default=None)

    def read(self, obj: str, ids: Sequence[str], schema: Schema | None = None) -> Iterator[Page]:
        asked = AskedIds.of(ids, word)
        self.asked += 1
        found = {key: record for key in asked.ids if (record := self.vendor.seen(key))}
        batch = self._batch(found, "json")
        outcomes = dict.fromkeys(asked.ids, Outcome("not_found", NOT_FOUND)) | outcomes_of(batch)
        page = point_page(batch, asked.named(outcomes), asked_at=self.vendor.now)
        self._others()
        yield page

    def _others(self) -> None:
        """Let something happen between the request and the commit."""
        act, self.vendor.meanwhile = self.vendor.meanwhile, None
        if act is not None:
            self.vendor.clock.advance(1)
            act()
            self.vendor.clock.advance(1)

    def inside(self, window: Window | None) -> dict[str, Record]:
        seen = {key: record for key in self.vendor.records if (record := self.vendor.seen(key))}
        if window is None:
            return seen
        start = window.from_at or ORIGIN
        return {key: one for key, one in seen.items() if start <= one.changed_at < window.to_at}

    def _batch(self, found: dict[str, Record], shape: str) -> pa.RecordBatch:
        texts = [
            {
                "Id": key,
                "Name": str(one.value),
                "IsDeleted": str(one.is_deleted).lower(),
                "SystemModstamp": one.changed_at.isoformat(),
            }
            for key, one in found.items()
        ]
        if shape == "csv":
            names = [field.name for field in self.describe("Contact").fields]
            columns = [pa.array([text[name] for text in texts], pa.string()) for name in names]
            is_whole = self.vendor.is_whole
            return keyed(
                pa.RecordBatch.from_arrays(columns, names=names),
                id_field="Id",
                modified_field=None if is_whole else "SystemModstamp",
                deleted_field=None if is_whole else "IsDeleted",
            )
        return batch_of(
            ids=list(found),
            modified_at=[
                None if self.vendor.is_whole else one.changed_at for one in found.values()
            ],
            texts=[json.dumps(text) for text in texts],
            deleted=[one.is_deleted for one in found.values()],
            owner="acme",
        )


class Run:
    """A vendor that changes, a pipeline that reads it, and what the table must show: what was seen last of each record.

    Attributes:
        shown: value and deletion mark of each record, and when that was requested.
        landed: the time of change of each record that a read of the object has seen.
    """

    def __init__(
        self, folder: Path, org: Any, engine: Engine, *, is_whole: bool, shape: str
    ) -> None:
        self.clock = FrozenClock(ORIGIN)
        self.vendor = Vendor(is_whole, shape, self.clock)
        self.landing = Landing(folder, self.clock)
        self.engine = engine
        self.connection = replace(org.connection(), lookback_s=5, objects=(OBJECT,))
        self.shown: dict[str, tuple[int, bool, datetime]] = {}
        self.watermark: datetime | None = None
        self.landed: dict[str, datetime] = {}
        self.vendor.put("0", 0)
        self.clock.advance(1)

    @property
    def account(self) -> Any:
        return VendorAccount(self.vendor, self.connection)

    def refresh(self, meanwhile: Callable[[], None] | None = None) -> None:
        """Read what changed: from the watermark less the look-back, whatever was read by ids."""
        self.check_probe()
        now, start = self.vendor.now, self.watermark and self.watermark - timedelta(seconds=5)
        inside = self.account.inside(None if self.vendor.is_whole else Window(start, now))
        self.vendor.meanwhile = meanwhile
        done = extract(self.account, OBJECT, None, mode="refresh", landing=self.landing)
        assert (done.window.from_at, done.window.to_at, done.read) == (start, now, len(inside))
        assert done.schema_changes == []
        for key, record in inside.items():
            self.see(key, record, now)
            self.landed[key] = record.changed_at
        for key, (value, _, at) in self.shown.items():
            if self.vendor.is_whole and key not in inside and at < now:
                self.shown[key] = (value, True, now)
        # A whole read with the records of the one before is not committed.
        is_same = self.vendor.is_whole and not done.changed
        self.watermark = self.watermark if is_same else now
        assert self.landing.watermark("acme", "Contact") == self.watermark
        self.check()

    def check_probe(self) -> None:
        """The probe says that something changed exactly where records have not been seen by a read of the object."""
        if self.watermark is None or self.vendor.is_whole:
            return
        since = self.watermark - timedelta(seconds=5)
        changed = [r.changed_at for r in self.vendor.records.values() if r.changed_at >= since]
        landed = [at for at in self.landed.values() if at >= since]
        is_newer = max(changed, default=since) > max(landed, default=since)
        news = probe(self.account, [OBJECT], self.landing).news
        assert bool(news) == (len(changed) > len(landed) or is_newer)

    def point(self, ids: Sequence[str], meanwhile: Callable[[], None] | None = None) -> None:
        """Read records by their ids."""
        now, watermark = self.vendor.now, self.watermark
        seen = {key: self.vendor.seen(key) for key in ids}
        self.vendor.meanwhile = meanwhile
        done = read_points(self.account, OBJECT, ids, landing=self.landing)
        assert {key: outcome.status for key, outcome in done.outcomes.items()} == {
            key: "not_found" if one is None else "deleted" if one.is_deleted else "read"
            for key, one in seen.items()
        }
        for key, one in seen.items():
            if one is not None:
                self.see(key, one, now)
        if meanwhile is None:
            assert self.landing.watermark("acme", "Contact") == watermark

    def see(self, key: str, record: Record, at: datetime) -> None:
        if key not in self.shown or self.shown[key][2] <= at:
            self.shown[key] = (record.value, record.is_deleted, at)

    def check(self) -> None:
        """Fold what has landed: it is what was seen last."""
        landed = collect("acme", MAP, self.landing)
        assert landed is not None
        relation = folded(self.engine, landed, ranked(self.engine, landed))
        rows = self.engine.rows(
            f"SELECT _source_id, {raw('Name')}, _deleted OR NOT _is_seen FROM {relation}"
        )
        shown = {key: (value, is_gone) for key, (value, is_gone, _) in self.shown.items()}
        assert {key: (int(value), is_gone) for key, value, is_gone in rows} == shown

    def do(self, step: tuple[Any, ...]) -> None:
        kind, *given = step
        if kind == "wait":
            self.clock.advance(given[0])
        elif kind == "edit":
            self.vendor.put(*given)
        elif kind == "delete" and given[0] in self.vendor.records:
            self.vendor.put(given[0], self.vendor.records[given[0]].value, is_deleted=True)
        elif kind == "compute":
            self.vendor.compute(*given)
        elif kind == "refresh":
            self.refresh()
        elif kind == "point":
            self.point(given[0])
        elif kind == "point while refreshing":
            self.refresh(lambda: self.point(given[0]))
        elif kind == "refresh while reading":
            self.point(given[0], lambda: (self.do(given[1]), self.clock.advance(1), self.refresh()))


KEYS, VALUES = st.sampled_from(IDS), st.integers(1, 2)
FEW = st.lists(KEYS, min_size=1, max_size=3, unique=True)
CHANGES = st.one_of(
    st.tuples(st.just("edit"), KEYS, VALUES),
    st.tuples(st.just("compute"), KEYS, VALUES),
    st.tuples(st.just("delete"), KEYS),
)
STEPS = st.one_of(
    CHANGES,
    CHANGES,
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 7])),
    st.tuples(st.just("point"), FEW),
    st.tuples(st.just("point"), FEW),
    st.tuples(st.just("refresh")),
    st.tuples(st.just("refresh")),
    st.tuples(st.just("point while refreshing"), FEW),
    st.tuples(st.just("refresh while reading"), FEW, CHANGES),
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine"), memory_limit="256MB", threads=1) as made:
        yield made


# A value that was read by its id, and went back to what a read of the object has landed before, at the same time of change.
_BACK = [
    *[("edit", "1", 1), ("refresh",), ("compute", "1", 2), ("point", ["1"])],
    *[("compute", "1", 1), ("refresh",)],
]
# The same, with a request for the record before the refresh that lands its other value is committed.
_CROSSED = [
    *[("edit", "1", 1), ("refresh",), ("compute", "1", 2), ("point while refreshing", ["1"])],
    *[("compute", "1", 1), ("refresh",), ("delete", "1"), ("point", ["1"]), ("refresh",)],
    *[("refresh while reading", ["0"], ("edit", "1", 2)), ("wait", 7), ("refresh",)],
]


@settings(max_examples=8, deadline=None)
@example(is_whole=False, shape="json", steps=_BACK)
@example(is_whole=True, shape="json", steps=_BACK)
@example(is_whole=False, shape="csv", steps=_CROSSED)
@example(is_whole=True, shape="json", steps=_CROSSED)
@given(st.booleans(), st.sampled_from(["json", "csv"]), st.lists(STEPS, min_size=12, max_size=22))
def test_points_at_any_moment(
    new_org: Any, engine: Engine, is_whole: bool, shape: str, steps: list[tuple[Any, ...]]
) -> None:
    """Whatever is read by ids, before, between and during refreshes: the table shows what was seen last of each
    record. Watermark, probe, and what a refresh reads are as they would be without; merging changes nothing of it."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "KEPT", 1)
        patch.setattr(compaction, "FEWEST", 2)
        run = Run(Path(folder), new_org(Path(folder)), engine, is_whole=is_whole, shape=shape)
        for step in steps:
            run.do(step)
            run.clock.advance(1)
        run.refresh()


@pytest.fixture
def run(org: Any, engine: Engine, tmp_path: Path) -> Run:
    """A pipeline with a vendor of five records, which was read once."""
    made = Run(tmp_path / "data", org, engine, is_whole=False, shape="json")
    for key in IDS:
        made.vendor.put(key, 1)
    made.clock.advance(1)
    made.refresh()
    return made


def commits(run: Run, *, points: bool = True) -> list[Any]:
    chosen = run.landing.windows if points else run.landing.object_reads
    return chosen("acme", "Contact")


def test_nothing_to_read(run: Run) -> None:
    """No ids cost no call; ids that the vendor does not have cost calls, and no commit."""
    before, account = commits(run), run.account
    assert read_points(account, OBJECT, [], landing=run.landing).outcomes == {}
    assert account.asked == 0
    done = read_points(account, OBJECT, ["9", "9"], landing=run.landing)
    assert (done.ids("not_found"), done.window_id, account.asked) == (["9"], "", 2)
    assert commits(run) == before


def test_an_object_that_was_never_read(org: Any, engine: Engine, tmp_path: Path) -> None:
    """Its single records wait: a table of them would look like all records. Then they are in it."""
    run = Run(tmp_path / "data", org, engine, is_whole=False, shape="json")
    run.point(["0"])
    assert collect("acme", MAP, run.landing) is None
    assert run.landing.latest_schema("acme", "Contact") is None
    [fresh] = freshness_of(run.connection, run.landing, ConnectionLooks(), run.clock.now())
    assert (fresh.state, fresh.current_at) == ("unread", None)
    run.clock.advance(1)
    run.refresh()


def test_a_field_that_only_a_point_has_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no change of the object until a window has it: neither the latest schema, nor `ops.schema_changes`, nor
    the fields that tables are checked by. A description that lost its fields stops a point read as any other."""
    more = (*STAMPED, Field("Nickname", "Nickname", "string"))
    monkeypatch.setattr(f"{__name__}.STAMPED", more)
    run.point(["1"])
    landed = collect("acme", MAP, run.landing)
    assert landed is not None
    assert "Nickname" not in landed.latest_schema.names
    latest = run.landing.latest_schema("acme", "Contact")
    assert latest is not None
    assert "Nickname" not in latest.names
    register = Register(run.landing.root, run.clock)
    policies = DriftPolicies()
    assert note_changes(run.landing, register, policies, "acme", "Contact", before=latest) == []
    run.check()
    monkeypatch.setattr(f"{__name__}.STAMPED", more[:1])
    before = commits(run)
    run.clock.advance(1)
    with pytest.raises(ContractError):
        run.point(["1"])
    assert commits(run) == before
    assert refused_description(run.landing, "acme", "Contact") is not None
    monkeypatch.setattr(f"{__name__}.STAMPED", more)
    run.clock.advance(1)
    run.point(["1"])
    # Only a read of the object says that its description is in order again.
    assert refused_description(run.landing, "acme", "Contact") is not None


def test_a_field_that_is_kept_out_from_now_on(run: Run) -> None:
    """A hash is not shown as the field's value, though the last window did not hash it."""
    key = HashKey(b"x" * 32)
    obj = replace(OBJECT, hash=("Name",))
    read_points(run.account, obj, ["1"], landing=run.landing, key=key)
    landed = collect("acme", MAP, run.landing)
    assert landed is not None
    assert landed.kept_out == ("full_name",)


def test_records_that_cannot_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are quarantined and reported as such, and stay outstanding until they land or everything is read again: a
    refresh that does not meet them says nothing about them."""
    reject = Reject("the record is no JSON", b"{", "1")
    outcomes = {"1": Outcome("unreadable", "the record is no JSON", "1")}

    def read(*_: Any) -> Iterator[Page]:
        yield point_page(None, outcomes, asked_at=run.vendor.now, rejected=[reject])

    run.clock.advance(60)
    with monkeypatch.context() as patch:
        patch.setattr(VendorAccount, "read", read)
        done = read_points(run.account, OBJECT, ["1"], landing=run.landing)
    assert (done.ids("unreadable"), done.quarantined, done.records) == (["1"], 1, 0)
    assert outstanding(run.landing, "acme", "Contact").records == 1
    run.clock.advance(60)
    run.refresh()
    assert outstanding(run.landing, "acme", "Contact").records == 1
    run.clock.advance(1)
    run.point(["1"])
    assert outstanding(run.landing, "acme", "Contact").records == 0


def test_records_that_are_made_during_a_whole_read(
    org: Any, engine: Engine, tmp_path: Path
) -> None:
    """Records that were read by their ids while a list was read need not be in it: they are not missing from it."""
    run = Run(tmp_path / "data", org, engine, is_whole=True, shape="json")
    run.refresh()
    new = [f"new {number}" for number in range(8)]

    def others() -> None:
        for key in new:
            run.vendor.put(key, 1)
        run.point(new)

    run.clock.advance(1)
    run.vendor.put("1", 1)
    run.refresh(others)
    assert commits(run, points=False)[-1].shrink is None


def test_a_connector_that_forgets_an_id(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An id without an outcome is an error: it is never silently absent."""
    monkeypatch.setattr(VendorAccount, "read", lambda *_: iter(()))
    with pytest.raises(ProtocolError, match="1 of 1 ids"):
        read_points(run.account, OBJECT, ["1"], landing=run.landing)


def test_a_person_who_was_erased(run: Run) -> None:
    """Whoever was erased does not come back, and the read says so."""
    key = HashKey(b"x" * 32)
    subject = Subject(frozenset({RecordKey("acme", "Contact", "1")}))
    erased = Tombstones({}, {}).with_subject(subject, key, run.clock.now())
    erased.write(run.landing.root)
    before = commits(run)
    done = read_points(run.account, OBJECT, ["1"], landing=run.landing, key=key)
    assert (done.ids("withheld"), done.records, done.sample) == (["1"], 0, [])
    assert commits(run) == before


def test_killed(run: Run) -> None:
    """A point read that dies leaves nothing that counts, and the next one removes it. It leaves alone what a dead
    window has received, which the next read of the object goes on with."""
    before = commits(run)
    schema = run.account.describe("Contact")
    now = run.clock.now()
    interrupted = run.landing.begin("acme", "Contact", Window(now, now), schema)
    interrupted.checkpoint.begin({"job": "7"})
    die(interrupted)
    dead = run.landing.begin("acme", "Contact", Window(now, now), schema, kind="point")
    batch = run.account.inside(None)
    dead.write([run.account._batch(batch, "json")], shape="json", route="ids", extracted_at=now)
    die(dead)
    assert commits(run) == before
    folder = run.landing.folder("acme", "Contact")
    assert list(folder.glob(f"????-??/{dead.window_id}-*.parquet"))
    run.point(["1"])
    assert not list(folder.glob(f"*/*{dead.window_id}*"))
    assert [left.window_id for left in run.landing.interrupted("acme", "Contact")] == [
        interrupted.window_id
    ]
    run.landing.begin("acme", "Contact", Window(now, now), schema).__exit__(None, None, None)
    assert run.landing.interrupted("acme", "Contact") == []


def test_many_points_are_few_files(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many single reads come between refreshes, both are merged: nothing costs more with their number."""
    monkeypatch.setattr(compaction, "KEPT", 2)
    monkeypatch.setattr(compaction, "FEWEST", 2)
    for number in range(16):
        run.vendor.put("1", number)
        run.clock.advance(1)
        run.point([IDS[number % 4]])
        run.clock.advance(1)
        if number % 3 == 0:
            run.refresh()
    run.landing.merge("acme", "Contact")
    stored = commits(run)
    assert len(commits(run, points=False)) <= 4
    assert len(stored) <= 9
    run.check()
    points = [one for one in stored if one.is_point]
    assert sum(one.reads for one in points) == sum(one.records for one in points) == 16
    assert all(one.window.from_at == one.window.to_at for one in points)
    assert sum(one.reads for one in commits(run, points=False)) == 7
    kinds = [row[3] for row in operations.windows(run.landing, ["acme"]).rows]
    assert kinds.count("point") == len(points)
