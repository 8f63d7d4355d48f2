"""Which field has taken the place of a removed one, asked of the vendor for a few records."""

import pytest

from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline.stages.raw import note_changes, prove_renames
from crm_pipeline.store.drift import Change, Register
from crm_pipeline_tests.harness import Harness


def changes_of(harness: Harness, obj: str = "Contact") -> list[Change]:
    """Extract an object again, note and prove its changes, as the raw asset does; return the open ones."""
    register = Register(harness.landing.root, harness.clock)
    before = harness.landing.latest_schema("demo", obj)
    harness.advance()
    harness.extract(obj, mode="refresh")
    note_changes(harness.landing, register, DriftPolicies(), "demo", obj, before=before)
    with harness.account() as account:
        settings = harness.settings.connection("demo").object(obj)
        prove_renames(account, settings, harness.landing, register, "demo")
    return register.open("demo", obj)


def test_a_renamed_field_is_proven_by_values(harness: Harness) -> None:
    """Of two new fields the one with the values is proposed, by twenty records, whatever the names say."""
    harness.extract()
    harness.org.rename_field("Contact", "Phone", "Direct_Line__c")
    harness.org.add_field("Contact", "Phone_2__c", "Phone")
    [change] = changes_of(harness)
    assert (change.kind, change.field, change.proposal) == ("removed", "Phone", "Direct_Line__c")
    compared, same = (
        change.evidence[n] for n in ("records_compared", "records_with_the_same_value")
    )
    assert 3 <= same <= compared <= 20  # type: ignore[operator]
    points = [w for w in harness.landing.windows("demo", "Contact") if w.is_point]
    assert [window.records <= 20 for window in points] == [True]


def test_a_deleted_field_has_no_successor(harness: Harness) -> None:
    """A field that went while an unrelated one came is not taken for a rename; nothing is read where none came."""
    harness.extract()
    harness.org.hide_field("Contact", "Title")
    [change] = changes_of(harness)
    assert (change.proposal, change.evidence) == ("", {})
    assert not [w for w in harness.landing.windows("demo", "Contact") if w.is_point]
    harness.org.hide_field("Contact", "Phone")
    harness.org.add_field("Contact", "Shoe_Size__c", "Shoe size")
    gone = {change.field: change for change in changes_of(harness)}
    assert gone["Phone"].proposal == ""
    assert gone["Phone"].evidence["records_with_the_same_value"] == 0


def test_a_vendor_that_cannot_be_asked_proves_nothing(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    """The change stays open without a proposal, the reason is logged, and the next read tries again."""
    harness.extract()
    harness.org.rename_field("Contact", "Phone", "Direct_Line__c")
    harness.sandbox.faults.order(
        "status", path=r"/queryAll.*WHERE.{1,3}Id.{1,3}IN", status=400, body="[]", times=9
    )
    [change] = changes_of(harness)
    assert change.proposal == ""
    harness.sandbox.faults.clear()
    [change] = changes_of(harness)
    assert change.proposal == "Direct_Line__c"
