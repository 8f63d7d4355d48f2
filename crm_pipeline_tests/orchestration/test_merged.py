"""A deployment of somebody else, with ours merged in."""

from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import pytest

import crm_pipeline
from crm_pipeline.kernel.errors import ConfigError, SecretMissing
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.configured import CrmResource
from crm_pipeline.orchestration.names import Names
from crm_pipeline.settings import Settings
from crm_pipeline_tests.orchestration.test_assets import Offline

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.asset(group_name="raw")
def orders(crm: dg.ResourceParam[str]) -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"crm": crm})


@dg.op
def check_files(crm: dg.ResourceParam[str]) -> str:
    return crm


@dg.job
def publish() -> None:
    check_files()


@dg.schedule(job=publish, cron_schedule="0 3 * * 0")
def scrub_weekly() -> dg.RunRequest:
    return dg.RunRequest()


@dg.sensor(job_name="publish")
def freshness() -> dg.SkipReason:
    return dg.SkipReason("theirs")


def theirs() -> dg.Definitions:
    """Return definitions that have names of ours, and an executor."""
    return dg.Definitions(
        assets=[orders],
        jobs=[publish, dg.define_asset_job("scrub", selection=[orders])],
        schedules=[scrub_weekly],
        sensors=[freshness],
        resources={"crm": "their CRM"},
        executor=dg.multiprocess_executor.configured({"max_concurrent": 3}),
    )


def merged(settings: Settings) -> dg.Definitions:
    ours = build_defs(settings, {"crm": Offline(settings)}, prefix="sales")
    return dg.Definitions.merge(ours, theirs())


def executors(defs: dg.Definitions) -> dict[str, str]:
    jobs = defs.get_repository_def().get_all_jobs()
    return {job.name: job.executor_def.name for job in jobs}


def names(defs: dg.Definitions) -> dict[str, set[str]]:
    """Return all names that Dagster sees, by kind."""
    repository = defs.get_repository_def()
    assets = list(repository.assets_defs_by_key.values())
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    specs: Iterable[dg.AssetSpec] = defs.resolve_all_asset_specs()
    return {
        "keys": {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()},
        "groups": {str(spec.group_name) for spec in specs},
        "steps": {node.name for job in jobs for node in job.nodes},
        "pools": {pool for asset in assets if asset.is_executable for pool in asset.op.pools},
        "jobs": {job.name for job in jobs},
        "schedules": {schedule.name for schedule in repository.schedule_defs},
        "sensors": {sensor.name for sensor in repository.sensor_defs},
        "resources": {*(defs.resources or {})},
    }


def test_their_jobs_are_as_before(settings: Settings) -> None:
    """Executors, resources and results of all that is theirs, the job that Dagster makes for assets included."""
    both, alone = merged(settings), theirs()
    before, after = executors(alone), executors(both)
    assert {name: after[name] for name in before} == before
    assert before == {
        "publish": "multiprocess",
        "scrub": "multiprocess",
        "__ASSET_JOB": "multiprocess",
    }
    assert {after[name] for name in after if name not in before} == {"in_process"}
    for defs in (alone, both):
        done = defs.resolve_job_def("publish").execute_in_process(run_config=QUIET)
        assert done.output_for_node("check_files") == "their CRM"
    assert (
        both.resolve_sensor_def("freshness").evaluate_tick(dg.build_sensor_context()).skip_message
        == "theirs"
    )


def test_a_prefix_goes_before_every_name(settings: Settings) -> None:
    """Of each kind; so two sets of accounts fit into one deployment. Without one the names are what they were."""
    plain, prefixed = names(build_defs(settings)), names(build_defs(settings, prefix="sales"))
    for kind, found in prefixed.items():
        between = "/" if kind in {"keys", "groups"} else "__" if kind == "steps" else "_"
        expected = {f"sales{between}{name}" for name in plain[kind]}
        single = {"sales_verify_contact_points", "sales_enrich_persons", "sales_publish_tables"}
        single |= {"sales_check_files", "sales_compare_records_acme", "sales_compare_records_other"}
        single |= {"sales_compare_unstamped_acme", "sales_compare_unstamped_other"}
        assert {name for name in found if name not in single} <= expected, kind
        assert len(found) == len(plain[kind]), kind
        assert all(name.startswith("sales") for name in found), kind
    both = dg.Definitions.merge(build_defs(settings), build_defs(settings, prefix="sales"))
    dg.Definitions.validate_loadable(both)


def test_our_jobs_run_beside_theirs(settings: Settings) -> None:
    """With their own resource, under its prefixed name, and so do sensors; another executor is theirs to choose."""
    both = merged(settings)
    assert both.resolve_job_def("sales_scrub").execute_in_process(run_config=QUIET).success
    crm = Offline(settings)
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources={"sales_crm": crm}) as context,
    ):
        done = both.resolve_sensor_def("sales_freshness").evaluate_tick(context)
    assert "5 objects, 0 stale, 5 never read" in str(done.skip_message)
    chosen = build_defs(settings, executor=dg.multiprocess_executor)
    assert {*executors(dg.Definitions.merge(chosen, theirs_without_names())).values()} == {
        "multiprocess"
    }


def theirs_without_names() -> dg.Definitions:
    return dg.Definitions(executor=dg.multiprocess_executor)


@pytest.mark.parametrize("prefix", ["with-dash", "1st", "a b", "x" * 50])
def test_a_prefix_that_dagster_would_refuse(prefix: str) -> None:
    """The error says which characters fit."""
    with pytest.raises(ConfigError, match="letters, digits and underscores"):
        Names(prefix)


def test_the_resource_shows_its_config_and_no_secret(tmp_path: Path, settings: Settings) -> None:
    """What is in force is its config; a launch may change it; secrets of the settings reach the run, and no text."""
    (settings.root / ".env").touch(mode=0o600)
    (settings.root / ".env").write_text("ACME_CLIENT_SECRET=quite-secret\n")
    defs = build_defs(crm_pipeline.configuration.load_settings(settings.root, {}))
    resource = (defs.resources or {})["crm"]
    assert isinstance(resource, CrmResource)
    shown = resource.get_resource_definition().config_schema.default_value
    assert shown == {
        "home": str(settings.root),
        "data": str(settings.data),
        "memory_mb": 640,
        "patience_s": 300,
        "database_url_env": "CRM_DATABASE_URL",
    }
    assert "quite-secret" not in f"{shown} {resource}"
    changed = {"data": str(tmp_path / "elsewhere"), "memory_mb": 900, "home": str(settings.root)}
    with dg.build_resources(
        {"crm": resource}, resource_config={"crm": {"config": changed}}
    ) as made:
        chosen = made.crm.settings
    assert (chosen.data, chosen.memory_mb) == (tmp_path / "elsewhere", 900)
    assert chosen.environ["ACME_CLIENT_SECRET"] == "quite-secret"
    assert not settings.data.exists()


def test_a_resource_of_ones_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds connections.yaml by its home, and PostgreSQL by a variable of the deployment's choice."""
    resource = CrmResource(home=str(settings.root), data="kept", database_url_env="WAREHOUSE_URL")
    with pytest.raises(SecretMissing, match="WAREHOUSE_URL"):
        resource.settings()
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://db/crm")
    chosen = resource.settings()
    assert chosen.environ["CRM_DATABASE_URL"] == "postgresql://db/crm"
    assert (chosen.data, [*chosen.connections]) == (settings.root / "kept", ["acme", "other"])
    assert build_defs(settings, {"crm": resource}, prefix="eu").resources == {"eu_crm": resource}


def test_the_documented_import() -> None:
    """`from crm_pipeline import build_defs`; the names are there, and what they are is loaded on demand."""
    assert crm_pipeline.build_defs is build_defs
    assert all(getattr(crm_pipeline, name) for name in crm_pipeline.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = crm_pipeline.nothing
