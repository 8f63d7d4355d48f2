"""The daily audit of a connection: it compares, heals, shows its verdicts, and fails where something stays wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from crm_pipeline.orchestration import checks
from crm_pipeline.orchestration.auditing import audit_jobs, audit_schedules, requested
from crm_pipeline.orchestration.jobs import IN_PROCESS
from crm_pipeline.orchestration.names import PLAIN
from crm_pipeline.stages.published.reconciled import reconciliation_table
from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.orchestration.projects import make_settings
from crm_pipeline_tests.orchestration.watched import Watched

CONTACTS = dg.AssetKey(["demo", "raw", "Contact"])


@pytest.fixture
def watched(make_harness: HarnessMaker) -> Iterator[Watched]:
    with (
        make_harness(contacts=30, objects=("Contact", "OpportunityStage")) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        watching = Watched(harness, instance)
        watching.landed()
        harness.advance(3_600)
        harness.extract("Contact", mode="refresh")
        harness.advance(3_600)
        yield watching


def audit(watched: Watched) -> dg.ExecuteInProcessResult:
    job = watched.defs.resolve_job_def("demo_audit")
    return job.execute_in_process(instance=watched.instance, raise_on_error=False)


def verdict(watched: Watched) -> tuple[bool, str]:
    """Return what the check of contacts shows now."""
    keys = [dg.AssetCheckKey(CONTACTS, checks.AUDIT)]
    [record] = watched.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        keys
    ).values()
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return evaluation.passed, str(evaluation.description)


def test_a_job_compares_and_heals(watched: Watched) -> None:
    """A lost contact and a ghost are found, healed and shown: in the step, on the asset, and for analysts. Where the
    org's list is not believed the job fails, and the check says why; a later refresh shows it still."""
    org = watched.harness.org
    assert audit(watched).success
    assert verdict(watched)[0]
    org.create("Contact", LastName="Late", stamp="2026-11-10T00:00:00Z")
    oldest_first = sorted(org.rows("Contact"), key=lambda row: str(row["SystemModstamp"]))
    gone = [str(row["Id"]) for row in oldest_first]  # the first one in another month than November
    org.hard_delete("Contact", gone[0])
    watched.harness.advance(86_400)
    done = audit(watched)
    assert done.success
    [output] = done.filter_events(lambda event: event.is_successful_output)
    details: Any = output.event_specific_data
    shown = {name: value.value for name, value in details.metadata.items()}
    assert (shown["missing"], shown["ghosts"], shown["differing"]) == (1, 1, 0)
    assert shown["cost"] <= shown["cost_allowed"]
    assert "was healed" in verdict(watched)[1]
    rows = reconciliation_table(watched.crm.audits, ["demo"]).arrow.to_pylist()
    latest = {row["month"]: row for row in rows if row["is_latest"]}
    assert latest["2026-11"]["missing"] == 1
    assert sum(row["ghosts"] for month, row in latest.items() if month) == 1
    assert latest[None]["in_crm"] == latest[None]["with_us"] == len(org.rows("Contact"))
    for one in gone[1:20]:
        org.hard_delete("Contact", one)
    watched.harness.advance(86_400)
    failed = audit(watched)
    assert not failed.success
    passed, text = verdict(watched)
    assert not passed
    assert "not believed" in text
    watched.harness.advance(60)
    request = watched.due()
    assert watched.run(request, "Contact").success
    assert verdict(watched)[0] is False


def test_schedules(tmp_path: Path, watched: Watched) -> None:
    """Audits begin at four, one after the other; a time of the user's own stands, and `off` is none. Nothing is requested
    before anything was read."""

    def crons(text: str = "") -> dict[str, str]:
        settings = make_settings(tmp_path / "project", **({"text": text} if text else {}))
        jobs = audit_jobs(list(settings.connections.values()), PLAIN, IN_PROCESS)
        schedules = audit_schedules(settings, {job.name: job for job in jobs}, PLAIN)
        return {each.name: str(each.cron_schedule) for each in schedules}

    assert crons() == {"acme_audit": "0 4 * * *", "other_audit": "0 5 * * *"}
    text = (tmp_path / "project" / "connections.yaml").read_text()
    assert (
        crons(text.replace("  other:\n", "  other:\n    audit: 6:15\n"))["other_audit"]
        == "15 6 * * *"
    )
    assert crons(text.replace("  other:\n", "  other:\n    audit: off\n")) == {
        "acme_audit": "0 4 * * *"
    }
    crm, connection = watched.crm, watched.harness.settings.connection("demo")
    assert isinstance(requested(crm, connection, watched.instance), dg.RunRequest)
    unread = make_settings(tmp_path / "project").connections["acme"]
    assert isinstance(requested(crm, unread, watched.instance), dg.SkipReason)
