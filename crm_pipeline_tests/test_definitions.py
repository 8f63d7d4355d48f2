import multiprocessing
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._grpc.impl import start_run_in_subprocess

from crm_pipeline.configuration import load_settings
from crm_pipeline.model.tables import TABLES
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.narrowing import job_of_this_process, needed
from crm_pipeline_tests.orchestration.projects import make_settings


@pytest.fixture
def defs(tmp_path: Path) -> dg.Definitions:
    return build_defs(make_settings(tmp_path / "project"))


def keys_of(defs: dg.Definitions) -> set[str]:
    return {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()}


def test_the_shipped_project_loads_with_an_empty_environment(tmp_path: Path) -> None:
    """Importing the definitions needs no variable, warns of nothing and writes nothing."""
    program = (
        "from crm_pipeline.definitions import defs\n"
        "from dagster import Definitions\n"
        "Definitions.validate_loadable(defs)\n"
        "import os; print(sorted(os.listdir('.')))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c", program],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "CRM_HOME": str(load_settings().root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (0, "", "[]")


def test_assets_are_named_after_connection_stage_and_object(defs: dg.Definitions) -> None:
    """Raw per object, normalized per table, published once for all connections."""
    keys = keys_of(defs)
    published = {f"crm/published/{name}" for name in TABLES}
    assert keys >= {
        "acme/raw/Account",
        "acme/raw/Contact",
        "acme/raw/Invoice__c",
        "acme/raw/OpportunityStage",
        "acme/normalized/companies",
        "acme/normalized/contacts",
        "acme/normalized/invoice",
        "other/raw/Lead",
        "other/normalized/leads",
        "crm/verified/contact_points",
        "crm/published/invoice",
        "crm/published/contact_points",
        *published,
    }
    assert {key.split("/")[1] for key in keys} == {
        *("raw", "normalized", "verified", "enriched", "published")
    }


def test_the_graph_reads_from_raw_to_published(defs: dg.Definitions) -> None:
    """Dependencies, groups and kinds show the way of the data, through the stages that read all connections."""
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    contacts = specs["acme/normalized/contacts"]
    assert [dep.asset_key.to_user_string() for dep in contacts.deps] == ["acme/raw/Contact"]
    points = specs["crm/verified/contact_points"]
    assert {dep.asset_key.to_user_string() for dep in points.deps} == {
        "acme/normalized/contacts",
        "acme/normalized/companies",
        "other/normalized/leads",
    }
    leads = specs["crm/published/leads"]
    assert [dep.asset_key.to_user_string() for dep in leads.deps] == [
        "other/normalized/leads",
        "crm/verified/contact_points",
    ]
    assert {key: specs[key].group_name for key in ("acme/raw/Account", "crm/published/leads")} == {
        "acme/raw/Account": "raw",
        "crm/published/leads": "published",
    }
    assert specs["acme/raw/Account"].kinds == {"salesforce", "parquet"}
    assert all(spec.description for spec in specs.values())


def test_months_are_partitions_and_snapshots_have_none(defs: dg.Definitions) -> None:
    """Objects with a modification time are partitioned by month and backfilled in one run."""
    graph = defs.resolve_asset_graph()
    account = graph.get(dg.AssetKey(["acme", "raw", "Account"]))
    stage = graph.get(dg.AssetKey(["acme", "raw", "OpportunityStage"]))
    assert isinstance(account.partitions_def, dg.MonthlyPartitionsDefinition)
    assert account.backfill_policy == dg.BackfillPolicy.single_run()
    assert stage.partitions_def is None


def test_checks_belong_to_their_assets(defs: dg.Definitions) -> None:
    """Counts and fields are checked with raw, the contract with normalized, rules between tables with published."""
    graph = defs.resolve_asset_graph()
    checks = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}
    assert {
        ("acme/raw/Account", "source_count"),
        ("acme/raw/Account", "fields"),
        ("acme/raw/Account", "freshness"),
        ("acme/normalized/contacts", "contract"),
        ("crm/published/deals", "consistency"),
        ("crm/published/deal_contacts", "consistency"),
    } <= checks


def test_jobs_schedules_and_sensors_per_connection(defs: dg.Definitions) -> None:
    """Each connection can be backfilled and refreshed, at its cadence or when something changed."""
    repository = defs.get_repository_def()
    names = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    expected = {
        "acme_backfill",
        "acme_refresh",
        "acme_nightly",
        "other_backfill",
        "other_refresh",
        "other_nightly",
        "publish",
        "scrub",
    }
    assert names == expected
    cadences = {
        definition.name: definition.cron_schedule for definition in repository.schedule_defs
    }
    assert (cadences["acme_cadence"], cadences["scrub_weekly"]) == ("5 * * * *", "0 3 * * 0")
    sensors = {
        definition.name: definition.minimum_interval_seconds
        for definition in repository.sensor_defs
    }
    assert sensors == {
        "acme_changes": 60,
        "other_changes": 60,
        "freshness": 60,
        "publish_after_failure": 30,
    }


def test_a_job_reaches_from_raw_to_published_of_one_connection(defs: dg.Definitions) -> None:
    """A backfill reads its own connection only, verifies, and publishes."""
    job = defs.resolve_job_def("acme_backfill")
    stages = {key.to_user_string().rsplit("/", 1)[0] for key in job.asset_layer.selected_asset_keys}
    of_all = {"crm/verified", "crm/enriched", "crm/published"}
    assert stages == {"acme/raw", "acme/normalized", *of_all}


@pytest.mark.parametrize(("value", "running"), [(None, False), ("off", False), ("on", True)])
def test_nothing_runs_by_itself_until_asked(
    tmp_path: Path, value: str | None, running: bool
) -> None:
    """Schedules and sensors are stopped until CRM_AUTOMATION=on."""
    environ = {"CRM_AUTOMATION": value} if value else {}
    repository = build_defs(make_settings(tmp_path / "project", environ)).get_repository_def()
    status = {definition.default_status.value for definition in repository.schedule_defs} | {
        definition.default_status.value for definition in repository.sensor_defs
    }
    assert status == {"RUNNING" if running else "STOPPED"}


@dg.op
def fails() -> None:
    raise ValueError


@dg.job(name="acme_refresh")
def broken() -> None:
    fails()


def test_failed_runs_ask_for_one_publish(defs: dg.Definitions) -> None:
    """Seven runs that failed in parts are published once; a publish that is queued already takes them as well."""
    sensor = defs.resolve_sensor_def("publish_after_failure")
    assert sensor.job_name == "publish"
    with dg.DagsterInstance.ephemeral() as instance:

        def ticked(cursor: str | None) -> dg.SensorResult:
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            done = sensor(context)
            assert isinstance(done, dg.SensorResult)
            return done

        # What failed before the sensor was started, or under an earlier version, is past.
        broken.execute_in_process(instance=instance, raise_on_error=False)
        first = ticked('{"__class__": "RunStatusSensorCursor"}')
        assert first.run_requests == []
        runs = [
            broken.execute_in_process(instance=instance, raise_on_error=False) for _ in range(7)
        ]
        second = ticked(first.cursor)
        assert [request.run_key for request in second.run_requests or ()] == [runs[-1].run_id]
        assert ticked(second.cursor).run_requests == []
        broken.execute_in_process(instance=instance, raise_on_error=False)
        instance.create_run_for_job(
            dg.job(name="publish")(lambda: None), status=dg.DagsterRunStatus.NOT_STARTED
        )
        assert ticked(second.cursor).run_requests == []


def test_the_process_of_a_run_loads_what_the_run_needs(tmp_path: Path) -> None:
    """The job is the same, and other connections' assets are not made; nothing is left out for unknown jobs."""
    settings = make_settings(tmp_path / "project")
    whole = build_defs(settings)
    for name in ("acme_backfill", "acme_refresh", "acme_nightly", "publish"):
        narrow = build_defs(settings, job=name)
        expected = whole.resolve_job_def(name).get_job_snapshot_id()
        assert narrow.resolve_job_def(name).get_job_snapshot_id() == expected
        others = {key.path[0] for key in narrow.resolve_asset_graph().executable_asset_keys}
        assert others == ({"acme", "crm"} if name != "publish" else {"crm"})
    assert needed(("acme", "other"), "__ASSET_JOB") == needed(("acme", "other"), None)
    assert needed(("acme", "other"), None) == {"acme", "other"}


def test_the_job_of_a_process_is_an_argument_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Dagster's code server starts it; any other process has none."""
    assert job_of_this_process() is None
    process = multiprocessing.get_context("spawn").Process(
        target=start_run_in_subprocess, args=[b"", SimpleNamespace(job_name="acme_refresh"), 1, 2]
    )
    monkeypatch.setattr(multiprocessing, "current_process", lambda: process)
    assert job_of_this_process() == "acme_refresh"
