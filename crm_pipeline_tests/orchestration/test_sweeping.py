"""The job that sweeps a connection: which fields it compares, what it shows, and what it says of a wrong name."""

import dagster as dg

from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.stages.published.swept import sweeps_table
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline_tests.harness import HarnessMaker


def test_the_fields_of_the_user(make_harness: HarnessMaker) -> None:
    """`sweep_also` adds a field to the computed ones, `sweep_except` takes one out; of an object with a wrong name only
    that object fails, with the closest name. The numbers are in the metadata and in `ops.sweeps`."""
    objects = (
        "Contact: {sweep_also: [Title], sweep_except: [Region_Code__c]}",
        "Account: {sweep_also: [Nmae]}",
    )
    with (
        make_harness(contacts=20, objects=objects) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        for name in ("Contact", "Account"):
            harness.extract(name)
        first, second, *_ = sorted(str(row["Id"]) for row in harness.org.rows("Contact"))
        harness.org.formula_change("Contact", first, Title="Written by a script")
        harness.org.formula_change("Contact", second, Region_Code__c="XX-Other")
        harness.advance()
        defs = build_defs(
            harness.settings, {"crm": Workspace(harness.settings, clock=harness.clock)}
        )
        job = defs.resolve_job_def("demo_sweep")
        run = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not run.success
        [failure] = [event for event in run.all_events if event.is_step_failure]
        text = str(failure.step_failure_data.error)
        assert "unknown field 'Nmae'" in text
        assert "Did you mean 'Name'?" in text
        commit = harness.landing.windows("demo", "Contact")[-1]
        assert (commit.kind, [batch.records for batch in commit.batches]) == ("point", [1])
        rows = sweeps_table(Sweeps(harness.settings.data), ["demo"]).arrow.to_pylist()
        [contacts, accounts] = sorted(rows, key=lambda row: str(row["object"]), reverse=True)
        assert (contacts["object"], contacts["landed"], contacts["error"]) == ("Contact", 1, None)
        assert contacts["is_complete"]
        assert contacts["is_latest"]
        assert (accounts["object"], accounts["landed"]) == ("Account", 0)
        assert "Nmae" in accounts["error"]
