"""Merged windows give the tables, the versions and the notes that the same windows give unmerged."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.model.schema import Schema
from crm_pipeline.stages.normalized.inputs import collect
from crm_pipeline.stages.raw.absence import live
from crm_pipeline.store.files import atomic
from crm_pipeline.store.landing import Landing, compaction, records
from crm_pipeline.store.landing.outstanding import outstanding
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.stages.conftest import STAMP, Org, schema

CONTACT = schema("Contact", "LastName")
EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "2"))
"""Plans made at random; the plans below it come on top. A campaign: `CRM_EXAMPLES=500`."""


class Rules:
    """Rules for keys: under version 2 a record named "gone" counts as deleted, and one named "odd" can be read."""

    def __init__(self, version: int) -> None:
        self.version = version

    def of(self, obj: str, fields: Schema, raw: pa.RecordBatch, **_: Any) -> pa.RecordBatch:
        names = raw.column("LastName").to_pylist()
        is_new = self.version == 2
        ids = [
            one if is_new or name != "odd" else None
            for one, name in zip(raw.column("Id").to_pylist(), names, strict=True)
        ]
        gone = [
            flag == "true" or (is_new and name == "gone")
            for flag, name in zip(raw.column("IsDeleted").to_pylist(), names, strict=True)
        ]
        stamps = records.instants(raw.column("SystemModstamp"))
        return pa.RecordBatch.from_arrays(
            [pa.array(ids, pa.string()), stamps, pa.array(gone, pa.bool_())],
            names=list(records.KEY_COLUMNS),
        )


@dataclass(frozen=True)
class Read:
    """One window: versions as (id, minute of modification, name, deleted), in batches by route and list."""

    versions: tuple[tuple[str, int, str, bool], ...]
    route: str = "rest"
    origin: str = ""
    minutes: int = 1
    complete: bool = False
    rejects: tuple[str, ...] = ()
    month: int = 0  # of an old month that is read again; 0 for all times

    def window(self, now: datetime) -> Window:
        if not self.month:
            return Window(None, now)
        return Window(
            *(datetime(2025, month, 1, tzinfo=UTC) for month in (self.month, self.month + 1))
        )


@dataclass(frozen=True)
class Merge:
    """A merge that dies at the n-th step, if it has so many, days after the read before it."""

    dies_at: int
    days: int = 0


@dataclass(frozen=True)
class Build:
    """A build under rules of a version."""

    rules: int


class Killed(BaseException):
    pass


class World:
    """The same object twice: as it landed, and with its windows merged."""

    def __init__(self, root: Path) -> None:
        self.plain, self.merged = Org(root / "plain"), Org(root / "merged")
        self.ids = {id(org): iter(range(1, 10**6)) for org in (self.plain, self.merged)}
        for org in (self.plain, self.merged):
            org.objects["acme"] = {"Contact"}
            self.carry_out_in(org, Read((("a", 0, "first", False), ("b", 0, "first", False))))

    def carry_out(self, step: Read | Merge | Build) -> None:
        for org in (self.plain, self.merged):
            self.carry_out_in(org, step)

    def carry_out_in(self, org: Org, step: Read | Merge | Build) -> None:
        if isinstance(step, Read):
            self._read(org, step)
        elif isinstance(step, Build):
            org.normalize("contacts", keys=Rules(step.rules))
        else:
            org.clock.advance(step.days * 86_400)
            if org is self.merged:
                merge(org.landing, step.dies_at)
                org.landing = Landing(org.data, org.clock)

    def _read(self, org: Org, step: Read) -> None:
        org.clock.advance(60 * step.minutes)
        now = org.clock.now()
        with (
            numbered(self.ids[id(org)]),
            org.landing.begin("acme", "Contact", step.window(now), CONTACT, reader=1) as writer,
        ):
            if step.versions:
                writer.write(
                    [page(step.versions)],
                    shape="csv",
                    route=step.route,
                    origin=step.origin,
                    extracted_at=now,
                )
            for name in step.rejects:
                raw = f"{name},false,,odd,2026-01-01T00:30:00.000Z".encode()
                writer.quarantine([Reject("odd", raw, name)], shape="csv", route=step.route)
            writer.commit(Counts(complete=step.complete, route=step.route))

    def assert_same(self) -> None:
        plain, merged = (versions(org) for org in (self.plain, self.merged))
        assert merged == plain
        for name in ("watermark", "notes"):
            ask = [getattr(org.landing, name)("acme", "Contact") for org in self.both]
            assert ask[0] == ask[1]
        reads = [sum(w.reads for w in org.landing.windows("acme", "Contact")) for org in self.both]
        assert reads[0] == reads[1]
        landings = [org.landing for org in self.both]
        assert alive(landings[0]) == alive(landings[1])
        missing = [outstanding(org.landing, "acme", "Contact") for org in self.both]
        assert missing[0] == missing[1]

    def assert_same_tables(self) -> None:
        for rules in (1, 2):
            rows, states = [], []
            for org in self.both:
                done = org.normalize("contacts", keys=Rules(rules))
                assert done.version is not None
                rows.append(org.rows("contacts", "* EXCLUDE (connection)"))
                states.append((done.batches, done.landed, done.superseded, done.quarantined))
            assert rows[0] == rows[1]
            assert states[0] == states[1]

    @property
    def both(self) -> tuple[Org, Org]:
        return self.plain, self.merged


def page(rows: Sequence[tuple[str, int, str, bool]]) -> pa.RecordBatch:
    texts = [f"2026-01-01T00:{minute:02d}:00.000Z" for _, minute, _, _ in rows]
    columns: dict[str, Any] = {
        "_source_id": pa.array([row[0] for row in rows], pa.string()),
        "_modified_at": records.instants(pa.array(texts, pa.string())).cast(STAMP),
        "_deleted": pa.array([row[3] for row in rows], pa.bool_()),
        "Id": pa.array([row[0] for row in rows], pa.string()),
        "IsDeleted": pa.array([str(row[3]).lower() for row in rows], pa.string()),
        "CreatedDate": pa.array([""] * len(rows), pa.string()),
        "LastName": pa.array([row[2] for row in rows], pa.string()),
        "SystemModstamp": pa.array(texts, pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


@contextmanager
def numbered(numbers: Iterator[int]) -> Iterator[None]:
    """Give windows the same ids in both worlds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "crm_pipeline.store.landing.window.sortable_id", lambda: f"{next(numbers):026x}"
        )
        yield


def merge(landing: Landing, dies_at: int = 10**6) -> None:
    """Merge all that may be merged, and die at a step."""
    left = dies_at

    def watch(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, watching(watch):
        patch.setattr(compaction, "KEPT", 1)
        patch.setattr(compaction, "FEWEST", 2)
        with suppress(Killed):
            landing.merge("acme", "Contact")


def alive(landing: Landing) -> dict[str, list[str]]:
    """Return the ids that are alive by what landed last, as the comparison of whole reads counts them."""
    places = landing.places("acme", "Contact", landing.windows("acme", "Contact"))
    by_list = live(landing.batches("acme", "Contact"), (), places)
    return {part: sorted(ids.to_pylist()) for part, ids in by_list.items()}


def versions(org: Org) -> list[tuple[Any, ...]]:
    """Return all landed versions with their batch, their window, and their place in the order of folding."""
    landed = collect("acme", contact_map(org), org.landing)
    assert landed is not None
    place_of = {place.batch_id: (n, place.window_id) for n, place in enumerate(landed.places)}
    rows = []
    for batch in landed.batches:
        table = pq.read_table(batch.path)
        assert batch.records == table.num_rows
        seen: dict[str, int] = {}
        for row in table.to_pylist():
            name = row["_batch_id"]
            seen[name] = seen.get(name, 0) + 1
            rows.append((*place_of[name], seen[name], *row.values()))
    org.landing.check(landed.batches)
    return sorted(rows, key=repr)


def contact_map(org: Org) -> Any:
    return next(entry for entry in org.maps if entry.table == "contacts")


version = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from([1, 1, 2, 3]),
    st.sampled_from(["x", "y", "gone"]),
    st.sampled_from([False, False, True]),
)
reads = st.builds(
    Read,
    st.lists(version, max_size=2).map(tuple),
    st.sampled_from(["rest", "bulk"]),
    st.sampled_from(["", "deleted"]),
    st.sampled_from([0, 1]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([(), (), ("q",), ("a",)]),
    st.sampled_from([0, 0, 2, 5]),
)
steps = st.lists(
    st.one_of(
        reads,
        reads,
        reads,
        st.builds(Merge, st.sampled_from([3, 8, 13, 17, 21, 26, 40, 10**6]), st.integers(0, 2)),
        st.builds(Build, st.sampled_from([1, 2])),
    ),
    min_size=4,
    max_size=14,
)
_A = Read((("a", 1, "x", False),), "rest")
_B = Read((("a", 1, "y", False),), "bulk", minutes=0)
_FEBRUARY = Read((("a", 1, "x", False),), "rest", minutes=0, month=2)
_MAY = Read((("a", 1, "y", False),), "rest", minutes=0, month=5)
_ODD = Read((("b", 2, "gone", False),), rejects=("q",))
_WHOLE = Read((("a", 1, "x", False),), complete=True)


@pytest.fixture(autouse=True)
def nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "is_worthwhile", lambda _: False)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(max_examples=EXAMPLES)
@given(steps)
# Versions with the same times, of which two kinds of batches alternate; merged twice.
@example([_A, _B, _A, _B, Merge(10**6), _B, _A, _B, Merge(10**6), _A, _A, Merge(10**6, 2)])
# Windows that do not touch are merged by month, and their versions stay in the order of all.
@example([_FEBRUARY, _MAY, _FEBRUARY, _MAY, _FEBRUARY, _MAY, _FEBRUARY, Merge(10**6)])
@example([_ODD, _A, _ODD, Build(1), Merge(10**6), _A, Build(2), _ODD, _A, Merge(10**6), _ODD])
@example([_WHOLE, _A, _WHOLE, _A, _A, _WHOLE, Merge(10**6), _A, _ODD, _WHOLE, _A, Merge(10**6, 1)])
def test_merging_changes_no_table_and_no_version(plan: list[Read | Merge | Build]) -> None:
    """Whatever is read, merged, killed, read again and built in any order: as without merges.

    Compared are all versions with their batches, windows and order, the watermark, what is missing, and the tables
    under old and new rules. At the end everything on the disk is whole, and what was replaced is gone.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for step in plan:
            world.carry_out(step)
            if isinstance(step, Merge):
                world.assert_same()
        world.assert_same()
        world.assert_same_tables()
        org = world.merged
        for _ in range(2):
            org.clock.advance(2 * 86_400)
            merge(org.landing)
        assert scrub(org.data).corruption == ()
        named = {batch.path.stem for batch in org.landing.batches("acme", "Contact")}
        landed = org.landing.folder("acme", "Contact").glob("????-??/*")
        assert {path.stem for path in landed} == named


def test_a_build_reads_few_files_behind_many_windows(
    org: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 150 windows of one record a new process reads some twenty commits, and a build as many batches."""
    monkeypatch.undo()
    monkeypatch.setattr(os, "fsync", lambda _: None)
    org.objects["acme"] = {"Contact"}
    for number in range(150):
        org.clock.advance(60)
        now = org.clock.now()
        with org.landing.begin("acme", "Contact", Window(None, now), CONTACT) as writer:
            rows = [("abc"[number % 3], number % 60, str(number), False)]
            writer.write([page(rows)], shape="csv", route="rest", extracted_at=now)
            writer.commit(Counts())
    opened: list[Path] = []
    read_sealed = atomic.read_sealed

    def counted(path: Path, **more: Any) -> Any:
        opened.append(path)
        return read_sealed(path, **more)

    monkeypatch.setattr(atomic, "read_sealed", counted)
    org.landing = Landing(org.data, org.clock)
    assert org.landing.watermark("acme", "Contact") == org.clock.now()
    assert len(opened) <= 22
    landed = collect("acme", contact_map(org), org.landing)
    assert landed is not None
    assert len(landed.batches) <= 22
    assert len(landed.places) == 150
    done = org.normalize("contacts")
    assert (done.landed, done.superseded, done.batches) == (150, 147, 150)
    listed = pc.count_distinct(pa.array([place.batch_id for place in landed.places])).as_py()
    org.publish()
    [[batches]] = org.query("SELECT count(*) FROM ops.batches")
    [[reads_listed, windows]] = org.query("SELECT sum(reads), count(*) FROM ops.windows")
    [[orphans]] = org.query(
        "SELECT count(*) FROM crm.contacts ANTI JOIN ops.batches USING (batch_id)"
    )
    assert (batches, listed, reads_listed, orphans) == (150, 150, 150, 0)
    assert windows <= 22
