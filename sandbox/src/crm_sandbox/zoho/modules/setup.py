"""Campaigns, Users, and what is listed as a module without having records of its own."""

from typing import Any

from crm_sandbox.zoho.schema import (
    Module,
    area,
    choice,
    contact_point,
    day,
    life,
    lookup,
    make,
    moment,
    number,
    record_id,
    text,
)

_FIXED: dict[str, Any] = {"read_only": True}

CAMPAIGNS = Module(
    "Campaigns",
    "Campaign",
    "Campaigns",
    (
        record_id(),
        text("Campaign_Name", "name", 200, mandatory=True),
        choice("Type", ("Conference", "Webinar", "Trade Show", "Email", "Advertisement")),
        choice("Status", ("Planning", "Active", "Inactive", "Complete"), "status"),
        day("Start_Date", "created::DATE"),
        day("End_Date", "created::DATE + 60"),
        number("Expected_Revenue", "currency", "(r2 % 900) * 1000.0"),
        number("Budgeted_Cost", "currency", "(r3 % 90) * 1000.0"),
        number("Actual_Cost", "currency", "(r4 % 90) * 990.5"),
        text("Expected_Response", "(r5 % 20)::VARCHAR", 16),
        text("Num_sent", "(r6 % 9000)::VARCHAR", 16),
        lookup("Parent_Campaign", "Campaigns"),
        area("Description", "'Spring & autumn \"push\"'"),
        choice("Currency", ("USD", "EUR", "GBP"), "zoho_currency(r5)"),
        number("Exchange_Rate", "double", "zoho_rate(zoho_currency(r5))", **_FIXED),
        *life(),
    ),
    title="Campaign_Name",
)

USERS = Module(
    "Users",
    "User",
    "Users",
    (
        record_id(),
        text("first_name", "given", 100),
        text("last_name", "family", 100),
        text("full_name", "given || ' ' || family"),
        contact_point("email", "email", "email"),
        choice("status", ("active", "disabled", "deleted"), "status"),
        lookup("Reporting_To", "Users", "manager_id", kind="ownerlookup"),
        make("zuid", "text", "(700000000 + i)::VARCHAR"),
        moment("created_time", "created", **_FIXED),
        moment("Modified_Time", "touched", **_FIXED),
    ),
    title="full_name",
    api_supported=False,
    hidden=True,
)


def _listed(name: str, *, supported: bool, kind: str = "default") -> Module:
    return Module(name, name, name, (), kind=kind, api_supported=supported, listed_only=True)


SETUP_MODULES = (
    CAMPAIGNS,
    USERS,
    _listed("Visits", supported=True),
    _listed("Home", supported=False),
    _listed("Dashboards", supported=False),
    _listed("Feeds", supported=False),
)
