import structlog

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.harness import Harness
from crm_pipeline_tests.modes import open_to_others


def test_accounts_of_calls_go_into_a_publish(harness: Harness) -> None:
    """What the limiter counted, by connection and day, and how its limits stand."""
    with (
        Database(harness.settings.environ["CRM_DATABASE_URL"]) as database,
        RateLimiter(database, SystemClock()) as limiter,
    ):
        limit = Limit("credits", 500, 86_400.0, "daily", unit="credits")
        with limiter.permit("shared", [limit], cost=3, member="north"):
            limiter.record("shared", "coql", cost=3, member="north")
    accounts = Workspace(harness.settings).api_accounts()
    (spent,) = [day for day in accounts.days if day.group == "shared"]
    assert (spent.member, spent.operation, spent.calls, spent.cost) == ("north", "coql", 1, 3)
    (known,) = [known for known in accounts.limits if known.group == "shared"]
    assert (known.name, known.used, known.ceiling, spent.unit) == ("credits", 3, 500, "credits")


def test_a_run_closes_the_data_folder(settings: Settings) -> None:
    """A run without a command of ours sets the permissions too, and logs it once."""
    (settings.data / "landing").mkdir(parents=True, mode=0o755)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            workspace = Workspace(settings)
            for _ in range(2):
                with workspace.engine():
                    pass
    assert open_to_others(settings.data) == []
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert "CRM_SHARE_GROUP" in logs[0]["event"]
