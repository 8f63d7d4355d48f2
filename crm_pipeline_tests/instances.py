"""Fixtures: a project with its settings, and a Dagster instance on a PostgreSQL of the session."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crm_pipeline.orchestration.instance import opened_instance
from crm_pipeline.settings import Settings
from crm_pipeline.store.postgres.embedded import EmbeddedServer
from crm_pipeline_tests.orchestration.projects import make_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path / "project")


@pytest.fixture(scope="session")
def server_settings(server_folder: Path) -> Iterator[Settings]:
    """Settings of a data folder whose PostgreSQL runs."""
    chosen = make_settings(server_folder / "project")
    server = EmbeddedServer(chosen.data)
    server.start()
    yield chosen
    server.stop()


@pytest.fixture(scope="session")
def instance(server_settings: Settings) -> Iterator[dg.DagsterInstance]:
    url = EmbeddedServer(server_settings.data).url()
    assert url is not None
    with opened_instance(server_settings, url) as opened:
        yield opened
