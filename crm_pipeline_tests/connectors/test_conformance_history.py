"""What records were is what they were: the history at past moments against what the account held then."""

from contextlib import closing
from datetime import datetime

from crm_pipeline.stages.published import publish
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf

HOUR = 3600


def test_the_past_is_the_account_of_then(case: Case, alone: HarnessOf) -> None:
    """At each moment after a refresh the versions that are valid are the records that were live, with their texts."""
    harness, truths = alone(case, contacts=20), {}
    emulator, obj = harness.emulator, case.object
    truths[harness.clock.now()] = _refreshed(harness)
    edited, deleted, winner, loser, *_ = sorted(case.live(emulator))
    for number in range(2):
        harness.advance(HOUR)
        emulator.edit(obj, edited, **{case.text: f"text {number}"})
        if number == 0:
            emulator.create(obj, **case.fresh, **{case.text: "new"})
            emulator.delete(obj, deleted)
        if number == 1:
            emulator.restore(obj, deleted)
            if "losers" not in case.lacks:
                emulator.merge(obj, winner, loser)
        harness.advance(60)
        truths[harness.clock.now()] = _refreshed(harness)
    assert len({truth[edited] for truth in truths.values()}) == 3
    assert {deleted in truth for truth in truths.values()} == {True, False}
    with harness.engine() as engine:
        publish(harness.landing, Tables(harness.settings.data), engine)
    assert {at: _as_of(harness, at) for at in truths} == truths
    with closing(open_published(harness.settings.data)) as file:
        [(versions,)] = file.execute(
            f"SELECT list({case.column} ORDER BY valid_from) FROM crm_history.{case.table} WHERE source_id = ?",
            [edited],
        ).fetchall()
    assert versions[1:] == ["text 0", "text 1"]


def _refreshed(harness: ConformanceHarness) -> dict[str, str | None]:
    """Read what changed, build, and return the texts of the live records as the vendor has them."""
    harness.extract(mode="refresh", whole=harness.reads_snapshots)
    harness.normalize()
    return {key: record.text or None for key, record in harness.emulated().items()}


def _as_of(harness: ConformanceHarness, at: datetime) -> dict[str, str | None]:
    """Return the texts of the records that were live at a moment, by the published history."""
    case = harness.case
    with closing(open_published(harness.settings.data)) as file:
        rows = file.execute(
            f"SELECT source_id, {case.column} FROM crm_history.{case.table} "
            "WHERE valid_from <= $at AND (valid_to IS NULL OR valid_to > $at) AND is_deleted IS NOT TRUE",
            {"at": at},
        ).fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)
