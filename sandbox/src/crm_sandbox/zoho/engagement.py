"""Stage what happens around people and deals: campaigns, roles, activities, cases, quotes, contracts."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crm_sandbox.companies import noise
from crm_sandbox.deals import split_amounts
from crm_sandbox.kernel.staging import with_life
from crm_sandbox.stamps import DAY
from crm_sandbox.zoho.staging import PRODUCT_COUNT, USER_COUNT, Staging, born

_THEMES = ("Spring Webinar", "Partner Day", "Newsletter", "Trade Fair", "Retargeting", "Messe Köln")


def stage_campaigns(staging: Staging) -> None:
    """Stage campaigns, their members and the contact roles of deals, so attribution makes sense."""
    count = staging.campaign_count
    rng = staging.rng("campaigns")
    names = [f"{_THEMES[k % len(_THEMES)]} {2019 + k % 8} #{k + 1}" for k in range(count)]
    states = [("Complete", "Active", "Planning")[k % 3] for k in range(count)]
    life = with_life(rng, staging.world, count) | noise(rng, count)
    staging.add("Campaigns", life | {"name": pa.array(names), "status": pa.array(states)})
    _stage_members(staging)
    deal = np.flatnonzero(staging.deal_contact >= 0)
    # Some deals have a second person, whom another deal has as well.
    main = staging.deal_contact[deal]
    other = np.roll(main, 1)
    has_two = (deal % 3 == 0) & (other != main)
    role = pa.array(["Decision Maker", "Influencer"])
    of = np.concatenate([deal, deal[has_two]])
    roles = born(staging.deal_created[of]) | {
        "deal_id": staging.ids.many("Deals", of),
        "contact_id": staging.ids.many("Contacts", np.concatenate([main, other[has_two]])),
        "role": role.take(pa.array(np.concatenate([deal % 2, np.ones(has_two.sum(), int)]))),
    }
    staging.relations["Deal_Contacts"] = staging.register("Deal_Contacts", pa.table(roles))
    team = np.flatnonzero(staging.deal_company % 5 == 0)
    members = np.repeat(team, 2)
    staging.add(
        "Deal_Team",
        born(np.repeat(staging.deal_created[team], 2))
        | {
            "left_id": staging.ids.many("Deals", members),
            "right_id": staging.ids.many(
                "Users", (members + np.arange(len(members)) % 2) % USER_COUNT
            ),
        },
    )


def _stage_members(staging: Staging) -> None:
    world, rng = staging.world, staging.rng("members")
    influenced = np.flatnonzero((staging.deal_campaign >= 0) & (staging.deal_contact >= 0))
    rest = max(0, world.contacts // 2 - len(influenced))
    is_lead = rng.random(rest) < 0.4
    contact = np.where(is_lead, -1, rng.integers(0, world.contacts, rest))
    lead = np.where(is_lead, rng.integers(0, staging.lead_count, rest), -1)
    contact = np.concatenate([staging.deal_contact[influenced], contact])
    lead = np.concatenate([np.full(len(influenced), -1), lead])
    campaign = np.concatenate(
        [staging.deal_campaign[influenced], rng.integers(0, staging.campaign_count, rest)]
    )
    # Whoever influenced a deal was a member before the deal began.
    before = staging.deal_created[influenced] - rng.integers(1, 60, len(influenced)) * DAY
    later = world.epoch - 3600 - (rng.random(rest) * 6 * 365 * DAY).astype(np.int64)
    created = np.concatenate([before, later])
    member = np.where(lead >= 0, world.contacts + lead, contact)
    _, first = np.unique(campaign * (world.contacts * 2) + member, return_index=True)
    order = first[np.argsort(created[first], kind="stable")]
    staging.add(
        "Campaign_Members",
        born(created[order])
        | {
            "campaign_id": staging.ids.many("Campaigns", campaign[order]),
            "contact_id": staging.ids.many("Contacts", contact[order]),
            "lead_id": staging.ids.many("Leads", lead[order]),
            "status": pa.array(["Planned", "Invited", "Sent", "Received", "Opened"]).take(
                pa.array(rng.integers(0, 5, len(order)))
            ),
        },
    )


def stage_activities(staging: Staging) -> None:
    """Stage tasks, meetings, calls, notes, cases, service contracts and what contacts like."""
    contacts = staging.world.contacts
    for table, count, deleted in (
        ("Tasks", contacts // 2, 0.02),
        ("Events", max(5, contacts // 8), 0.02),
        ("Calls", max(5, contacts // 4), 0.01),
        ("Notes", max(5, contacts // 3), 0.01),
        ("Cases", max(5, contacts // 8), 0.01),
        ("Service_Contracts", max(5, contacts // 10), 0.01),
    ):
        rng = staging.rng(table)
        columns = with_life(rng, staging.world, count) | noise(rng, count)
        columns["deleted"] = rng.random(count) < deleted
        contact = rng.integers(0, contacts, count)
        columns["contact_id"] = staging.ids.many(
            "Contacts", np.where(rng.random(count) < 0.8, contact, -1)
        )
        columns["account_id"] = staging.ids.many("Accounts", staging.contact_company[contact])
        deals = rng.integers(0, len(staging.deal_company), count)
        columns["deal_id"] = staging.ids.many(
            "Deals", np.where(rng.random(count) < 0.35, deals, -1)
        )
        staging.add(table, columns | _about(rng, staging, columns))
    liking = np.arange(0, contacts, 3)
    rng = staging.rng("interests")
    staging.add(
        "Interested_Products",
        born(staging.world.epoch - 7200 - rng.integers(0, 400 * DAY, len(liking)))
        | {
            "left_id": staging.ids.many("Contacts", liking),
            "right_id": staging.ids.many("Products", rng.integers(0, PRODUCT_COUNT, len(liking))),
        },
    )


def _about(
    rng: np.random.Generator, staging: Staging, columns: dict[str, Any]
) -> dict[str, pa.Array]:
    """Say what an activity is about; a quarter is about leads, which are no contacts yet."""
    count = len(columns["deleted"])
    draw = rng.random(count)
    about = pa.array(np.select([draw < 0.25, draw < 0.6, draw < 0.85], [0, 1, 2], 3))
    leads = staging.ids.many("Leads", rng.integers(0, staging.lead_count, count))
    deals = staging.ids.many("Deals", rng.integers(0, len(staging.deal_company), count))
    whats = pc.choose(about, leads, deals, columns["account_id"], pa.scalar(None, pa.int64()))
    modules = pa.array(["Leads", "Deals", "Accounts", None])
    is_lead = pc.equal(about, 0)
    return {
        "what_id": whats,
        "what_module": modules.take(about),
        "contact_id": pc.if_else(is_lead, pa.scalar(None, pa.int64()), columns["contact_id"]),
    }


def stage_quotes(staging: Staging) -> None:
    """Stage quotes for four deals in ten, with lines that add up to the deal's amount."""
    rng, ids = staging.rng("quotes"), staging.ids
    deal = np.flatnonzero(rng.random(len(staging.deal_company)) < 0.4)
    count = len(deal)
    amount = staging.deal_amount[deal]
    life = born(np.minimum(staging.deal_created[deal] + 3 * DAY, staging.world.epoch - 7200))
    staging.add(
        "Quotes",
        life
        | noise(rng, count)
        | {
            "deal_id": ids.many("Deals", deal),
            "account_id": ids.many("Accounts", staging.deal_company[deal]),
            "contact_id": ids.many("Contacts", staging.deal_contact[deal]),
            "total": amount,
        },
    )
    quote = np.repeat(np.arange(count), rng.integers(1, 5, count))
    lines = len(quote)
    first = np.searchsorted(quote, quote, "left")
    staging.add(
        "Quoted_Items",
        born(np.asarray(life["created"]).astype(np.int64)[quote])
        | {
            "quote_id": ids.many("Quotes", quote),
            "product_id": ids.many("Products", rng.integers(0, PRODUCT_COUNT, lines)),
            "position": np.arange(lines) - first + 1,
            "quantity": rng.integers(1, 11, lines),
            "total": split_amounts(rng, amount, quote),
        },
    )
