"""`ops.freshness`: what it tells, and when a change of it alone is published."""

import pytest

from crm_pipeline.store.freshness import Freshness, freshness_of
from crm_pipeline.store.looks import Looks

COLUMNS = (
    "object, state, is_whole, read_to = published_at, current_at = published_at, error, is_late"
)


@pytest.fixture
def contacts(org, described):
    """A contact, published with how fresh it is; a lead that is configured and was never read."""
    org.schema = described("Contact", "LastName:string:Last Name")
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
    """One that was never read stands there as unread."""
    assert contacts.query(f"SELECT {COLUMNS} FROM ops.freshness, ops.publication ORDER BY 1") == [
        ("Contact", "current", True, True, True, None, False),
        ("Lead", "unread", False, None, None, None, False),
    ]


def test_a_change_of_it_alone_is_published_at_most_hourly(contacts):
    """An error that appears or vanishes waits until the file is an hour old; so does what becomes late, and time
    alone is no other change. Each publish is a snapshot of its own."""
    contacts.clock.advance(86_400)
    assert contacts.publish(freshness=contacts.fresh()).changed
    assert contacts.query("SELECT object FROM ops.freshness WHERE is_late") == [("Contact",)]
    contacts.clock.advance(86_400)
    assert not contacts.publish(freshness=contacts.fresh()).changed
    contacts.publish(freshness=contacts.fresh(), is_forced=True)
    contacts.looks.probed("acme", {}, {"Contact": ValueError("gone")})
    contacts.clock.advance(3_540)
    assert not contacts.publish(freshness=contacts.fresh()).changed
    contacts.clock.advance(60)
    failing = contacts.publish(freshness=contacts.fresh())
    states = "SELECT state, error FROM ops.freshness WHERE object = 'Contact'"
    assert (failing.changed, contacts.query(states)) == (True, [("failing", "ValueError: gone")])
    contacts.looks.probed("acme", {"Contact": True}, {})
    assert not contacts.publish(freshness=contacts.fresh()).changed
    contacts.clock.advance(3_600)
    current = contacts.publish(freshness=contacts.fresh())
    assert (current.changed, contacts.query(states)) == (True, [("current", None)])
    assert failing.path.name != current.path.name


def test_looks_that_find_nothing_new_publish_nothing(contacts):
    """Hours of unchanged data are one snapshot, so that those kept hold different data."""
    for _ in range(3):
        contacts.clock.advance(3_600)
        contacts.looks.probed("acme", {"Contact": True}, {})
        contacts.looks.was_read("acme", "Contact", contacts.clock.now())
        assert not contacts.publish(freshness=contacts.fresh()).changed
    assert len(list(contacts.data.glob("snapshots/*.duckdb"))) == 1
