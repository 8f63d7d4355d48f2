"""`ops.duckdb`: the state of operations apart from the data."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import dagster as dg
import duckdb
import pytest

from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.orchestration.watched import Watched


@pytest.fixture
def watched(make_harness: HarnessMaker) -> Iterator[Watched]:
    with (
        make_harness(contacts=30, objects=("Contact", "Lead")) as harness,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        yield Watched(harness, instance)


def asked(watched: Watched, sql: str) -> list[tuple[Any, ...]]:
    """Ask the file as anybody would, with nothing of ours."""
    path = watched.harness.settings.data / "ops.duckdb"
    with closing(duckdb.connect(str(path), read_only=True)) as file:
        file.execute("SET TimeZone = 'UTC'")
        return file.execute(sql).fetchall()


def test_a_quiet_round_is_seen_without_a_new_snapshot(watched: Watched) -> None:
    """x"""
    watched.landed()
    print(watched.tick())
    print(asked(watched, "SELECT * FROM ops.probes"))
    print(asked(watched, "SELECT * FROM ops.checks"))
    print(asked(watched, "SELECT * FROM ops.freshness"))
    print(asked(watched, "SELECT * FROM ops.publication"))
