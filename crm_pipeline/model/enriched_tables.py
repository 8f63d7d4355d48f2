"""Tables of the stage `enriched`: who is worth buying facts about, and the facts that were bought."""

from collections.abc import Mapping

from crm_pipeline.model.table import INSTANT, MONEY, TEXTS, Column, text
from crm_pipeline.model.verified_tables import StageTable

TAKEN: Mapping[str, str] = {
    "title": "job_title",
    "department": "department",
    "email": "email",
    "mobile_phone": "mobile",
    "city": "city",
    "state": "state",
    "country": "country",
}
"""The columns of persons that a bought fact may fill where the CRM has no value, and the fact's field."""
BOUGHT_ONLY: Mapping[str, str] = {
    "seniority": "Seniority of the present job.",
    "headline": "Headline of the public profile.",
    "profile": "Address of the public profile.",
    "company_domain": "Domain of the employer.",
    "company_industry": "Industry of the employer.",
    "company_employees": "Number of employees of the employer.",
}
"""Facts that no column of a CRM has, with their descriptions."""

_ASKED_FOR = text(
    "asked_for",
    "What a purchase is known by: email:, profile: or name: with the normal form. The same person has one in all CRMs.",
)

ENRICHMENT_WANTED = StageTable(
    "enrichment_wanted",
    "Persons whom it is worth buying facts about, one row each, by the choices under `enrichment` in connections.yaml. "
    "Nobody is in it who opted out in any CRM, or about whom the answer is known.",
    ("asked_for",),
    (
        _ASKED_FOR,
        Column("place", "BIGINT", "Order in which they are bought, from 1."),
        Column("gaps", TEXTS, "The columns without a value."),
        text("full_name", "Full name."),
        text("first_name", "First name."),
        text("last_name", "Last name."),
        text("email", "The address in its normal form; NULL where there is none that can be used."),
        text("verdict", "What the address is good for, see email_verdicts."),
        text("company_name", "Name of the company."),
        text("company_domain", "Domain of the company's website."),
        Column(
            "open_deals",
            "BIGINT",
            "Open deals of the person or the company, without archived ones.",
        ),
        Column(
            "open_amount",
            MONEY,
            "Sum of the amounts of these deals; NULL where there are none, or in several currencies.",
        ),
        Column(
            "modified_at", INSTANT, "When one of the records was last changed in the CRM (UTC)."
        ),
        Column("records", TEXTS, "Keys of all live records of the person."),
    ),
)
ENRICHMENTS = StageTable(
    "enrichments",
    "Facts that were bought, one row per fact, apart from what the CRMs say; a purchase without a match is one row "
    "without a field.",
    ("asked_for", "kind", "provider"),
    (
        _ASKED_FOR,
        text("kind", "person or company."),
        text("provider", "Name of the provider in connections.yaml."),
        text(
            "status",
            "match, no_match, invalid_input, masked (the provider shows no value) or restricted (never ask again).",
        ),
        Column("position", "BIGINT", "Place of the fact in the purchase, from 1."),
        text("field", "What the fact is about: job_title, mobile, company_industry and so on."),
        text("value", "The value as text."),
        text("fact_status", "verified or unverified, where the provider says so."),
        Column("confidence", "DOUBLE", "From 0 to 1, where the provider says so."),
        Column("bought_at", INSTANT, "When the answer came (UTC)."),
        Column(
            "cost",
            "BIGINT",
            "Credits of the purchase, the same in all its rows: sum it over position = 1.",
        ),
        Column("is_free", "BOOLEAN", "Whether it had been bought before and cost nothing now."),
        Column("records", TEXTS, "Keys of the records that it was bought for."),
    ),
)
