"""The truth of every vendor, under one name."""

from collections.abc import Callable, Mapping

from crm_pipeline_tests.meaning import (
    truth_hubspot,
    truth_pipedrive,
    truth_salesforce,
    truth_zoho,
)
from crm_pipeline_tests.meaning.answers import Answers
from crm_pipeline_tests.meaning.facts import Tables

_TRUTHS: Mapping[str, Callable[[Answers, str], Tables]] = {
    "salesforce": truth_salesforce.tables,
    "hubspot": truth_hubspot.tables,
    "pipedrive": truth_pipedrive.tables,
    "zoho": truth_zoho.tables,
}
TABLES: Mapping[str, tuple[str, ...]] = {
    vendor: (
        *(
            "deals",
            "stage_stays",
            "stage_on_day",
            "activities",
            "deal_activity",
            "contacts",
            "leads",
        ),
        *("users", "products", "exchange_rates", "deal_contacts", "gone", "connections"),
        *(("merges",) if vendor in {"salesforce", "hubspot"} else ()),
        *(("deal_companies", "contact_companies") if vendor == "hubspot" else ()),
    )
    for vendor in _TRUTHS
}
"""The tables of facts that are known of each vendor."""


def truth(answers: Answers, connection: str) -> Tables:
    """Return every derived fact of an account, by table and key."""
    found = _TRUTHS[answers.vendor(connection)](answers, connection)
    # Roles of deleted people stay in some CRMs; a bridge leads from what is there to what is there.
    there = {*found["deals"], *found["contacts"]}
    pairs = found["deal_contacts"].items()
    found["deal_contacts"] = {key: row for key, row in pairs if {*key.split("|")} <= there}
    facts = answers.facts(connection)
    found["connections"] = {connection: {"time_zone": facts.zone, "currency": facts.currency}}
    assert found.keys() == set(TABLES[answers.vendor(connection)])
    return found
