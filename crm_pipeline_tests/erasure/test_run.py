"""A person is found everywhere before, and nowhere after."""

import zipfile
from datetime import timedelta

from crm_pipeline.erasure import run
from crm_pipeline.erasure.needles import Needles
from crm_pipeline.erasure.search import search
from crm_pipeline.stages.verified.dns_cache import StoredAnswers
from crm_pipeline.store.scrub import scrub
from crm_pipeline.store.tables.published import open_published
from crm_pipeline.store.tokens import backup as backups
from crm_pipeline.store.tokens.state_key import StateKey
from crm_pipeline.verification import DomainAnswer, EmailReason
from crm_pipeline_tests.erasure.conftest import (
    CANARIES,
    EMAIL,
    World,
)


class Killed(BaseException):
    """The process ends here."""


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

    harness = world.harness
    now = harness.clock.now()
    answers = StoredAnswers(harness.database)
    domains = ("canary-post.example", "else.example")
    later = now + timedelta(days=9)
    answers.put([DomainAnswer(name, EmailReason.NO_MX, now, later) for name in domains])
    done = run.apply(harness.settings, EMAIL, harness.database, harness.clock)

    assert world.left() == {}
    assert done.is_proven
    assert answers.get(domains, now).keys() == {"else.example"}
    assert [(e.store, e.rows, e.values) for e in done.erased] == [
        (e.store, e.rows + (e.store == "answers of DNS"), e.values) for e in planned.erased
    ]
    assert scrub(world.data).corruption == ()
    for obj in (world.contact_object, world.note_object):
        for commit in world.harness.landing.windows("demo", obj):
            assert commit.records + commit.erased == windows[commit.window_id]
            assert commit.differs_by in (0, None)
            assert {batch.rewritten for batch in commit.batches if batch.erased} <= {"erased"}
    _not_brought_back(world)


def _not_brought_back(world: World) -> None:
    """A refresh and a backfill, on each route, leave the person out; a record created later lands; backups are clean."""
    world.harness.advance(3_600)
    world.read(mode="refresh")
    for route in {"salesforce": ("rest", "bulk"), "hubspot": ("search",)}[
        world.harness.case.vendor
    ]:
        assert world.read(route=route).reconciled
    world.read(world.note_object)
    assert world.left() == {}
    commit = world.harness.landing.windows("demo", world.contact_object)[-1]
    assert (commit.withheld, commit.differs_by) == (1, 0)
    is_first = world.harness.case.vendor == "salesforce"  # what follows is the same code for all
    if is_first:
        _backed_up(world)
    again = world.plant_again()
    world.harness.advance(3_600)
    assert world.read(mode="refresh").records == 1
    if not is_first:
        return
    world.build()
    with open_published(world.data) as database:
        [(found,)] = database.execute(
            "SELECT source_id FROM crm.contacts WHERE lower(email) = ?", [EMAIL.lower()]
        ).fetchall()
    assert found == again


def _backed_up(world: World) -> None:
    """A backup holds nothing of the person, and brings the tombstones back."""
    target = world.data.parent / "state.zip"
    key = StateKey.of(world.harness.settings)
    now = world.harness.clock.now()
    backups.backup(world.harness.database, key, target, now, world.data)
    assert search(target.parent, Needles(CANARIES.items())).found == {}
    assert "erased.json" in zipfile.ZipFile(target).namelist()
    (world.data / "erased.json").unlink()
    backups.restore(world.harness.database, key, target, is_replacing=True, data=world.data)
