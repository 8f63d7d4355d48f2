"""A person is found everywhere before, and nowhere after."""

from crm_pipeline.erasure import run
from crm_pipeline.store.scrub import scrub
from crm_pipeline_tests.erasure.conftest import CANARIES, EMAIL, World


def test_a_person_is_erased_everywhere(world: World) -> None:
    """By address: own records and own activities go from all stores; `scrub` stays green, counts stay truthful."""
    before = world.left()
    assert before.keys() == CANARIES.keys()
    planned = run.plan(world.harness.settings, EMAIL.upper(), world.harness.database)
    assert world.left() == before
    assert {str(record) for record in planned.found.subject.records} == {
        world.key,
        f"demo:{world.note_object}:{world.note}",
    }
    windows = {
        commit.window_id: commit.records
        for obj in (world.contact_object, world.note_object)
        for commit in world.harness.landing.windows("demo", obj)
    }

    done = run.apply(world.harness.settings, EMAIL, world.harness.database)

    assert world.left() == {}
    assert done.is_proven
    assert [(e.store, e.rows, e.values) for e in done.erased] == [
        (e.store, e.rows, e.values) for e in planned.erased
    ]
    assert scrub(world.data).corruption == ()
    for obj in (world.contact_object, world.note_object):
        for commit in world.harness.landing.windows("demo", obj):
            assert commit.records + commit.erased == windows[commit.window_id]
            assert commit.differs_by in (0, None)
            assert {batch.rewritten for batch in commit.batches if batch.erased} <= {"erased"}
