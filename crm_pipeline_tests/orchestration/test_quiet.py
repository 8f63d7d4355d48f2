"""A refresh of which a probe says that nothing changed: what it asks, what it leaves alone, and when it reads after all."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pytest

from crm_pipeline.orchestration.lineage import made
from crm_pipeline.orchestration.quiet import built_with, due_objects, is_settled
from crm_pipeline.orchestration.runs import run_refresh
from crm_pipeline.stages.raw import probe
from crm_pipeline.store.tables.published import Snapshots
from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.orchestration.watched import Watched, raw_objects, reason

OBJECTS = ("Contact", "Lead")


@pytest.fixture
def watched(make_harness: HarnessMaker) -> Iterator[Watched]:
    """Two objects that were read, and are noted as built; what there is is published."""
    with (
        make_harness(contacts=30, objects=OBJECTS) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        ready = Watched(harness, instance)
        ready.landed()
        connection = harness.settings.connection("demo")
        for table in made(connection):
            ready.crm.looks.was_built("demo", table, built_with(ready.crm, connection, table))
        ready.publish()
        harness.advance(60)
        yield ready


def state(watched: Watched) -> set[str]:
    """Return the files that a refresh might add to: what landed, tables, snapshots of the data."""
    data = watched.harness.settings.data
    found = [path for part in ("landing", "tables") for path in (data / part).rglob("*")]
    return {str(path) for path in [*found, *(data / "snapshots").glob("crm-*")] if path.is_file()}


def calls(watched: Watched) -> int:
    return len(watched.harness.sandbox.journal.entries(path="/query"))


def ops(watched: Watched, sql: str) -> list[tuple[Any, ...]]:
    path = watched.harness.settings.data / "ops.duckdb"
    with closing(duckdb.connect(str(path), read_only=True)) as file:
        file.execute("SET TimeZone = 'UTC'")
        return file.execute(sql).fetchall()


def test_a_quiet_refresh_asks_once_an_object_and_does_nothing_else(watched: Watched) -> None:
    """By the command line and by the schedule: one call an object, no run, no file of data; the file of operations
    says when it last looked, and that all is complete up to then."""
    before = state(watched)
    for look in ("command", "schedule"):
        watched.harness.advance(900)
        asked = calls(watched)
        if look == "command":
            done = run_refresh(
                watched.harness.settings, "demo", watched.instance, clock=watched.harness.clock
            )
            assert (done.is_success, done.run_id, done.calls) == (True, "", len(OBJECTS))
        else:
            assert "asked about 2 objects with 2 calls" in reason(watched.due())
        assert calls(watched) - asked == len(OBJECTS)
        now = watched.harness.clock.now()
        fresh = ops(watched, "SELECT DISTINCT current_at, looked_at FROM ops.freshness")
        assert fresh == [(now, now)]
    assert state(watched) == before
    rounds = ops(
        watched, "SELECT outcome, asked_by, count(*), sum(calls) FROM ops.probes GROUP BY ALL"
    )
    assert rounds == [("quiet", "refresh", 4, 4)]


def test_only_what_changed_is_read_and_the_rest_stays(watched: Watched) -> None:
    """The run has the raw asset of the changed object alone; its watermark moves, and that of the quiet one does not."""
    landing = watched.harness.landing
    marks = {obj: landing.watermark("demo", obj) for obj in OBJECTS}
    watched.edited("Changed")
    request = watched.due()
    assert raw_objects(request) == {"Contact"}
    assert watched.run(request).success
    after = {obj: landing.watermark("demo", obj) for obj in OBJECTS}
    assert after["Lead"] == marks["Lead"]
    assert after["Contact"] != marks["Contact"]
    assert watched.query("SELECT count(*) FROM crm.contacts WHERE title = 'Changed'") == [(1,)]


def test_a_late_commit_behind_a_quiet_probe_is_read_with_the_next_change(watched: Watched) -> None:
    """A quiet probe moves no watermark: a record that is committed late, under a time before that of records which
    have landed, still lies in what the next read covers, however many quiet refreshes there were."""
    harness, connection = watched.harness, watched.harness.settings.connection("demo")
    first, late, _ = (str(row["Id"]) for row in harness.org.rows("Contact")[:3])
    stamp = harness.clock.now()
    harness.org.edit("Contact", first, Title="In time")
    harness.advance(60)
    assert harness.extract("Contact", mode="refresh").records == 1
    mark = harness.landing.watermark("demo", "Contact")
    with harness.account() as account:
        for _ in range(2):
            harness.advance(900)
            assert (
                probe(account, connection.objects, harness.landing, watched.crm.looks).quiet
                == OBJECTS
            )
    assert harness.landing.watermark("demo", "Contact") == mark
    harness.org.edit("Contact", late, stamp=stamp - timedelta(seconds=1), Title="Late")
    harness.advance(60)
    with harness.account() as account:
        seen = probe(account, connection.objects, harness.landing, watched.crm.looks)
    assert seen.quiet == ("Lead",)
    assert harness.extract("Contact", mode="refresh").records == 1


def test_what_landed_and_was_not_built_is_no_quiet_refresh(watched: Watched) -> None:
    """A run that died after it had landed something leaves tables without it: the next refresh runs, though the CRM is
    quiet."""
    crm, connection = watched.crm, watched.harness.settings.connection("demo")
    watched.edited("Landed")
    watched.harness.extract("Contact", mode="refresh")
    watched.harness.advance(60)
    assert not is_settled(crm, connection)
    assert due_objects(crm, connection, OBJECTS).objects == OBJECTS


def test_what_landed_and_was_not_built_does_not_count_as_published(watched: Watched) -> None:
    """While a run builds, or after one that died in between, the tables are complete up to what they were built from.
    A quiet look moves the time again once they have what landed."""
    crm = watched.crm

    def complete_up_to() -> datetime | None:
        return next(row.current_at for row in crm.freshness("demo") if row.object == "Contact")

    crm.looks.was_built("demo", "contacts", "made with something else")
    watched.harness.advance(900)
    assert watched.run(watched.due()).success
    before = complete_up_to()
    watched.edited("Landed")
    watched.harness.extract("Contact", mode="refresh")
    assert complete_up_to() == before
    watched.harness.advance(900)
    assert watched.run(watched.due()).success
    built = complete_up_to()
    assert before is not None
    assert built is not None
    assert built > before
    later = built + timedelta(seconds=10)
    watched.harness.advance(60)
    crm.looks.was_read("demo", "Contact", later)
    assert complete_up_to() == later


def test_a_field_whose_history_is_not_filled_is_no_quiet_refresh(watched: Watched) -> None:
    """An object that lacks values of a new field is read although its probe is quiet, and the run fills it; after that a quiet
    probe stands for a read again."""
    harness, connection = watched.harness, watched.harness.settings.connection("demo")
    harness.org.add_field("Contact", "Shoe_Size__c", value="forty-two")
    harness.extract("Contact", mode="refresh")
    watched.crm.looks.was_read("demo", "Contact", harness.landing.watermark("demo", "Contact"))
    for table in made(connection):
        watched.crm.looks.was_built("demo", table, built_with(watched.crm, connection, table))
    harness.advance(900)
    due = due_objects(watched.crm, connection, OBJECTS, waits=False)
    assert (due.objects, due.quiet) == (("Contact",), ("Lead",))
    run = watched.run(watched.due())
    assert run.success
    [shown] = [
        event.materialization.metadata
        for event in run.get_asset_materialization_events()
        if "field_backfill" in event.materialization.metadata
    ]
    assert (shown["field_backfill"].value, shown["field_backfill_left"].value) == ("complete", 0)
    assert shown["field_backfill_filled"].value == len(harness.org.rows("Contact"))
    assert shown["field_backfill_read"].value == len(harness.org.rows("Contact"))
    contacts = len(harness.org.rows("Contact"))
    assert watched.query(
        "SELECT count(*) FROM crm_demo.contact WHERE \"Shoe Size\" = 'forty-two'"
    ) == [(contacts,)]
    assert ops(watched, "SELECT fields, state, records_left FROM ops.field_backfills") == [
        ("Shoe_Size__c", "complete", 0)
    ]
    harness.advance(900)
    assert due_objects(watched.crm, connection, OBJECTS, waits=False).quiet == OBJECTS


def test_quiet_probes_do_not_stand_for_reads_for_ever(watched: Watched) -> None:
    """After the time that limits.yaml states, every object is read again, though probes are quiet; also where the
    clock was set back, so that the last read lies in the future."""
    watched.harness.advance(21_600)
    assert raw_objects(watched.due()) in (set(), set(OBJECTS))
    assert isinstance(watched.due(), dg.RunRequest)
    watched.harness.clock.advance(-2 * 86_400)
    assert (
        due_objects(watched.crm, watched.harness.settings.connection("demo"), OBJECTS).quiet == ()
    )


def test_what_is_to_be_built_or_published_is_no_quiet_refresh(watched: Watched) -> None:
    """A table that is held back, a snapshot that is gone, a failing object, a mapping that changed: the run takes
    place, because it is the one that mends it."""
    crm, connection = watched.crm, watched.harness.settings.connection("demo")
    assert is_settled(crm, connection)
    crm.looks.held_back("demo", "contacts")
    assert not is_settled(crm, connection)
    watched.harness.advance(900)
    assert isinstance(watched.due(), dg.RunRequest)
    crm.looks.was_built("demo", "contacts", "made with something else")
    assert not is_settled(crm, connection)
    assert watched.run(watched.due()).success
    assert is_settled(crm, connection)
    crm.looks.failed("demo", "Lead", ValueError("gone"))
    assert not is_settled(crm, connection)
    crm.looks.was_read("demo", "Lead", None)
    shown = Snapshots(watched.harness.settings.data).current()
    assert shown is not None
    shown.write_bytes(shown.read_bytes()[:-1])
    assert not is_settled(crm, connection)


def test_a_probe_without_a_permit_is_no_proof_of_quiet(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An object that was skipped is read, and so is everything where the account cannot be asked at all."""
    connection = watched.harness.settings.connection("demo")
    faults = watched.harness.sandbox.faults
    faults.order("status", path="/queryAll", times=1, status=403, body=_BUSY)
    due = due_objects(watched.crm, connection, OBJECTS, waits=False)
    assert (due.objects, due.quiet) == (("Contact",), ("Lead",))
    faults.order("status", status=500, times=99)
    monkeypatch.setenv("CRM_PATIENCE_S", "1")
    assert due_objects(watched.crm, connection, OBJECTS, waits=False).objects == OBJECTS


_BUSY = '[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]'
