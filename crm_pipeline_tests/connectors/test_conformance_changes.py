"""What people do to records, while they are read and between two reads; nothing is lost and nothing stays alive."""

from collections.abc import Callable
from contextlib import closing

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.registry import connector
from crm_pipeline.stages.normalized import normalize
from crm_pipeline.stages.published import publish
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.conformance import Case, Way
from crm_pipeline_tests.connectors.conformance_stage import Stage, meddling
from crm_pipeline_tests.connectors.conftest import QuietStage

KINDS = ("edit", "edit", "create", "delete", "restore", "merge")
STEPS = st.lists(
    st.tuples(st.integers(1, 7), st.sampled_from(KINDS), st.integers(0, 60)), max_size=8
)


def change(stage: Stage, kind: str, pick: int) -> None:
    """Do one thing to some record."""
    case, twin = stage.case, stage.twin
    keys = sorted(case.told(twin))
    key, text = keys[pick % len(keys)], {case.text: f"{kind} {pick}"}
    gone = sorted(case.gone(twin))
    if kind == "edit":
        twin.edit(case.object, key, **text)
    elif kind == "create":
        twin.create(case.object, **case.fresh, **text)
    elif kind == "delete" and len(keys) > 20 and not stage.reads_snapshots:
        twin.delete(case.object, key)
    elif kind == "merge" and len(keys) > 20 and "losers" not in case.lacks:
        twin.merge(case.object, key, keys[(pick + 7) % len(keys)])
    elif kind == "restore" and gone:
        twin.restore(case.object, gone[pick % len(gone)])


def test_records_that_change_while_they_are_read(way: Way, alone: QuietStage) -> None:
    """Whoever edits, creates, deletes, restores or merges between which pages: this window and the next hold the
    newest version of every record."""
    stage = alone(way.case)

    # One world goes through all examples, so that a failure cannot be made smaller.
    @settings(max_examples=2, phases=[Phase.generate])
    @given(STEPS)
    def holds(steps: list[tuple[int, str, int]]) -> None:
        stage.advance(60)
        with meddling(stage, way.route) as meddler:
            for nth, kind, pick in steps:
                meddler.before(nth, _change(stage, kind, pick))
            stage.read(way.route)
        stage.advance(60)
        stage.read(way.route, mode="refresh")
        landed = {key: way.case.text_of(one.record) for key, one in stage.live().items()}
        assert landed == {key: one.text for key, one in stage.told().items()}

    holds()


def _change(stage: Stage, kind: str, pick: int) -> Callable[[], None]:
    return lambda: change(stage, kind, pick)


def test_the_published_table_is_the_account(case: Case, alone: QuietStage) -> None:
    """After a first read, and after an edit, a new, a deleted, a restored and two merged records, analysts find
    each live record once, with its text, and no other."""
    stage = alone(case)
    _read_and_compare(stage)
    twin, obj = stage.twin, case.object
    first, second, third, fourth, *_ = sorted(case.told(twin))
    gone = sorted(case.gone(twin))[:1]
    stage.advance(3600)
    twin.edit(obj, first, **{case.text: '01234\n"NA", 😀'})
    twin.delete(obj, second)
    twin.merge(obj, third, fourth)
    twin.create(obj, **case.fresh, **{case.text: "NULL"})
    for key in gone:
        twin.restore(obj, key)
    stage.advance(60)
    _read_and_compare(stage)


def _read_and_compare(stage: Stage) -> None:
    stage.extract(mode="refresh", whole=stage.reads_snapshots)
    case, connection = stage.case, stage.settings.connection("demo")
    tables = Tables(stage.settings.data)
    with Engine(stage.settings.data / "tmp", memory_limit="512MB", threads=1) as engine:
        maps = connector(case.vendor).mapping
        normalize(connection, case.table, stage.landing, tables, maps, engine=engine)
        publish(stage.landing, tables, engine)
    columns = f"source_id, {case.column}"
    with closing(open_published(stage.settings.data)) as database:
        rows = database.execute(
            f"SELECT {columns} FROM crm.{case.table} WHERE NOT is_deleted"
        ).fetchall()
    assert len(rows) == len(dict(rows))
    assert dict(rows) == {key: one.text for key, one in stage.told().items()}
