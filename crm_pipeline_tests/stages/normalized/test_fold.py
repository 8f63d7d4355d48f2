import pytest

from crm_pipeline.kernel.clock import Window
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts

BEFORE = "2026-01-01T00:00:00.000Z"
AFTER = "2026-02-01T00:00:00.000Z"


def contact(name, stamp=BEFORE, **more):
    return {"Id": "003A", "LastName": name, "SystemModstamp": stamp, **more}


@pytest.fixture
def contacts(org, schema_of):
    org.schema = schema_of("Contact", "LastName")
    return org


def state(org):
    org.normalize("contacts")
    return org.rows("contacts", "last_name, is_deleted")


def test_the_newest_stamp_wins_whatever_was_read_last(contacts):
    """A late read of an older state does not undo a newer one."""
    contacts.land(contacts.schema, [contact("new", AFTER)])
    contacts.land(contacts.schema, [contact("old", BEFORE)])
    assert state(contacts) == [("new", False)]


def test_of_equal_stamps_the_later_read_wins(contacts):
    """Of equal modification times the later read wins, because formulas change without them."""
    contacts.land(contacts.schema, [contact("first")])
    contacts.land(contacts.schema, [contact("second")], shape="json")
    assert state(contacts) == [("second", False)]


def test_a_record_twice_in_one_batch_is_one_row(contacts):
    """A record twice in one batch is one row: the later line wins."""
    contacts.land(contacts.schema, [contact("one"), contact("two")])
    assert state(contacts) == [("two", False)]


def test_a_deleted_record_stays_as_a_deleted_row(contacts):
    """Deleting keeps the row and marks it."""
    contacts.land(contacts.schema, [contact("x")])
    contacts.land(contacts.schema, [contact("x", AFTER, IsDeleted="true")])
    assert state(contacts) == [("x", True)]


def test_a_restored_record_lives_again(contacts):
    """A live read with a newer modification time than the deletion restores the record."""
    contacts.land(contacts.schema, [contact("x", BEFORE, IsDeleted="true")])
    contacts.land(contacts.schema, [contact("x", AFTER)])
    assert state(contacts) == [("x", False)]


def test_a_tombstone_without_stamp_ends_what_was_read_before(contacts):
    """A later tombstone without a modification time deletes the record, and its values stay."""
    contacts.land(contacts.schema, [contact("x", AFTER)])
    contacts.land(contacts.schema, [contact(None, "", IsDeleted="true")])
    assert state(contacts) == [("x", True)]


def test_a_later_live_read_supersedes_a_tombstone_without_stamp(contacts):
    """A live read after a tombstone without a modification time restores the record, even with its old time."""
    contacts.land(contacts.schema, [contact("x", AFTER)])
    contacts.land(contacts.schema, [contact(None, "", IsDeleted="true")])
    contacts.land(contacts.schema, [contact("older stamp", BEFORE)])
    assert state(contacts) == [("x", False)]


def test_absence_from_a_complete_read_is_a_deletion(contacts):
    """Only a read that held every live record proves a deletion by absence."""
    contacts.land(contacts.schema, [contact("x"), {"Id": "003B", "LastName": "y"}], complete=True)
    contacts.land(contacts.schema, [{"Id": "003B", "LastName": "y"}], complete=True)
    assert state(contacts) == [("x", True), ("y", False)]


def test_absence_from_an_incomplete_read_is_nothing(contacts):
    """Absence from a window of changes deletes nothing."""
    contacts.land(contacts.schema, [contact("x"), {"Id": "003B", "LastName": "y"}])
    contacts.land(contacts.schema, [{"Id": "003B", "LastName": "y2", "SystemModstamp": AFTER}])
    assert state(contacts) == [("x", False), ("y2", False)]


def test_a_complete_read_of_nothing_deletes_all(contacts):
    """A complete read without records deletes all."""
    contacts.land(contacts.schema, [contact("x")], complete=True)
    contacts.land(contacts.schema, [], complete=True)
    assert state(contacts) == [("x", True)]


def test_ids_that_differ_in_case_are_different_records(contacts):
    """Ids that differ in case only are different records."""
    rows = [{"Id": "003a", "LastName": "low"}, {"Id": "003A", "LastName": "high"}]
    contacts.land(contacts.schema, rows)
    assert state(contacts) == [("high", False), ("low", False)]


def test_a_complete_read_with_quarantined_rows_deletes_nothing(contacts):
    """A complete read with quarantined rows deletes nothing, because the missing record may be among them."""
    contacts.land(contacts.schema, [contact("kept"), {**contact("other"), "Id": "003B"}])
    window = Window(None, contacts.clock.now())
    with contacts.landing.begin("acme", "Contact", window, contacts.schema) as writer:
        writer.quarantine([Reject("2 cells where 5 were expected", b'"003A","kept"')])
        writer.commit(Counts(complete=True))
    assert state(contacts) == [("kept", False), ("other", False)]
