"""Campaigns and their members."""

from typing import Any

from crm_sandbox.salesforce.schema import (
    SObject,
    area,
    audit_fields,
    choice,
    contact_point,
    currency,
    day,
    flag,
    money,
    number,
    owner,
    record_id,
    reference,
    text,
    viewed_fields,
)

_FIXED: dict[str, Any] = {"createable": False, "updateable": False}
_TYPES = ("Conference", "Webinar", "Trade Show", "Email", "Advertisement", "Referral Program")

CAMPAIGN = SObject(
    "Campaign",
    "701",
    "Campaigns",
    (
        record_id(),
        *audit_fields()[:1],
        text("Name", 80, "name", nillable=False, name_field=True),
        reference("ParentId", "Campaign"),
        choice("Type", _TYPES),
        choice("Status", ("Planned", "In Progress", "Completed", "Aborted"), "status"),
        day("StartDate", "created::DATE"),
        day("EndDate", "created::DATE + 60"),
        currency(),
        money("ExpectedRevenue", "(r2 % 900) * 1000.0"),
        money("BudgetedCost", "(r3 % 90) * 1000.0"),
        money("ActualCost", "(r4 % 90) * 990.5"),
        number("ExpectedResponse", "percent", "(r5 % 20)::DOUBLE", scale=2),
        number("NumberSent", "double", "(r6 % 9000)::DOUBLE"),
        flag("IsActive", "r2 % 3 > 0"),
        area("Description", 32_000, "'Spring & autumn \"push\"'"),
        number("NumberOfLeads", "int", "lead_count", **_FIXED),
        number("NumberOfContacts", "int", "contact_count", **_FIXED),
        number("NumberOfResponses", "int", "response_count", **_FIXED),
        number("NumberOfOpportunities", "int", "deal_count", **_FIXED),
        number("NumberOfWonOpportunities", "int", "won_count", **_FIXED),
        money("AmountAllOpportunities", "deal_amount", **_FIXED),
        money("AmountWonOpportunities", "won_amount", **_FIXED),
        owner(),
        *audit_fields()[1:],
        day("LastActivityDate", **_FIXED),
        *viewed_fields(),
    ),
)

CAMPAIGN_MEMBER = SObject(
    "CampaignMember",
    "00v",
    "Campaign Members",
    (
        record_id(),
        *audit_fields()[:1],
        reference("CampaignId", "Campaign", "campaign_id", nillable=False),
        reference("LeadId", "Lead", "lead_id"),
        reference("ContactId", "Contact", "contact_id"),
        choice(
            "Status", ("Sent", "Responded"), "CASE WHEN responded THEN 'Responded' ELSE 'Sent' END"
        ),
        flag("HasResponded", "responded", **_FIXED),
        *audit_fields()[1:],
        day("FirstRespondedDate", "CASE WHEN responded THEN created::DATE END", **_FIXED),
        currency(),
        text("FirstName", 40, "given", **_FIXED),
        text("LastName", 80, "family", **_FIXED),
        contact_point("Email", "email", "email", **_FIXED),
        text("Name", 121, "given || ' ' || family", name_field=True, **_FIXED),
        choice(
            "Type",
            ("Lead", "Contact"),
            "CASE WHEN lead_id IS NULL THEN 'Contact' ELSE 'Lead' END",
            **_FIXED,
        ),
        reference(
            "LeadOrContactId", ("Contact", "Lead"), "coalesce(lead_id, contact_id)", **_FIXED
        ),
    ),
)

MARKETING_OBJECTS = (CAMPAIGN, CAMPAIGN_MEMBER)
