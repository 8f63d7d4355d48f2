"""Stage what happens around people and deals: campaigns, roles, tasks, events, cases, invoices."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import noise
from crm_sandbox.salesforce.ids import make_ids
from crm_sandbox.salesforce.staging import Staging, with_life
from crm_sandbox.stamps import DAY, Integers

_CAMPAIGN_COUNTS = """
SELECT s.*, m.lead_count, m.contact_count, m.response_count, o.deal_count, o.won_count,
       o.deal_amount, o.won_amount
FROM {source} s
LEFT JOIN (
    SELECT "CampaignId", count("LeadId")::INTEGER AS lead_count,
           count("ContactId")::INTEGER AS contact_count,
           count(*) FILTER ("HasResponded")::INTEGER AS response_count
    FROM "CampaignMember" GROUP BY 1) m ON m."CampaignId" = s.id
LEFT JOIN (
    SELECT "CampaignId", count(*)::INTEGER AS deal_count,
           count(*) FILTER ("IsWon")::INTEGER AS won_count, sum("Amount") AS deal_amount,
           sum("Amount") FILTER ("IsWon") AS won_amount
    FROM "Opportunity" WHERE NOT "IsDeleted" GROUP BY 1) o ON o."CampaignId" = s.id
"""
_MEMBER_PEOPLE = """
SELECT s.*, coalesce(c."FirstName", l."FirstName") AS given,
       coalesce(c."LastName", l."LastName") AS family, coalesce(c."Email", l."Email") AS email
FROM {source} s
LEFT JOIN "Contact" c ON c."Id" = s.contact_id
LEFT JOIN "Lead" l ON l."Id" = s.lead_id
"""


def stage_campaigns(staging: Staging) -> None:
    """Stage campaigns, their members and the contact roles of deals, so attribution makes sense."""
    world = staging.world
    count = staging.campaign_count
    rng = world.rng("salesforce campaigns")
    themes = (
        "Spring Webinar",
        "Partner Day",
        "Newsletter",
        "Trade Fair",
        "Retargeting",
        "Messe Köln",
    )
    names = [f"{themes[k % len(themes)]} {2019 + k % 8} #{k + 1}" for k in range(count)]
    life = with_life(rng, world, count)
    staging.add(
        "Campaign",
        life
        | noise(rng, count)
        | {
            "name": pa.array(names),
            "status": pa.array(
                [("Completed", "In Progress", "Planned")[k % 3] for k in range(count)]
            ),
        },
        "701",
        _CAMPAIGN_COUNTS,
    )
    _stage_members(staging)
    _stage_roles(staging)


def _stage_members(staging: Staging) -> None:
    world, rng = staging.world, staging.world.rng("salesforce members")
    wanted = world.contacts // 2
    influenced = np.flatnonzero((staging.deal_campaign >= 0) & (staging.deal_contact >= 0))
    rest = max(0, wanted - len(influenced))
    is_lead = rng.random(rest) < 0.4
    contact = np.where(is_lead, -1, rng.integers(0, world.contacts, rest))
    lead = np.where(is_lead, rng.integers(0, staging.lead_count, rest), -1)
    campaign = rng.integers(0, staging.campaign_count, rest)
    contact = np.concatenate([staging.deal_contact[influenced], contact])
    lead = np.concatenate([np.full(len(influenced), -1), lead])
    campaign = np.concatenate([staging.deal_campaign[influenced], campaign])
    # Whoever influenced a deal was a member before the deal began.
    before = staging.deal_created[influenced] - rng.integers(1, 60, len(influenced)) * DAY
    later = world.epoch - 3600 - (rng.random(rest) * 6 * 365 * DAY).astype(np.int64)
    created = np.concatenate([before, later])
    member = np.where(lead >= 0, world.contacts + lead, contact)
    _, first = np.unique(campaign * (world.contacts * 2) + member, return_index=True)
    order = first[np.argsort(created[first], kind="stable")]
    count = len(order)
    stamps = created[order].astype("datetime64[s]")
    staging.add(
        "CampaignMember",
        {
            "i": np.arange(count),
            "campaign_id": make_ids("701", campaign[order]),
            "contact_id": make_ids("003", contact[order]),
            "lead_id": make_ids("00Q", lead[order]),
            "responded": rng.random(count) < 0.3,
            "created": stamps,
            "modified": stamps,
            "touched": stamps,
            "deleted": rng.random(count) < 0.01,
            "currency": np.array(["USD"] * count),
            **noise(rng, count, 2),
        },
        "00v",
        _MEMBER_PEOPLE,
    )


def _stage_roles(staging: Staging) -> None:
    rng = staging.world.rng("salesforce roles")
    deal = np.flatnonzero(staging.deal_contact >= 0)
    count = len(deal)
    stamps = staging.deal_created[deal].astype("datetime64[s]")
    staging.add(
        "OpportunityContactRole",
        {
            "i": np.arange(count),
            "opportunity_id": make_ids("006", deal),
            "contact_id": make_ids("003", staging.deal_contact[deal]),
            "is_primary": np.ones(count, dtype=bool),
            "created": stamps,
            "modified": stamps,
            "touched": stamps,
            "deleted": np.zeros(count, dtype=bool),
            "currency": np.array(["USD"] * count),
            **noise(rng, count, 2),
        },
        "00K",
    )


def stage_activities(staging: Staging) -> None:
    """Stage tasks, events, cases and invoices."""
    contacts = staging.world.contacts
    for name, prefix, count, deleted in (
        ("Task", "00T", contacts // 2, 0.02),
        ("Event", "00U", max(5, contacts // 8), 0.02),
        ("Case", "500", max(5, contacts // 8), 0.01),
        ("Invoice__c", "a01", max(5, contacts // 10), 0.01),
    ):
        rng = staging.world.rng(f"salesforce {name}")
        contact = rng.integers(0, contacts, count)
        account = staging.contact_company[contact]
        columns = with_life(rng, staging.world, count) | noise(rng, count)
        columns["deleted"] = rng.random(count) < deleted
        columns["contact_id"] = make_ids("003", np.where(rng.random(count) < 0.8, contact, -1))
        columns["account_id"] = make_ids("001", account)
        columns["opportunity_id"] = make_ids("006", _deals(rng, staging, count))
        if name == "Task":
            columns |= _about_leads(rng, staging, columns)
        staging.add(name, columns, prefix)


def _about_leads(
    rng: np.random.Generator, staging: Staging, columns: dict[str, Any]
) -> dict[str, Any]:
    """Make a quarter of the tasks about leads, which have neither account nor deal."""
    count = len(columns["deleted"])
    is_lead = pa.array(rng.random(count) < 0.25)
    leads = make_ids("00Q", rng.integers(0, staging.lead_count, count))
    nothing = pa.scalar(None, pa.string())
    return {
        "contact_id": pc.if_else(is_lead, leads, columns["contact_id"]),
        "account_id": pc.if_else(is_lead, nothing, columns["account_id"]),
        "opportunity_id": pc.if_else(is_lead, nothing, columns["opportunity_id"]),
    }


def _deals(rng: np.random.Generator, staging: Staging, count: int) -> Integers:
    deals = rng.integers(0, len(staging.deal_company), count)
    chosen: Integers = np.where(rng.random(count) < 0.35, deals, -1)
    return chosen
