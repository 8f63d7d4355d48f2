"""Automation that would take most of the vendor's daily limit, and a history that was read in part."""

from collections.abc import Iterator

import dagster as dg
import pytest

from crm_pipeline.kernel.clock import Month
from crm_pipeline.orchestration.partitions import range_tags
from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.orchestration.watched import Watched, reason


@pytest.fixture
def watched(make_harness: HarnessMaker) -> Iterator[Watched]:
    with (
        make_harness(contacts=30, objects=("Contact", "Lead")) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        yield Watched(harness, instance)


def test_defaults_that_would_eat_the_day_are_stretched(watched: Watched) -> None:
    """Of 1,000 calls a day 100 are taken where nothing changes: the ticks between say why nothing is asked, cost
    nothing, and the object is not late by that."""
    watched.harness.org.set_daily_limit(maximum=1_000)
    watched.landed()
    for obj in ("Contact", "Lead"):
        watched.crm.looks.was_read("demo", obj, watched.harness.clock.now())
    reason(watched.tick())
    calls = len(watched.harness.sandbox.journal.entries())
    watched.harness.advance(60)
    text = reason(watched.tick())
    # 2 calls each minute and 12 each quarter of an hour would be 4,032.
    assert "about 100 calls a day where nothing changes, 10.0% of the 1,000 a day" in text
    assert "a probe every 40 min (2 calls, stretched), a refresh every 10 h (12, stretched)" in text
    watched.harness.advance(900)
    assert "due again in" in reason(watched.due())
    assert len(watched.harness.sandbox.journal.entries()) == calls
    watched.harness.advance(1_500)
    assert "all that changed has landed" in reason(watched.tick())
    assert {row.is_late for row in watched.crm.freshness()} == {False}
    watched.harness.advance(36_000)
    assert isinstance(watched.due(), dg.RunRequest)


def test_a_backfill_of_some_months_says_what_it_lacks(watched: Watched) -> None:
    """The run, in its log and beside its numbers, and `ops.freshness` name the moment before which nothing was read."""
    backfill = dg.RunRequest(
        job_name="demo_backfill", tags=range_tags(Month(2026, 9), Month(2026, 11))
    )
    done = watched.run(backfill, "Contact")
    assert done.success
    shown = done.asset_materializations_for_node("demo__raw__Contact")[0].metadata
    assert shown["history_read_from"].value == "2026-09-01T00:00:00Z"
    landed = shown["records_landed"].value
    assert isinstance(landed, int)
    assert landed < watched.harness.org.count("Contact", include_deleted=True)
    logged = [record.user_message for record in watched.instance.all_logs(done.run_id)]
    assert any("before 2026-09-01T00:00:00Z has not been read" in line for line in logged)
    watched.publish()
    history = "SELECT strftime(history_from, '%Y-%m-%d'), is_whole FROM ops.freshness"
    assert watched.query(f"{history} WHERE object = 'Contact'") == [("2026-09-01", False)]
