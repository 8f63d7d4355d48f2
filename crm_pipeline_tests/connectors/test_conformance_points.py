"""Single records by their ids: whole, each id answered, and nothing else changed; for each vendor."""

from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import PointRead, probe, read_points
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.test_conformance_shrink import CADENCE_S, alive, blind

MALFORMED = "no id at all"


def points(harness: ConformanceHarness, *ids: str) -> PointRead:
    """Read records of the case's object by their ids."""
    with harness.account() as account:
        done = read_points(account, ObjectSettings(harness.object), ids, landing=harness.landing)
        assert done.calls == account.usage.calls
        return done


def statuses(done: PointRead) -> dict[str, str]:
    return {one: outcome.status for one, outcome in done.outcomes.items()}


def test_records_by_their_ids(case: Case, quiet: HarnessOf) -> None:
    """Records are those that another client gets, each once, and every id has an outcome; calls are counted as the
    vendor counts them, no id costs none, and a record that the login may not see is not said to be deleted."""
    harness = quiet(case)
    wanted = sorted(harness.emulated())[:25]
    before = {day.operation: day.calls for day in harness.accounts()}
    done = points(harness, *wanted, MALFORMED, wanted[0], case.unknown)
    calls = len(harness.calls())
    now = {day.operation: day.calls for day in harness.accounts()}
    spent = sum(number - before.get(name, 0) for name, number in now.items())
    assert spent == done.calls == calls
    assert (points(harness).calls, len(harness.calls())) == (0, calls)
    assert statuses(done) == {
        **dict.fromkeys(wanted, "read"),
        MALFORMED: "malformed",
        case.unknown: "not_found",
    }
    assert all(outcome.reason for one, outcome in done.outcomes.items() if one not in wanted)
    plain, fetched = case.normal_form, case.fetch(harness.sandbox.url)
    landed = {one.id: plain(one.record) for one in harness.versions()}
    assert landed == {key: plain(fetched[key]) for key in wanted}
    assert len(harness.versions()) == len(wanted) == done.records
    with blind(harness):
        unseen = points(harness, *wanted[:2])
    assert "deleted" not in statuses(unseen).values()


def test_points_say_nothing_of_the_object(case: Case, alone: HarnessOf) -> None:
    """What the vendor says is deleted is so in the table at once. Watermark, probe and what a refresh lands are as if
    nobody had read records by their ids, before the first read of the object and after it."""
    harness = alone(case)
    first, second, gone, lost, *_ = sorted(harness.emulated())
    points(harness, first)
    assert harness.landing.watermark("demo", case.object) is None
    harness.extract(mode="refresh")
    watermark = harness.landing.watermark("demo", case.object)
    assert alive(harness) == set(harness.emulated())
    harness.advance(CADENCE_S)
    for key in (first, second):
        harness.emulator.edit(case.object, key, **{case.text: f"Edited {key}"})
    harness.emulator.delete(case.object, gone)
    harness.emulator.hard_delete(case.object, lost)
    harness.advance(CADENCE_S)
    done = points(harness, first, gone, lost)
    assert statuses(done)[first] == "read"
    assert statuses(done)[gone] == "deleted"
    assert statuses(done)[lost] in {"deleted", "not_found"}
    assert harness.landing.watermark("demo", case.object) == watermark
    said = {key for key, status in statuses(done).items() if status == "deleted"}
    assert alive(harness) == set(harness.emulated()) | ({gone, lost} - said)
    assert case.text_of(harness.live()[first].record) == f"Edited {first}"
    with harness.account() as account:
        news = probe(account, [ObjectSettings(case.object)], harness.landing).news
    assert [one.changed > one.landed for one in news] == [True]
    landed = harness.extract(mode="refresh")
    assert {first, second} <= {
        one.id for one in harness.versions() if one.extracted_at == harness.clock.now()
    }
    assert landed.records >= 2
    assert case.text_of(harness.live()[second].record) == f"Edited {second}"
    with harness.account() as account:
        assert not probe(account, [ObjectSettings(case.object)], harness.landing).news
