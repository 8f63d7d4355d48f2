import itertools
from collections import defaultdict

import pytest

RATIOS = {
    "Account": 1 / 8, "Contact": 1, "Lead": 1 / 4, "Opportunity": 1 / 6, "OpportunityHistory": 4 / 6,
    "OpportunityLineItem": 1.5 / 6, "Task": 1 / 2, "Event": 1 / 8, "Case": 1 / 8,
    "CampaignMember": 1 / 2, "Invoice__c": 1 / 10,
}  # fmt: skip


@pytest.mark.parametrize(("name", "ratio"), RATIOS.items())
def test_sizes(sandbox, name: str, ratio: float) -> None:
    """Every object has its size relative to the contacts."""
    count = sandbox.salesforce.count(name, include_deleted=True)
    assert 0.85 * ratio * 300 <= count <= 1.15 * ratio * 300


def test_references_lead_somewhere(sandbox) -> None:
    """Every filled lookup to an object of the org points to an existing record."""
    truth = sandbox.salesforce
    objects = truth.org.objects
    ids = {
        one.name: {r["Id"] for r in truth.rows(one.name, include_deleted=True)} for one in objects
    }
    checked = 0
    for one in objects:
        rows = truth.rows(one.name, include_deleted=True)
        for field in one.fields:
            targets = [ids[name] for name in field.reference_to if name in ids]
            for value in {row[field.name] for row in rows if targets} - {None}:
                assert any(value in target for target in targets), (one.name, field.name, value)
                checked += 1
    assert checked > 500


def test_stamps_are_ordered(sandbox) -> None:
    """Created <= modified <= touched for every row of every object."""
    for one in sandbox.salesforce.org.objects:
        for row in sandbox.salesforce.rows(one.name, include_deleted=True):
            stamps = [
                row[k] for k in ("CreatedDate", "LastModifiedDate", "SystemModstamp") if k in row
            ]
            assert stamps == sorted(stamps)
            assert all(stamp <= sandbox.world.now for stamp in stamps)


def test_same_seed_same_rows(sandbox) -> None:
    """Another sandbox with the same seed has the same rows, another seed has not."""
    from crm_sandbox import SandboxServer

    same = SandboxServer(contacts=300, seed=7, now=sandbox.world.now)
    other = SandboxServer(contacts=300, seed=8, now=sandbox.world.now)
    for name in ("Contact", "OpportunityHistory", "CampaignMember"):
        assert same.salesforce.rows(name) == sandbox.salesforce.rows(name)
        assert other.salesforce.rows(name) != sandbox.salesforce.rows(name)
    same.stop()
    other.stop()


def test_history_tells_the_deal(sandbox) -> None:
    """The last stage change of a deal is its present state, and stages go forward in time."""
    truth = sandbox.salesforce
    order = {row["MasterLabel"]: row["SortOrder"] for row in truth.rows("OpportunityStage")}
    changes = defaultdict(list)
    for row in sorted(truth.rows("OpportunityHistory"), key=lambda r: (r["CreatedDate"], r["Id"])):
        changes[row["OpportunityId"]].append(row)
    deals = truth.rows("Opportunity", include_deleted=True)
    assert {deal["Id"] for deal in deals} == set(changes)
    for deal in deals:
        steps = changes[deal["Id"]]
        for field in ("StageName", "Amount", "Probability", "CloseDate"):
            assert steps[-1][field] == deal[field]
        assert steps[0]["CreatedDate"] == deal["CreatedDate"]
        ranks = [order[step["StageName"]] for step in steps]
        assert ranks == sorted(ranks)
        assert all(a["CreatedDate"] < b["CreatedDate"] for a, b in itertools.pairwise(steps))


def test_line_items_add_up(sandbox) -> None:
    """A deal's line items add up to its amount."""
    totals: dict[str, float] = defaultdict(float)
    for row in sandbox.salesforce.rows("OpportunityLineItem"):
        totals[row["OpportunityId"]] += row["TotalPrice"]
    deals = {
        row["Id"]: row["Amount"]
        for row in sandbox.salesforce.rows("Opportunity", include_deleted=True)
    }
    assert totals
    assert all(total == deals[deal] for deal, total in totals.items())


def test_what_belongs_to_a_deal_has_its_currency(sandbox) -> None:
    """Changes and line items are in the money of the deal, and deals in that of several countries."""
    truth = sandbox.salesforce
    deals = {
        row["Id"]: row["CurrencyIsoCode"] for row in truth.rows("Opportunity", include_deleted=True)
    }
    assert len(set(deals.values())) > 1
    for name in ("OpportunityHistory", "OpportunityLineItem"):
        rows = truth.rows(name, include_deleted=True)
        assert [r for r in rows if r["CurrencyIsoCode"] != deals[r["OpportunityId"]]] == []


def test_attribution_makes_sense(sandbox) -> None:
    """A campaign's deals have contacts that were its members before the deal began."""
    truth = sandbox.salesforce
    member = {
        (r["CampaignId"], r["ContactId"]): r
        for r in truth.rows("CampaignMember", include_deleted=True)
    }
    deals = {r["Id"]: r for r in truth.rows("Opportunity", include_deleted=True)}
    influenced = 0
    for role in truth.rows("OpportunityContactRole"):
        deal = deals[role["OpportunityId"]]
        if deal["CampaignId"]:
            seen = member[deal["CampaignId"], role["ContactId"]]["CreatedDate"]
            influenced += seen < deal["CreatedDate"]
    assert influenced >= 5


def test_merge_losers(sandbox) -> None:
    """Losers of merges are deleted and point to living winners."""
    rows = {row["Id"]: row for row in sandbox.salesforce.rows("Contact", include_deleted=True)}
    losers = [row for row in rows.values() if row["MasterRecordId"]]
    assert losers
    for loser in losers:
        assert loser["IsDeleted"]
        assert not rows[loser["MasterRecordId"]]["IsDeleted"]


def test_identities(sandbox) -> None:
    """The truth tells which records are one person, and it is not in any field of the org."""
    truth = sandbox.salesforce
    contacts, leads = truth.identities("Contact"), truth.identities("Lead")
    rows = {row["Id"]: row for row in truth.rows("Contact", include_deleted=True)}
    assert {one["Id"] for one in contacts} == set(rows)
    assert len({one["person"] for one in contacts}) < len(contacts)
    assert {one["person"] for one in contacts} & {one["person"] for one in leads}
    for one in contacts:
        assert (one["email_verdict"] == "missing") == (rows[one["Id"]]["Email"] is None)
    with pytest.raises(ValueError, match="holds no people"):
        truth.identities("Account")
