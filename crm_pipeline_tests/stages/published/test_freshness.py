"""`ops.freshness`: its content, and when a change of it alone is published."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_pipeline.store.landing.freshness import Freshness, freshness_of
from crm_pipeline.store.landing.looks import Looks

COLUMNS = (
    "object, state, is_whole, read_to = published_at, current_at = published_at, error, is_late"
)


@pytest.fixture
def contacts(org, schema_of):
    """A contact, published with its freshness; a lead object that is configured and was never read."""
    org.schema = schema_of("Contact", "LastName:string:Last Name")
    org.land(org.schema, [{"Id": "003A", "LastName": "Ng"}])
    org.normalize("contacts")
    org.objects["acme"].add("Lead")
    org.looks = Looks(org.data, org.clock)
    org.fresh = lambda: _fresh(org)
    org.publish(freshness=org.fresh())
    return org


def _fresh(org) -> list[Freshness]:
    return freshness_of(org.connection(), org.landing, org.looks.at("acme"), org.clock.now())


def test_each_configured_object_has_a_row(contacts):
    """An object that was never read is listed as unread."""
    assert contacts.query(f"SELECT {COLUMNS} FROM ops.freshness, ops.publication ORDER BY 1") == [
        ("Contact", "current", True, True, True, None, False),
        ("Lead", "unread", False, None, None, None, False),
    ]


def test_a_change_of_it_alone_is_published_at_most_daily(contacts):
    """An error that appears or vanishes waits until the file is a day old, and so does what becomes late: `ops.duckdb`
    says it at once. Time alone is no change. Each publish is a snapshot of its own."""
    contacts.clock.advance(86_400)
    assert contacts.publish(freshness=contacts.fresh()).changed
    assert contacts.query("SELECT object FROM ops.freshness WHERE is_late") == [("Contact",)]
    contacts.clock.advance(86_400)
    assert not contacts.publish(freshness=contacts.fresh()).changed
    contacts.publish(freshness=contacts.fresh(), is_forced=True)
    contacts.looks.probed("acme", {}, {"Contact": ValueError("gone")})
    contacts.clock.advance(86_340)
    assert not contacts.publish(freshness=contacts.fresh()).changed
    contacts.clock.advance(60)
    failing = contacts.publish(freshness=contacts.fresh())
    states = "SELECT state, error FROM ops.freshness WHERE object = 'Contact'"
    assert (failing.changed, contacts.query(states)) == (True, [("failing", "ValueError: gone")])
    contacts.looks.probed("acme", {"Contact": contacts.clock.now()}, {})
    assert not contacts.publish(freshness=contacts.fresh()).changed
    contacts.clock.advance(86_400)
    current = contacts.publish(freshness=contacts.fresh())
    assert (current.changed, contacts.query(states)) == (True, [("current", None)])
    assert failing.path.name != current.path.name


def test_who_waits_for_it_sees_a_change_at_once(contacts):
    """A publish may say how old a file may be that shows another state: a new error, and a remark."""
    contacts.looks.probed("acme", {}, {"Contact": ValueError("gone")})
    at_once = {"min_age": timedelta(0)}
    assert contacts.publish(freshness=contacts.fresh(), **at_once).changed
    assert not contacts.publish(freshness=contacts.fresh(), **at_once).changed
    remarked = [replace(one, remarks=("Look.",)) for one in contacts.fresh()]
    assert contacts.publish(freshness=remarked, **at_once).changed
    assert set(contacts.query("SELECT remarks FROM ops.freshness")) == {("Look.",)}


def test_a_table_that_is_held_back_is_told(contacts):
    """Objects name the tables that they feed with their live rows; a refusal of one is a change of that state."""
    at_once = {"min_age": timedelta(0)}

    def fresh():
        looks = contacts.looks.at("acme")
        fed = {"Contact": ["contacts"], "Lead": ["leads"]}
        return [one.feeding(fed[one.object], looks) for one in contacts.fresh()]

    columns = "object, tables, rows, held_back_since IS NOT NULL"
    contacts.publish(freshness=fresh(), is_forced=True)
    expected = [("Contact", ["contacts"], 1, False), ("Lead", ["leads"], 0, False)]
    assert contacts.query(f"SELECT {columns} FROM ops.freshness ORDER BY 1") == expected
    contacts.looks.held_back("acme", "leads")
    since = contacts.clock.now()
    contacts.clock.advance(60)
    contacts.looks.held_back("acme", "leads")
    assert contacts.publish(freshness=fresh(), **at_once).changed
    held = "SELECT object, held_back_since FROM ops.freshness WHERE held_back_since IS NOT NULL"
    assert contacts.query(held) == [("Lead", since)]
    contacts.looks.was_built("acme", "leads")
    assert contacts.publish(freshness=fresh(), **at_once).changed
    assert contacts.query(held) == []


def test_a_file_that_seems_to_come_from_the_future(contacts):
    """A file that was built while the clock was days ahead shows an error now, and not in days."""
    contacts.looks.probed("acme", {}, {"Contact": ValueError("gone")})
    contacts.clock.advance(-2 * 86_400)
    assert contacts.publish(freshness=contacts.fresh()).changed
    assert contacts.query("SELECT state FROM ops.freshness WHERE object = 'Contact'") == [
        ("failing",)
    ]
