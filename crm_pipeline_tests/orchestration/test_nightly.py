"""The nightly read of the running month: it heals what look-backs missed, says so, and stays within its share."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crm_pipeline.kernel.clock import Month
from crm_pipeline.model.account import AccountFacts
from crm_pipeline.orchestration import nightly
from crm_pipeline.orchestration.jobs import Jobs
from crm_pipeline.orchestration.nightly import Price, nightly_schedules, requested
from crm_pipeline.orchestration.partitions import range_tags
from crm_pipeline.settings import Settings
from crm_pipeline.stages.published.operations import windows
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.account_facts import facts_path, note_facts
from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.orchestration.projects import make_settings
from crm_pipeline_tests.orchestration.watched import Watched, raw_objects, reason

NOVEMBER, DECEMBER = Month(2026, 11), Month(2026, 12)
DAY_S = 86_400


@pytest.fixture
def watched(make_harness: HarnessMaker) -> Iterator[Watched]:
    with (
        make_harness(contacts=30, objects=("Contact", "Lead", "OpportunityStage")) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        watching = Watched(harness, instance)
        watching.landed()
        yield watching


def night(watched: Watched) -> dg.RunRequest | dg.SkipReason:
    return requested(watched.crm, watched.harness.settings.connection("demo"), watched.instance)


def months(request: dg.RunRequest | dg.SkipReason) -> tuple[Month, Month] | None:
    """Return the first and the last month that a request reads."""
    pairs = [(NOVEMBER, NOVEMBER), (NOVEMBER, DECEMBER), (DECEMBER, DECEMBER)]
    assert isinstance(request, dg.RunRequest), request
    return next((p for p in pairs if range_tags(*p).items() <= dict(request.tags).items()), None)


def test_what_the_look_back_missed_is_healed_and_reported(watched: Watched) -> None:
    """Records committed too late for every refresh land in the night, each kind with its number, and no others do. What
    came since the last refresh was not missed. The next night finds nothing."""
    org, harness = watched.harness.org, watched.harness
    harness.advance(3_600)
    rows = [str(row["Id"]) for row in org.rows("Contact")]
    org.create("Contact", LastName="Late", stamp="2026-11-10T00:00:00Z")
    org.edit("Contact", rows[0], Title="Late as well", stamp="2026-11-20T00:00:00Z")
    org.edit("Contact", rows[1], IsDeleted=True, stamp="2026-11-20T00:00:00Z")
    org.edit("Contact", rows[2], stamp="2026-11-23T10:30:00Z")
    assert harness.extract(mode="refresh").records == 1
    org.formula_change("Contact", rows[2], Title="Computed")
    harness.advance(7_200)
    org.create("Contact", LastName="Just now")
    harness.advance(60)

    request = night(watched)
    assert months(request) == (NOVEMBER, NOVEMBER)
    done = watched.run(request, "Contact")
    assert done.success
    shown = done.asset_materializations_for_node("demo__raw__Contact")[0].metadata
    numbers = {
        name: shown[f"records_missed_by_refreshes{name}"].value
        for name in ("", "_new", "_changed", "_deleted")
    }
    assert numbers == {"": 3, "_new": 1, "_changed": 1, "_deleted": 1}
    assert shown["records_changed_without_time_stamp"].value == 1
    assert shown["records_landed"].value == 5
    lines = [record.user_message for record in watched.instance.all_logs(done.run_id)]
    assert any("refreshes have missed 3 records (1 new, 1 changed, 1 deleted)" in s for s in lines)

    listed = windows(watched.crm.landing, ["demo"]).arrow.to_pylist()
    assert [row["missed"] for row in listed if row["object"] == "Contact"] == [None, None, 3]
    again = watched.run(night(watched), "Contact")
    shown = again.asset_materializations_for_node("demo__raw__Contact")[0].metadata
    assert [shown[n].value for n in ("records_missed_by_refreshes", "records_landed")] == [0, 0]


def test_the_month_before_is_read_again_once(watched: Watched) -> None:
    """From its end on until that was done, in the first week; snapshots and failing objects are left out."""
    watched.harness.advance(8 * DAY_S)
    request = night(watched)
    assert months(request) == (NOVEMBER, DECEMBER)
    job = watched.defs.resolve_job_def("demo_nightly")
    raw = {k.path[-1] for k in job.asset_layer.selected_asset_keys if k.path[1] == "raw"}
    assert raw == {"Contact", "Lead"}
    assert watched.run(request, "Contact", "Lead").success
    watched.harness.advance(DAY_S)
    assert months(night(watched)) == (DECEMBER, DECEMBER)
    watched.crm.looks.failed("demo", "Lead", ValueError("gone"), run="r")
    assert raw_objects(night(watched)) == {"Contact"}
    watched.crm.looks.failed("demo", "Contact", ValueError("gone"), run="r")
    assert "Contact (failing since" in reason(night(watched))


def test_a_night_stays_within_its_share(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the vendor's day: what does not fit is not started, and the reason has the numbers."""
    for limit, objects in ((1_000, set()), (72, {"Contact"})):
        watched.harness.org.set_daily_limit(maximum=limit)
        assert raw_objects(night(watched)) == objects
    dear = Price({"Contact": 400, "Lead": 200}, 100, "calls")
    with monkeypatch.context() as patched:
        patched.setattr(nightly, "_price", lambda *_: dear)
        assert "would cost 600 calls for 2 objects, where a night may take 100 of the day" in (
            reason(night(watched))
        )
    watched.harness.org.set_daily_limit(maximum=20)
    assert "the running month is not read again: demo: " in reason(night(watched))


def test_the_cheapest_objects_are_read_first() -> None:
    """As many as fit; all of them where there is no limit."""
    costs = {"Contact": 60, "Lead": 30, "Task": 50}
    assert Price(costs, 100, "calls").fitting == ("Lead", "Task")
    assert Price(costs, 29, "calls").fitting == ()
    assert Price(costs, None, "calls").is_within
    assert not Price(costs, 139, "calls").is_within


def crons(settings: Settings) -> dict[str, tuple[str, str | None]]:
    jobs = {job.name: job for job in Jobs(settings).every(settings.connections.values())}
    return {
        each.name: (str(each.cron_schedule), each.execution_timezone)
        for each in nightly_schedules(settings, jobs)
    }


def test_nights_begin_at_two_one_after_the_other(tmp_path: Path) -> None:
    """In the account's zone once it is known; a time of the user's own stands; a damaged note of the account is UTC."""
    settings = make_settings(tmp_path / "project")
    assert crons(settings) == {
        "acme_nightly": ("0 2 * * *", "UTC"),
        "other_nightly": ("0 3 * * *", "UTC"),
    }
    note_facts(Landing(settings.data), "other", AccountFacts(time_zone="Asia/Tokyo"))
    file = tmp_path / "project" / "connections.yaml"
    text = file.read_text().replace("  other:\n", "  other:\n    nightly: 4:30\n")
    own = make_settings(tmp_path / "project", text=text)
    assert crons(own)["other_nightly"] == ("30 4 * * *", "Asia/Tokyo")
    facts_path(settings.data, "other").write_text("{")
    off = make_settings(
        tmp_path / "project", text=text.replace("2026-01\n", "2026-01\n    nightly: off\n")
    )
    assert crons(off) == {"other_nightly": ("30 4 * * *", "UTC")}
