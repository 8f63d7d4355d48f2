import uuid
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from crm_pipeline.orchestration.runs import REPOSITORY_TAG, REPOSITORY_VALUE
from crm_pipeline.settings import Settings
from crm_pipeline.settings.retention import Retention
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline.supervisor.old_runs import remove_old_runs
from crm_pipeline_tests.orchestration.projects import make_settings

OURS = {REPOSITORY_TAG: REPOSITORY_VALUE}
LATER = datetime.now(UTC) + timedelta(days=31)
MONTHS = dg.MonthlyPartitionsDefinition(start_date="2026-01-01")


@dg.asset(check_specs=[dg.AssetCheckSpec("filled", asset="table")])
def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """One asset with a check."""
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])


@dg.asset(partitions_def=MONTHS)
def months() -> None:
    """An asset of months."""


@pytest.fixture
def url(server_settings: Settings) -> str:
    found = EmbeddedServer(server_settings.data).url()
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def no_other_runs(instance: dg.DagsterInstance) -> None:
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def made(instance: dg.DagsterInstance, month: str = "", tags: dict[str, str] = OURS) -> str:
    asset, key = (months, month) if month else (table, None)
    return dg.materialize([asset], partition_key=key, instance=instance, tags=tags).run_id


def left(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def test_only_runs_that_something_shows_stay(
    instance: dg.DagsterInstance, server_settings: Settings, url: str
) -> None:
    """The last run of an asset and of each month stays; earlier ones go with events, checks and logs, and other people's runs do not."""
    old, new = made(instance), made(instance)
    january, again, february = (made(instance, f"2026-0{number}-01") for number in (1, 1, 2))
    theirs = made(instance, tags={REPOSITORY_TAG: "__repository__@mart"})
    last = made(instance)
    logs = server_settings.data / "dagster" / "compute_logs" / old
    logs.mkdir(parents=True, exist_ok=True)
    assert remove_old_runs(instance, url, server_settings, LATER) == 3
    assert left(instance) == {again, february, theirs, last}
    assert not logs.exists()
    assert instance.all_logs(old) == []
    assert instance.get_latest_materialization_event(dg.AssetKey("table")) is not None
    assert instance.get_materialized_partitions(dg.AssetKey("months")) == {
        "2026-01-01",
        "2026-02-01",
    }
    with Database(url) as database:
        checked = database.done(_runs_of_checks)
    assert checked.isdisjoint({old, new, january})


def test_a_run_stays_as_long_as_the_setting_says(
    instance: dg.DagsterInstance, server_settings: Settings, url: str
) -> None:
    """29 days by default are not enough, and 0 keeps everything."""
    before, _ = made(instance), made(instance)
    assert remove_old_runs(instance, url, server_settings, LATER - timedelta(days=2)) == 0
    for_ever = make_settings(server_settings.root, {"CRM_KEEP_RUN_DAYS": "0"})
    assert remove_old_runs(instance, url, for_ever, LATER) == 0
    assert remove_old_runs(instance, url, server_settings, LATER) == 1
    assert before not in left(instance)


def test_a_run_under_way_stays(
    instance: dg.DagsterInstance, server_settings: Settings, url: str
) -> None:
    """However old it is."""

    @dg.job
    def nothing() -> None:
        """A job without steps."""

    run = instance.create_run_for_job(
        nothing, run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED, tags=OURS
    )
    assert remove_old_runs(instance, url, server_settings, LATER) == 0
    assert left(instance) == {run.run_id}


def test_the_setting_is_read() -> None:
    assert Retention.of({}).run_days == 30
    assert Retention.of({"CRM_KEEP_RUN_DAYS": "7"}).run_days == 7


def _runs_of_checks(cursor) -> set[str]:  # type: ignore[no-untyped-def]
    cursor.execute("SELECT run_id FROM asset_check_executions")
    return {run_id for (run_id,) in cursor.fetchall()}
