"""Versions of records: every order of reads against a replay in plain Python."""

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.failpoint import POINTS, watching
from crm_pipeline.stages.normalized import history, timeline
from crm_pipeline.stages.normalized.retention import retire
from crm_pipeline.store.files.checksums import FileSum, Verifier
from crm_pipeline.store.landing import compaction
from crm_pipeline.store.landing.rewriting import recommit
from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.stages.conftest import Org, schema
from crm_pipeline_tests.stages.normalized.replay import Landed, Shown, in_order, replayed

CONTACT = schema("Contact", "LastName")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("last_name", "full_name")
EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "2"))
"""A campaign: `CRM_EXAMPLES=200`."""
RECORDS = 60
"""In one example, because a build of many records takes as long as one of few."""
Row = tuple[str, int, bool, int]
"""Id, day of modification (0: none), whether deleted, value (0: none, as in a list of deletions)."""


@dataclass
class World:
    """A CRM whose records land by hand, and the list of what landed."""

    org: Org
    landed: Landed

    def land(self, rows: Sequence[Row], *, complete: bool = False) -> None:
        records = [
            {
                "Id": key,
                "LastName": f"v{value}" if value else "",
                "IsDeleted": str(gone).lower(),
                "SystemModstamp": format_instant(stamp) if (stamp := at(day)) else "",
            }
            for key, day, gone, value in rows
        ]
        self.org.land(CONTACT, records, complete=complete)
        seen = [
            (key, at(day), gone, f"v{value}" if value else None) for key, day, gone, value in rows
        ]
        self.landed.add(self.org.clock.now(), seen, complete=complete)

    def merge(self) -> None:
        """Merge the windows so far, those that the latest reads would keep aside included."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compaction, "KEPT", 1)
            patch.setattr(compaction, "FEWEST", 2)
            self.org.landing.merge("acme", "Contact")

    def retire(self) -> int:
        """Remove every superseded version from landing that the history has."""
        with self.org.engine() as engine:
            return retire(
                self.org.connection(),
                "Contact",
                self.org.landing,
                self.org.tables,
                self.org.maps,
                engine,
                self.org.clock.now() + timedelta(seconds=1),
            )

    def versions(self, tables: Tables | None = None) -> list[Shown]:
        """Return what the history and, for records without one, the table say."""
        org = self.org if tables is None else Org(self.org.data)
        org.tables = tables or self.org.tables
        org.objects = self.org.objects
        org.normalize("contacts")
        return shown(org)


def at(day: int) -> datetime | None:
    return EPOCH + timedelta(days=day) if day else None


def shown(org: Org) -> list[Shown]:
    stored = org.rows(
        "contacts",
        "source_id, valid_from, valid_to, is_deleted, last_name, list_sort(changed_fields)",
        prefix="history",
        where="_is_version",
    )
    once = org.rows(
        "contacts",
        "source_id, modified_at, NULL, is_deleted, last_name, []",
        where=f"source_id NOT IN (SELECT source_id FROM {org.relation('contacts', 'history')})",
    )
    rows = [(*row[:5], tuple(row[5])) for row in (*stored, *once)]
    return sorted(rows, key=in_order)


def differing_from_the_table(org: Org) -> list[Any]:
    """Return the records whose last version has other values than the table."""
    columns = "source_id, last_name"
    last = org.rows("contacts", columns, prefix="history", where="_is_version AND valid_to IS NULL")
    return sorted(set(last) - set(org.rows("contacts", columns)))


def world_in(folder: str) -> World:
    return World(Org(Path(folder) / "data"), Landed())


def drawn_read(random: Random) -> list[tuple[int, bool, int]]:
    """Draw what a read has of one record: nothing, a version, or two."""
    drawn = []
    for _ in range(random.choice((0, 1, 1, 2))):
        day, is_gone, value = random.randint(0, 4), random.random() < 0.4, random.randint(1, 3)
        drawn.append((day, is_gone, 0 if is_gone and random.random() < 0.5 else value))
    return drawn


PLAN = st.lists(
    st.tuples(st.sampled_from(["part", "part", "part", "whole"]), st.booleans(), st.booleans()),
    min_size=4,
    max_size=7,
)
"""Reads: of some records or of all, whether a build follows, and whether windows are merged before it."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 2,
    database=None,
    phases=[Phase.generate],
)
@given(PLAN, st.integers(0, 1 << 32))
def test_every_order_of_reads(plan: list[tuple[str, bool, bool]], seed: int) -> None:
    """Whatever lands in whatever order, with builds and merges in between, the history is the replay of it all."""
    random = Random(seed)
    drawn = [[drawn_read(random) for _ in plan] for _ in range(RECORDS)]
    with TemporaryDirectory() as folder:
        world = world_in(folder)
        for n, (kind, is_built, is_merged) in enumerate(plan):
            rows = [(f"{k:02}", *row) for k, reads in enumerate(drawn) for row in reads[n]]
            world.land(rows, complete=kind == "whole")
            if is_merged:
                world.merge()
            if is_built:
                assert world.versions() == replayed(world.landed, dict.fromkeys(COLUMNS))
        expected = replayed(world.landed, dict.fromkeys(COLUMNS))
        assert world.versions() == expected
        assert differing_from_the_table(world.org) == []
        assert world.versions(Tables(Path(folder) / "again")) == expected


@pytest.fixture
def world(org: Org) -> World:
    return World(org, Landed())


def test_a_late_version_comes_between(world: World) -> None:
    """A version that lands late ends the one before it and gives the next one other changes."""
    world.land([("a", 1, False, 1)])
    world.land([("a", 5, False, 2)])
    assert [row[1:3] for row in world.versions()] == [(at(1), at(5)), (at(5), None)]
    world.land([("a", 3, False, 2)])
    rows = world.versions()
    assert [(*row[1:3], row[4]) for row in rows] == [(at(1), at(3), "v1"), (at(3), None, "v2")]
    assert rows == replayed(world.landed, dict.fromkeys(COLUMNS))


def test_a_change_that_moves_no_modification_time(world: World) -> None:
    """Values of a formula that changed since the last read are valid from when they were read, not in the past."""
    world.land([("a", 1, False, 1)])
    world.land([("a", 1, False, 2)])
    seen = world.org.clock.now()
    rows = [(*row[1:3], row[4]) for row in world.versions()]
    assert rows == [(at(1), seen, "v1"), (seen, None, "v2")]


def test_a_first_load_stores_no_version(world: World) -> None:
    """Records that landed once have no rows in the history: their rows in the table say it all."""
    world.land([(f"{n}", 1, False, n) for n in range(50)])
    assert len(world.versions()) == 50
    assert world.org.rows("contacts", "*", prefix="history") == []


def test_a_refresh_writes_what_it_changes(world: World) -> None:
    """The delta of a refresh has the versions of its records, and the base stays the same file."""
    world.land([(f"{n:02}", 1, False, n) for n in range(90)])
    world.land([(f"{n:02}", 2, False, n + 1) for n in range(90)])
    world.versions()
    before = world.org.tables.version("history/acme/contacts")
    world.land([("07", 3, False, 70), ("new", 3, False, 1)])
    world.versions()
    after = world.org.tables.version("history/acme/contacts")
    assert before is not None
    assert after is not None
    assert [p.stat().st_ino for p in after.base] == [p.stat().st_ino for p in before.base]
    assert pq.read_table(after.delta[0]).column("source_id").to_pylist() == ["07"] * 3
    assert pq.read_table(after.paths[-1]).column("contact_key").to_pylist() == ["acme:Contact:07"]


def test_what_is_kept_out_later_goes_from_the_past(org: Org) -> None:
    """A field that connections.yaml excludes is gone from all versions, also from those whose landed rows are gone."""
    open_fields = schema("Contact", "LastName", "Title", "Shoe")
    out = {"Title", "Shoe"}
    closed = replace(
        open_fields,
        fields=tuple(f for f in open_fields.fields if f.name not in out),
        left_out=tuple(
            replace(f, kept_out="excluded") for f in open_fields.fields if f.name in out
        ),
    )
    world = World(org, Landed())
    for day in (1, 2, 3):
        record = {"Id": "a", "LastName": f"v{day}", "Title": "secret", "Shoe": "hidden"}
        org.land(open_fields, [{**record, "SystemModstamp": f"2026-01-0{day}T00:00:00Z"}])
    org.normalize("contacts")
    assert "hidden" in str(org.rows("contacts", "title, custom", prefix="history"))
    assert world.retire() == 2
    org.land(closed, [{"Id": "b", "LastName": "b"}])
    org.normalize("contacts")
    assert [name for (name,) in org.rows("contacts", "last_name", prefix="history")] == [
        "v1",
        "v2",
        "v3",
    ]
    assert {title for (title,) in org.rows("contacts", "title", prefix="history")} == {None}
    assert "hidden" not in str(org.rows("contacts", "custom", prefix="history"))


@pytest.mark.parametrize("is_merged", [False, True])
def test_retention_changes_nothing_but_landing(world: World, *, is_merged: bool) -> None:
    """Tables and histories are the same before and after superseded versions went, and when all is built again."""
    for day in (1, 2, 3, 4):
        world.land([(f"{n:02}", day, day == 3 and n == 1, day * n) for n in range(20)])
    expected = world.versions()
    if is_merged:
        world.merge()
    table = world.org.rows("contacts", "* EXCLUDE (batch_id)")
    assert world.retire() == 60
    landed = world.org.landing.batches("acme", "Contact")
    assert sum(batch.records for batch in landed) == 20
    assert [c.differs_by for c in world.org.landing.windows("acme", "Contact")].count(None) > 0
    again = [f"{n:02}" for n in range(5)]
    world.land([(key, 5, False, 99) for key in again])
    expected = replayed(world.landed, dict.fromkeys(COLUMNS))
    assert world.versions() == expected
    assert world.retire() == 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "CODE_VERSION", 99)
        assert world.versions() == expected
    assert world.org.rows("contacts", "* EXCLUDE (batch_id)", where="source_id > '04'") == [
        row for row in table if row[2] > "04"
    ]


def test_retention_leaves_the_last_values_of_deleted_records(world: World) -> None:
    """Of a record whose last landed version says nothing but that it was deleted, the one with its values stays."""
    world.land([("a", 1, False, 1), ("b", 1, False, 1)])
    world.land([("a", 2, False, 2), ("b", 2, False, 2)])
    world.land([("a", 0, True, 0), ("b", 3, True, 0)])
    expected = world.versions()
    table = world.org.rows("contacts", "*")
    assert {row[-1] for row in world.org.rows("contacts", "source_id, is_deleted, last_name")} == {
        "v2"
    }
    assert world.retire() == 2
    world.land([("c", 1, False, 1)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "CODE_VERSION", 99)
        assert [row for row in world.versions() if row[0] != "c"] == expected
    assert world.org.rows("contacts", "*", where="source_id <> 'c'") == table


def test_retention_waits_for_the_history(world: World) -> None:
    """What the history does not know yet stays, and so does what was superseded later than the settings say."""
    world.land([("a", 1, False, 1)])
    world.land([("a", 2, False, 2)])
    assert world.retire() == 0  # nothing is built yet
    world.versions()
    world.land([("a", 3, False, 3)])
    assert world.retire() == 1  # the second version was current when the history was built
    world.versions()
    with world.org.engine() as engine:
        org = world.org
        long_ago = org.clock.now() - timedelta(days=1)
        options = (org.connection(), "Contact", org.landing, org.tables, org.maps, engine, long_ago)
        assert retire(*options) == 0
    assert world.retire() == 1


def test_a_version_that_cannot_be_read_is_none(org: Org) -> None:
    """A record without readable JSON is no version; those before and after it are."""
    for day, name in enumerate(("first", "broken", "last"), 1):
        stamp = f"2026-01-0{day}T00:00:00Z"
        record = {"Id": "a", "LastName": name, "SystemModstamp": stamp}
        org.land(CONTACT, [record], shape="json")
        if name == "broken":
            [batch] = org.landing.batches("acme", "Contact")[-1:]
            rows = pq.read_table(batch.path)
            spoilt = rows.set_column(
                rows.schema.get_field_index("record"), "record", pa.array(["{not json"])
            )
            pq.write_table(spoilt, batch.path)
            commit = org.landing.windows("acme", "Contact")[-1]
            done = replace(batch, **FileSum.of(batch.path).to_dict())
            recommit(org.landing.folder("acme", "Contact"), replace(commit, batches=(done,)))
    org.normalize("contacts")
    rows = org.rows("contacts", "last_name, day(valid_from), day(valid_to)", prefix="history")
    assert rows == [("first", 1, 3), ("last", 3, None)]


@pytest.mark.parametrize("file", ["base-00000.parquet", "version.json"])
def test_a_damaged_history_is_built_again(world: World, file: str) -> None:
    """Whatever file the disk has damaged, the next build writes the history from landing."""
    for day in (1, 2):
        world.land([(f"{n}", day, False, day) for n in range(3)])
    expected = world.versions()
    version = world.org.tables.version("history/acme/contacts")
    assert version is not None
    (version.base[0].parent / file).write_bytes(b"damaged")
    world.org.tables.verifier = Verifier()
    assert world.versions() == expected


class Killed(BaseException):
    """The process dies."""


def test_a_crash_in_retention_loses_nothing(tmp_path: Path) -> None:
    """Wherever the process dies, what landed is there as before or without what may go, and the next call ends it."""
    reached: list[str] = []
    points: list[str] = []
    built = World(Org(tmp_path / "built" / "data"), Landed())
    for day in (1, 2):
        built.land([(f"{n}", day, False, day) for n in range(3)])
    expected = built.versions()
    deaths = 0
    while deaths <= len(points):
        shutil.copytree(built.org.data, tmp_path / f"{deaths}" / "data")
        world = World(Org(tmp_path / f"{deaths}" / "data"), built.landed)
        world.org.objects = built.org.objects
        world.org.clock.advance(120)
        reached.clear()

        def watch(point: str, dies_at: int = deaths) -> None:
            reached.append(point)
            if len(reached) == dies_at:
                raise Killed

        with suppress(Killed), watching(watch):
            world.retire()
        points = points or list(reached)
        counted = sum(b.records for b in world.org.landing.batches("acme", "Contact"))
        assert counted in {6, 3}
        assert counted == 3 or world.versions(Tables(tmp_path / f"{deaths}" / "again")) == expected
        world.retire()
        assert sum(b.records for b in world.org.landing.batches("acme", "Contact")) == 3
        assert world.versions() == expected
        deaths += 1
    own = {point for point in POINTS if point.startswith("retired")}
    assert own == {point for point in points if point.startswith("retired")}


FAULTS = {
    "versions stand as they landed": (
        "_numbered",
        "ORDER BY _stamp NULLS FIRST, _place",
        "ORDER BY _place",
    ),
    "tombstones without a time come first": (
        "_numbered",
        "_stamp IS NULL OR coalesce(",
        "coalesce(",
    ),
    "contradicted tombstones stay": ("_numbered", "coalesce(_place < _whole, false)", "false"),
    "unchanged rows are versions": ("_validity", "len(changed_fields) > 0", "true"),
    "who came back came back when it says": ("_validity", "_stated < _gone_at", "false"),
    "unmoved values were so before they were read": ("_validity", "WHEN _is_unmoved", "WHEN false"),
    "a version ends when it was read": ("_validity", "lead(valid_from)", "lead(_seen_at)"),
    "changes are those since the first version": (
        "_compared",
        "lag(_id) OVER (",
        "first_value(CASE WHEN _position > 1 THEN _id END) OVER (",
    ),
    "deletions are no changes": (
        "_compared",
        'a."is_deleted" IS DISTINCT FROM p."is_deleted"',
        "false",
    ),
}
"""What goes wrong in histories: the step, a part of its SQL, and what somebody writes instead."""


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Records that are edited late, deleted with and without a time, restored, absent, and read again unchanged."""
    world = World(Org(tmp_path_factory.mktemp("eventful") / "data"), Landed())
    world.land([(key, 1, False, 1) for key in "abcdef"], complete=True)
    world.land([("a", 4, False, 2), ("b", 0, True, 1), ("c", 3, True, 1), ("d", 1, False, 1)])
    world.land([("a", 2, False, 3), ("b", 2, False, 1), ("e", 5, False, 2)])
    world.land([(key, 1, False, 1) for key in "bcd"] + [("a", 4, False, 2)], complete=True)
    world.land([("d", 1, False, 2), ("e", 6, False, 1), ("f", 1, False, 1)])
    return world


def test_an_eventful_past(eventful: World) -> None:
    """The history of such records is the replay."""
    assert eventful.versions() == replayed(eventful.landed, dict.fromkeys(COLUMNS))


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_seen(eventful: World, tmp_path: Path, fault: str) -> None:
    """Each rule of the order and of validity decides about some record."""
    step, part, instead = FAULTS[fault]
    plain = getattr(timeline, step)
    seen = []

    def wrong(*arguments: Any) -> str:
        sql: str = plain(*arguments)
        seen.append(part in sql)
        return sql.replace(part, instead)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timeline, step, wrong)
        found = eventful.versions(Tables(tmp_path))
    assert seen == [True]
    assert found != replayed(eventful.landed, dict.fromkeys(COLUMNS))


def test_without_absences_the_deleted_live_on(eventful: World, tmp_path: Path) -> None:
    """Complete reads that lack a record are seen in its history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "proofs", lambda *_: [])
        found = eventful.versions(Tables(tmp_path))
    assert found != replayed(eventful.landed, dict.fromkeys(COLUMNS))
