import gc
import os
from collections.abc import Iterator

import pytest
import stamina
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = [
    "crm_pipeline_tests.servers",
    "crm_pipeline_tests.harness",
    "crm_pipeline_tests.instances",
    "crm_pipeline_tests.once",
    "crm_pipeline_tests.providing",
    "crm_pipeline_tests.slow",
    "crm_pipeline_tests.wheels",
    "crm_pipeline_tests.rot.filled",
]

_OURS = ("CRM_", "DAGSTER_", "SALESFORCE_")

settings.register_profile(
    "house",
    derandomize=True,  # the same examples in every run; HYPOTHESIS_PROFILE=fresh draws new ones
    deadline=None,  # a busy machine is no failure
    database=None,  # no folder of examples beside the code; a failure prints its example
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("fresh", settings.get_profile("house"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


@pytest.fixture(scope="session", autouse=True)
def no_flushing() -> Iterator[None]:
    """Nothing is flushed to the disk: no power cut is part of a test. Programs that tests start do flush."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what the machine that it runs on is set up for."""
    for name in list(os.environ):
        if name.startswith(_OURS) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    """Commands configure the logging of the whole process; the next test starts without that."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries happen as often as the policy says, but at once."""
    with stamina.set_testing(True, attempts=1_000, cap=True):
        yield


def pytest_configure() -> None:
    # As in the command line: what libraries have made stays, and is looked through less often.
    gc.set_threshold(50_000, 20, 20)


def pytest_unconfigure() -> None:
    # The hook that hypothesis leaves behind keeps DuckDB's types alive until the interpreter ends,
    # and its binding then prints a page of warnings.
    gc.callbacks.clear()
