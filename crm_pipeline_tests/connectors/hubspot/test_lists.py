"""Lists and their members, from the portal to the analysts' file."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import dagster as dg
import pytest

from crm_pipeline.orchestration.runs import run_backfill, run_refresh
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.hubspot.conftest import Portal, emulator
from crm_pipeline_tests.harness import Harness

CUSTOM = "2-3800001"
OBJECTS = ("contacts", "companies", CUSTOM, "lists", "list_memberships")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def ask(hub: Harness, sql: str, *given: Any) -> list[tuple[Any, ...]]:
    with closing(open_published(hub.settings.data)) as database:
        return database.execute(sql, list(given)).fetchall()


def expected(hub: Harness) -> set[tuple[str, str, int]]:
    """Return list, record and moment of each member, from the portal's own tables."""
    truth = emulator(hub)
    return {
        (str(one["list_id"]), record, at)
        for one in truth.lists()
        for record, at in truth.members(str(one["list_id"])).items()
    }


def published(hub: Harness) -> set[tuple[str, str, int]]:
    rows = ask(
        hub, "SELECT list_source_id, member_source_id, epoch_ms(joined_at) FROM crm.list_members"
    )
    assert len(set(rows)) == len(rows)
    return set(rows)


def test_the_published_lists_are_the_portals(portal: Portal, instance: dg.DagsterInstance) -> None:
    """Lists of every kind and their members; then members who join and leave, a merge, a list that is made and one that
    is deleted."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        done = run_backfill(hub.settings, "demo", None, None, instance, clock=hub.clock)
        assert done.is_success, done.failed
        truth = emulator(hub)
        assert published(hub) == expected(hub)
        rows = ask(hub, "SELECT source_id, name, list_type, size FROM crm.lists")
        assert set(rows) == {
            (str(one["list_id"]), one["name"], one["processing"], one["size"])
            for one in truth.lists()
        }
        print(ask(hub, "FROM crm.list_members LIMIT 3"))
        print(
            ask(
                hub,
                "SELECT member_table, count(*), count(contact_key), count(company_key), count(member_key) FROM crm.list_members GROUP BY ALL",
            )
        )
