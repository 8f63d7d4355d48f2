"""Lists and their members, from the portal to the analysts' file."""

from contextlib import closing
from typing import Any

from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.connectors.hubspot.conftest import Portal, emulator
from crm_pipeline_tests.connectors.modelled import read_and_published
from crm_pipeline_tests.harness import Harness

CUSTOM = "2-3800001"
OBJECTS = ("contacts", "companies", CUSTOM, "lists", "list_memberships")


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


def compare(hub: Harness) -> None:
    assert published(hub) == expected(hub)
    rows = ask(hub, "SELECT source_id, name, list_type, size FROM crm.lists")
    assert sorted(rows) == [
        (str(one["list_id"]), one["name"], one["processing"], one["size"])
        for one in emulator(hub).lists()
    ]


def test_the_published_lists_are_the_portals(portal: Portal) -> None:
    """Lists of every kind and their members; then members who join and leave, a merge, an archived member, a list that is
    made and one that is deleted. A member leads to its record, of whatever object."""
    with portal(contacts=60, objects=OBJECTS) as hub:
        read_and_published(hub.settings, hub.clock, "range")
        compare(hub)
        tables = ask(
            hub, "SELECT member_table, member_source_id, contact_key FROM crm.list_members"
        )
        assert {table for table, _, key in tables if key is None} == {
            "companies",
            "deals",
            "_2_3800001",
        }
        assert {key for table, _, key in tables if table == "contacts"} == {
            f"demo:contacts:{record}" for table, record, _ in tables if table == "contacts"
        }
        truth = emulator(hub)
        first, second, third, fourth, *_ = sorted(truth.members("1"))
        hub.advance(3600)
        outside = min({row["id"] for row in truth.rows("contacts")} - truth.members("1").keys())
        truth.change_members("1", add=[outside], remove=[first])
        merged = truth.merge("contacts", second, third)
        truth.delete("contacts", fourth)
        made = truth.make_list("Board", [outside])
        truth.drop_list("4")
        hub.advance()
        read_and_published(hub.settings, hub.clock, "refresh")
        compare(hub)
        assert merged in truth.members("1")
        assert ask(hub, "SELECT name FROM crm.lists WHERE source_id = ?", made) == [("Board",)]
        lost = "FROM crm.list_members ANTI JOIN crm.contacts USING (contact_key) WHERE contact_key IS NOT NULL"
        assert ask(hub, lost) == []
