"""What people do to records, while they are read and between two reads; nothing is lost and nothing stays alive."""

from collections.abc import Callable
from contextlib import closing
from random import Random

from crm_pipeline.connectors.registry import connector
from crm_pipeline.stages.normalized import normalize
from crm_pipeline.stages.published import publish
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.conformance import Case, Way
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness, through_proxy
from crm_pipeline_tests.connectors.conftest import HarnessOf

KINDS = ("edit", "edit", "create", "delete", "restore", "merge")
ROUNDS = 2


def change(harness: ConformanceHarness, kind: str, pick: int) -> None:
    """Do one thing to some record."""
    case, emulator = harness.case, harness.emulator
    keys = sorted(case.live(emulator))
    key, text = keys[pick % len(keys)], {case.text: f"{kind} {pick}"}
    gone = sorted(case.deleted_ids(emulator))
    if kind == "edit":
        emulator.edit(case.object, key, **text)
    elif kind == "create":
        emulator.create(case.object, **case.fresh, **text)
    elif kind == "delete" and len(keys) > 20 and not harness.reads_snapshots:
        emulator.delete(case.object, key)
    elif kind == "merge" and len(keys) > 20 and "losers" not in case.lacks:
        emulator.merge(case.object, key, keys[(pick + 7) % len(keys)])
    elif kind == "restore" and gone:
        emulator.restore(case.object, gone[pick % len(gone)])


def test_records_that_change_while_they_are_read(way: Way, alone: HarnessOf) -> None:
    """Whoever edits, creates, deletes, restores or merges between which pages: this window and the next hold the
    newest version of every record."""
    harness = alone(way.case)
    for number in range(ROUNDS):
        chance = Random(number)
        harness.advance(60)
        with through_proxy(harness, way.route) as proxy:
            for kind in chance.sample(KINDS, len(KINDS)):
                # Behind the first page, so that records are changed which were read already.
                proxy.before(chance.randint(2, 4), _change(harness, kind, chance.randint(0, 60)))
            harness.read(way.route)
        assert len(proxy.pages) >= 4
        harness.advance(60)
        harness.read(way.route, mode="refresh")
        landed = {key: way.case.text_of(version.record) for key, version in harness.live().items()}
        assert landed == {key: record.text for key, record in harness.emulated().items()}


def _change(harness: ConformanceHarness, kind: str, pick: int) -> Callable[[], None]:
    return lambda: change(harness, kind, pick)


def test_the_published_table_is_the_account(case: Case, alone: HarnessOf) -> None:
    """After a first read, and after an edit, a new, a deleted, a restored and two merged records, analysts find
    each live record once, with its text, and no other."""
    harness = alone(case)
    _read_and_compare(harness)
    emulator, obj = harness.emulator, case.object
    first, second, third, fourth, *_ = sorted(case.live(emulator))
    gone = sorted(case.deleted_ids(emulator))[:1]
    harness.advance(3600)
    emulator.edit(obj, first, **{case.text: '01234\n"NA", 😀'})
    emulator.delete(obj, second)
    emulator.merge(obj, third, fourth)
    emulator.create(obj, **case.fresh, **{case.text: "NULL"})
    for key in gone:
        emulator.restore(obj, key)
    harness.advance(60)
    _read_and_compare(harness)


def _read_and_compare(harness: ConformanceHarness) -> None:
    harness.extract(mode="refresh", whole=harness.reads_snapshots)
    case, connection = harness.case, harness.settings.connection("demo")
    tables = Tables(harness.settings.data)
    with Engine(harness.settings.data / "tmp", memory_limit="512MB", threads=1) as engine:
        maps = connector(case.vendor).mapping
        normalize(connection, case.table, harness.landing, tables, maps, engine=engine)
        publish(harness.landing, tables, engine)
    columns = f"source_id, {case.column}"
    with closing(open_published(harness.settings.data)) as database:
        rows = database.execute(
            f"SELECT {columns} FROM crm.{case.table} WHERE NOT is_deleted"
        ).fetchall()
    assert len(rows) == len(dict(rows))
    assert dict(rows) == {key: one.text for key, one in harness.emulated().items()}
