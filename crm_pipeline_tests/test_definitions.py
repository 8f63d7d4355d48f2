import multiprocessing
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._grpc.impl import start_run_in_subprocess
from markdown_it import MarkdownIt

from crm_pipeline.configuration import load_settings
from crm_pipeline.model.tables import TABLES
from crm_pipeline.orchestration import code
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
    """The object in its CRM, raw per object, normalized per table, published once for all connections."""
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
        *("crm", "raw", "normalized", "verified", "enriched", "published")
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
    account = specs["acme/raw/Account"]
    assert [dep.asset_key.to_user_string() for dep in account.deps] == ["acme/crm/Account"]
    # Connections are boxes of their own, with stages inside.
    assert all(spec.group_name == key.rsplit("/", 1)[0] for key, spec in specs.items())
    assert account.kinds == {"salesforce", "parquet"}
    assert contacts.kinds == {"salesforce", "duckdb", "parquet"}
    assert all(spec.description for spec in specs.values())
    assert all(spec.code_version for key, spec in specs.items() if "/crm/" not in key)


def test_objects_of_crms_are_external_and_lead_to_their_vendors_pages(defs: dg.Definitions) -> None:
    """Dagster does not make them; a page is linked where the vendor describes the object."""
    graph = defs.resolve_asset_graph()
    account = graph.get(dg.AssetKey(["acme", "crm", "Account"]))
    assert account.is_external
    assert not account.is_materializable
    page = account.metadata["described_by_the_vendor"].value
    assert page.endswith("sforce_api_objects_account.htm")
    assert not graph.get(dg.AssetKey(["acme", "crm", "Invoice__c"])).metadata


def test_owners_and_tags_are_shown(tmp_path: Path) -> None:
    """Assets have the owners and tags of their connection; what nobody owns has the owners of the file."""
    settings = make_settings(tmp_path / "project")
    acme = replace(settings.connections["acme"], owners=("jane@acme.com",), tags={"tier": "gold"})
    owned = replace(
        settings,
        owners=("team:revops",),
        connections={**settings.connections, "acme": acme},
    )
    specs = {s.key.to_user_string(): s for s in build_defs(owned).resolve_all_asset_specs()}
    for key in ("acme/crm/Account", "acme/raw/Account", "acme/normalized/contacts"):
        stage = key.split("/")[1]
        plain = {k: v for k, v in specs[key].tags.items() if not k.startswith("dagster/")}
        ours = {"crm/stage": stage, "crm/connection": "acme", "crm/vendor": "salesforce"}
        assert (list(specs[key].owners), plain) == (["jane@acme.com"], {"tier": "gold", **ours})
    for key in ("crm/verified/contact_points", "crm/enriched/enrichments", "crm/published/deals"):
        assert list(specs[key].owners) == ["team:revops"]
        assert specs[key].tags["crm/stage"] == key.split("/")[1]


def test_a_mapping_changes_the_code_version_of_its_table_alone(tmp_path: Path) -> None:
    """Dagster compares code versions: a field that is mapped otherwise makes its table stale, and no other."""
    settings = make_settings(tmp_path / "project")
    acme = replace(settings.connections["acme"], mapping={"Contact": {"Nickname": "title"}})
    changed = replace(settings, connections={**settings.connections, "acme": acme})
    before, after = (
        {s.key.to_user_string(): s.code_version for s in build_defs(s).resolve_all_asset_specs()}
        for s in (settings, changed)
    )
    assert {key for key in before if before[key] != after[key]} == {"acme/normalized/contacts"}


def test_code_is_linked_without_paths_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout links to its files; a wheel to the repository in its metadata, and to nothing where there is none."""

    def references() -> list[Any]:
        spec = {
            s.key.to_user_string(): s
            for s in build_defs(make_settings(tmp_path / "project")).resolve_all_asset_specs()
        }["acme/normalized/contacts"]
        value = spec.metadata.get("dagster/code_references")
        return [] if value is None else value.code_references

    assert [Path(r.file_path).name for r in references()] == ["build.py", "mapping.py"]
    monkeypatch.setattr(code, "_is_checkout", lambda: False)
    monkeypatch.setattr(code, "_urls", dict)
    code._repository.cache_clear()
    assert references() == []
    monkeypatch.setattr(code, "_urls", lambda: {"repository": "https://github.com/acme/crm/"})
    code._repository.cache_clear()
    urls = [reference.url for reference in references()]
    code._repository.cache_clear()
    version = metadata.version("crm-pipeline")
    start = f"https://github.com/acme/crm/blob/v{version}/crm_pipeline"
    assert [url.split("#")[0] for url in urls] == [
        f"{start}/stages/normalized/build.py",
        f"{start}/connectors/salesforce/mapping.py",
    ]


def test_every_text_survives_markdown(defs: dg.Definitions) -> None:
    """Dagster renders descriptions: nothing in them vanishes as a tag, or is taken for a mark."""
    repository = defs.get_repository_def()
    specs = list(defs.resolve_all_asset_specs())
    schemas = [s.metadata.get("dagster/column_schema") for s in specs]
    texts = [
        *(spec.description for spec in specs),
        *(
            check.description
            for asset in defs.resolve_asset_graph().assets_defs
            for check in asset.check_specs
        ),
        *(job.description for job in repository.get_all_jobs()),
        *(schedule.description for schedule in repository.schedule_defs),
        *(sensor.description for sensor in repository.sensor_defs),
        *(c.description for schema in schemas if schema for c in schema.columns),
    ]
    for text in filter(None, texts):
        tokens = MarkdownIt("commonmark").parse(text)
        kinds = {t.type for block in tokens for t in (block, *(block.children or ()))}
        marks = {"paragraph_open", "paragraph_close", "inline", "text", "code_inline", "softbreak"}
        assert kinds <= marks, (text, kinds - marks)


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
        ("acme/raw/Account", "audit"),
        ("acme/normalized/contacts", "contract"),
        ("crm/published/deals", "consistency"),
        ("crm/published/contacts", "freshness"),
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
        "acme_audit",
        "acme_sweep",
        "other_backfill",
        "other_refresh",
        "other_nightly",
        "other_audit",
        "other_sweep",
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
