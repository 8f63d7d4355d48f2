"""`ops.duckdb`: the state of operations apart from the data."""

import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.failpoint import watching
from crm_pipeline.stages.published import ApiAccounts, OpsSources, publish_ops
from crm_pipeline.store.erasing import Subject
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.probes import Answer, ProbeHistory
from crm_pipeline.store.sweeps import SweepResult, Sweeps
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.erasing_ops import OpsStore
from crm_pipeline.store.tables.ops_files import OpsFiles
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.freshness import looked_at

QUIET = {"Contact": Answer("quiet", 1, 0), "Lead": Answer("skipped", reason="No permit is free.")}


class Ops:
    """A data folder with nothing in it but operations."""

    def __init__(self, data: Path, database: Database) -> None:
        self.data = data
        self.clock = FrozenClock("2026-11-23T10:00:00Z")
        self.history = ProbeHistory(database)

    def probed(self) -> None:
        self.clock.advance(60)
        self.history.add("acme", "sensor", self.clock.now(), QUIET)

    def build(self, *, is_database_up: bool = True) -> Path:
        landing = Landing(self.data, self.clock)
        fresh = looked_at("Contact", self.clock.now(), tables=("contacts",))
        of = OpsSources([fresh], ApiAccounts(), self.history if is_database_up else None)
        with Engine(self.data / "tmp", threads=1) as engine:
            return publish_ops(landing, Tables(self.data), engine, ["acme"], of)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the file as anybody would, with nothing of ours."""
        with closing(duckdb.connect(str(self.data / "ops.duckdb"), read_only=True)) as file:
            file.execute("SET TimeZone = 'UTC'")
            return file.execute(sql).fetchall()


@pytest.fixture
def ops(tmp_path: Path, database: Database) -> Ops:
    return Ops(tmp_path, database)


def test_each_file_says_what_is_known_when_it_is_built(ops: Ops) -> None:
    """A later look is seen without any change of data; rounds are there once each, in the order of their numbers, also
    those that were copied; a clock that was set back changes nothing of that."""
    for minutes in range(3):
        ops.probed()
        path = ops.build()
        now = ops.clock.now()
        assert ops.ask("SELECT looked_at FROM ops.freshness") == [(now,)]
        assert len(ops.ask("SELECT DISTINCT round FROM ops.probes")) == minutes + 1
    ops.clock.advance(-86_400)
    ops.probed()
    assert ops.build() != path
    assert ops.ask("SELECT built_at FROM ops.publication") == [(ops.clock.now(),)]
    rounds = ops.ask(
        "SELECT round, object, outcome, calls, reason FROM ops.probes ORDER BY round, object"
    )
    expected = [
        (each.number, obj, answer.outcome, answer.calls, answer.reason or None)
        for each in ops.history.rounds()
        for obj, answer in sorted(each.answers.items())
    ]
    assert rounds == expected
    fresh = "SELECT passed, detail FROM ops.checks WHERE check_name = 'freshness'"
    assert ops.ask(fresh) == [(True, "What is here is complete up to 2026-11-22T10:04:00Z.")]


def test_rounds_are_copied_and_read_again_where_they_cannot_be(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 rounds only the last are read from PostgreSQL; without it the rounds of the file before are shown; a
    damaged file before, and a database that begins anew, are no obstacle."""
    for _ in range(300):
        ops.probed()
    ops.build()
    ops.probed()
    read: list[int] = []
    rounds = ops.history.rounds
    monkeypatch.setattr(
        ops.history, "rounds", lambda after: read.append(after) or rounds(after=after)
    )
    ops.build()
    [last] = ops.ask("SELECT max(round) FROM ops.probes")
    assert read[0] > last[0] - 150
    count = "SELECT count(*), count(DISTINCT round) FROM ops.probes"
    assert ops.ask(count) == [(602, 301)]
    ops.build(is_database_up=False)
    assert ops.ask(count) == [(602, 301)]
    path = ops.build()
    path.write_bytes(b"not a database")
    ops.build()
    assert ops.ask(count) == [(602, 301)]
    with ops.history._database.transaction() as cursor:
        cursor.execute("TRUNCATE crm_state.probes RESTART IDENTITY")
    ops.probed()
    ops.build()
    assert ops.ask(count) == [(2, 1)]


def test_readers_are_not_disturbed_while_it_is_replaced(ops: Ops) -> None:
    """Readers with plain DuckDB see a whole file each time, and one at least as new as the last; few files stay."""
    ops.probed()
    ops.build()
    done, errors, seen = threading.Event(), [], []

    def read() -> None:
        while not done.wait(0.02):  # a reader without a pause takes half of the test's CPU
            try:
                seen.append(
                    ops.ask(
                        "SELECT built_at, (SELECT count(*) FROM ops.freshness) FROM ops.publication"
                    )
                )
            except duckdb.Error as error:
                errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(25):
        ops.probed()
        ops.build()
    done.set()
    reader.join()
    assert errors == []
    assert seen
    assert seen == sorted(seen)
    assert {rows for [(_, rows)] in seen} == {1}
    assert len(list((ops.data / "snapshots").glob("*ops-*"))) <= 22


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("point", ["ops.written", "ops.named", "ops.swapped"])
def test_a_builder_that_dies_leaves_a_file_that_can_be_read(ops: Ops, point: str) -> None:
    """The file before or the new one is in place, whole, and the next build needs nobody."""
    ops.probed()
    ops.build()
    ops.probed()

    def die(reached: str) -> None:
        if reached == point:
            raise Killed

    with watching(die), pytest.raises(Killed):
        ops.build()
    assert len(ops.ask("SELECT DISTINCT round FROM ops.probes")) in (1, 2)
    ops.build()
    assert len(ops.ask("SELECT DISTINCT round FROM ops.probes")) == 2


def test_its_files_are_private_and_of_no_age_where_the_clock_says_so(ops: Ops) -> None:
    """Only the user reads it, as all files for analysts unless they are shared; a file of the future has no age."""
    files = OpsFiles(ops.data)
    assert files.age(ops.clock.now()) is None
    path = ops.build()
    assert path.stat().st_mode & 0o077 == 0
    written = path.stat().st_mtime
    now = ops.clock.now().fromtimestamp(written, ops.clock.now().tzinfo)
    assert files.age(now + timedelta(seconds=9)) == timedelta(seconds=9)
    assert files.age(now - timedelta(days=1)) is None


def test_queries_have_it_beside_the_data(ops: Ops) -> None:
    """A query over crm.duckdb reads it as `ops_now`, and nothing else on this machine; a damaged one is left out."""
    ops.build()
    crm = ops.data / "snapshots" / "crm-00000001-test.duckdb"
    with closing(duckdb.connect(str(crm))) as file:
        file.execute("CREATE SCHEMA ops; CREATE TABLE ops.publication AS SELECT 1 AS release")
    (ops.data / "crm.duckdb").symlink_to(crm.relative_to(ops.data))
    both = "SELECT release, (SELECT object FROM ops_now.ops.freshness) FROM ops.publication"
    with closing(open_published(ops.data)) as closed:
        assert closed.execute(both).fetchall() == [(1, "Contact")]
        with pytest.raises(duckdb.PermissionException):
            closed.execute(f"ATTACH '{ops.data / 'other.duckdb'}' AS another")
    ops.build().write_bytes(b"not a database")
    with closing(open_published(ops.data)) as closed:
        assert closed.execute("SELECT release FROM ops.publication").fetchall() == [(1,)]


def test_a_text_that_quotes_an_erased_person_goes(ops: Ops) -> None:
    """It holds no records; where an error quotes an address, the file is removed, and built again from what is erased."""
    subject = Subject(addresses=frozenset({"ada@acme.example"}))
    store = OpsStore(ops.data)
    ops.probed()
    ops.build()
    assert store.erase(subject, apply=True).files == []
    said = {"Contact": Answer("failed", 1, None, "Duplicate of ada@acme.example.")}
    ops.history.add("acme", "sensor", ops.clock.now(), said)
    path = ops.build()
    assert (store.erase(subject).values, store.erase(subject).files) == (1, [path])
    assert path.exists()
    store.erase(subject, apply=True)
    assert not path.exists()
    assert OpsFiles(ops.data).current() is None


def test_sweeps_are_shown_at_once(ops: Ops) -> None:
    """What a sweep compared and landed is in the next file; only the last one of the same values is the latest."""
    sweeps, now = Sweeps(ops.data), ops.clock.now()
    for landed in (2, 0):
        now += timedelta(days=1)
        done = SweepResult(
            "Contact", "fields", "computed fields", now, 9, landed, landed, 4, 4, is_complete=True
        )
        sweeps.add("acme", [done])
    ops.build()
    rows = ops.ask(
        "SELECT object, kind, compared, landed, error, is_latest FROM ops.sweeps ORDER BY swept_at"
    )
    assert rows == [
        ("Contact", "fields", 9, 2, None, False),
        ("Contact", "fields", 9, 0, None, True),
    ]
