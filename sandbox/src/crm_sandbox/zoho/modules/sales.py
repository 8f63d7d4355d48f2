"""Deals with the history of their stages, Products, Quotes with their lines, and a custom module."""

from typing import Any

from crm_sandbox.zoho.modules.parties import SOURCES
from crm_sandbox.zoho.schema import (
    Module,
    area,
    choice,
    contact_point,
    day,
    flag,
    life,
    lookup,
    make,
    moment,
    number,
    picked,
    record_id,
    text,
    user,
)

_FIXED: dict[str, Any] = {"read_only": True}
_OWN: dict[str, Any] = {"custom": True}
# The vendor counts midnights of the org's zone, not hours.
_STAY = "zoho_day(left_at) - zoho_day(touched)"
_LOST = ("Price", "Competition", "Future Interest", "Other")

DEALS = Module(
    "Deals",
    "Deal",
    "Deals",
    (
        record_id(),
        text("Deal_Name", "account_name || ' ' || year(created)", 120, mandatory=True),
        lookup("Account_Name", "Accounts", "account_id"),
        lookup("Contact_Name", "Contacts", "contact_id"),
        # Population and metadata put the account's own stages and pipelines in.
        choice("Stage", (), "stage_name", mandatory=True),
        choice("Pipeline", (), "pipeline_name"),
        number("Amount", "currency", "amount::DOUBLE"),
        number("Probability", "integer", "probability"),
        number("Expected_Revenue", "currency", "amount * probability / 100.0", **_FIXED),
        day("Closing_Date", "close_at::DATE"),
        choice("Type", ("Existing Business", "New Business")),
        choice("Lead_Source", SOURCES),
        lookup("Campaign_Source", "Campaigns", "campaign_id"),
        text("Next_Step", "CASE WHEN r3 % 3 = 0 THEN 'Call back, then \"quote\"' END", 100),
        choice("Reason_For_Loss__s", _LOST, f"CASE WHEN is_lost THEN {picked(_LOST, 'r4')} END"),
        number("Overall_Sales_Duration", "integer", "sales_days", **_FIXED),
        number("Sales_Cycle_Duration", "integer", "sales_days", **_FIXED),
        moment("Stage_Modified_Time", '"at"', **_FIXED),
        area("Description", "CASE WHEN r5 % 4 = 0 THEN 'Line 1' || chr(10) || 'Line 2' END"),
        choice("Currency", ("USD", "EUR", "GBP"), "zoho_currency(r5)"),
        number("Exchange_Rate", "double", "zoho_rate(zoho_currency(r5))", **_FIXED),
        number("Margin", "percent", "(r4 % 60)::DOUBLE", **_OWN),
        text("Purchase_Order", "CASE WHEN r6 % 3 = 0 THEN lpad((r6 % 99999)::VARCHAR, 7, '0') END"),
        make("Deal_Team", "multiuserlookup", rows="Deal_Team", target="Users"),
        *life(),
    ),
    title="Deal_Name",
)

DEAL_HISTORY = Module(
    "DealHistory",
    "Stage History",
    "Stage History",
    (
        record_id(),
        lookup("Potential_Name", "Deals", "deal_id", **_FIXED),
        choice("Stage", (), "stage_name", **_FIXED),
        choice("Moved_To__s", (), "moved_to", **_FIXED),
        number("Stage_Duration_Calendar_Days", "integer", _STAY, **_FIXED),
        number("Amount", "currency", "amount::DOUBLE", **_FIXED),
        number("Probability", "integer", "probability", **_FIXED),
        number("Expected_Revenue", "currency", "amount * probability / 100.0", **_FIXED),
        day("Close_Date", "close_at::DATE", **_FIXED),
        choice("Currency", ("USD", "EUR", "GBP"), "zoho_currency(r5)", **_FIXED),
        number("Exchange_Rate", "double", "zoho_rate(zoho_currency(r5))", **_FIXED),
        moment("Last_Activity_Time", '"at"', **_FIXED),
        moment("Modified_Time", "touched", **_FIXED),
        user("Modified_By", **_FIXED),
    ),
    kind="field_tracker",
    title="Stage",
    creatable=False,
)

PRODUCTS = Module(
    "Products",
    "Product",
    "Products",
    (
        record_id(),
        text("Product_Name", "name", 200, mandatory=True),
        text("Product_Code", "code", 50),
        flag("Product_Active", "r2 % 9 > 0"),
        choice("Product_Category", ("Hardware", "Software", "Service")),
        choice("Manufacturer", ("AltvetPet Inc.", "LexPon Inc.", "MetBeat Corp.")),
        number("Unit_Price", "currency", "price"),
        number("Qty_in_Stock", "double", "(r3 % 500)::DOUBLE"),
        flag("Taxable", "r4 % 2 = 0"),
        choice("Usage_Unit", ("Box", "Each", "Hour", "Pack")),
        area("Description", "CASE WHEN r5 % 2 = 0 THEN name || ' · \"new\"' END"),
        *life(),
    ),
    title="Product_Name",
)

QUOTES = Module(
    "Quotes",
    "Quote",
    "Quotes",
    (
        record_id(),
        text("Quote_Number", "(5000000 + i)::VARCHAR", 120, **_FIXED),
        text("Subject", "'Quote ' || i", 300, mandatory=True),
        lookup("Deal_Name", "Deals", "deal_id"),
        lookup("Account_Name", "Accounts", "account_id"),
        lookup("Contact_Name", "Contacts", "contact_id"),
        choice(
            "Quote_Stage",
            ("Draft", "Negotiation", "Delivered", "On Hold", "Confirmed", "Closed Won"),
        ),
        day("Valid_Till", "created::DATE + 30"),
        number("Sub_Total", "currency", "total::DOUBLE", **_FIXED),
        number("Discount", "currency", "0.0"),
        number("Tax", "currency", "0.0", **_FIXED),
        number("Adjustment", "currency", "0.0"),
        number("Grand_Total", "currency", "total::DOUBLE", **_FIXED),
        make(
            "Quoted_Items",
            "subform",
            rows="Quoted_Items",
            target="Quoted_Items",
            mandatory=True,
            coql=False,
        ),
        area("Terms_and_Conditions", "'Net 30'"),
        area("Description"),
        choice("Currency", ("USD", "EUR", "GBP"), "zoho_currency(r5)"),
        number("Exchange_Rate", "double", "zoho_rate(zoho_currency(r5))", **_FIXED),
        *life(),
    ),
    title="Subject",
)

QUOTED_ITEMS = Module(
    "Quoted_Items",
    "Quoted Item",
    "Quoted Items",
    (
        record_id(),
        lookup("Parent_Id", "Quotes", "quote_id", **_FIXED),
        lookup("Product_Name", "Products", "product_id", mandatory=True),
        number("Sequence_Number", "integer", "position", **_FIXED),
        number("Quantity", "double", "quantity::DOUBLE"),
        number("List_Price", "currency", "total / quantity"),
        number("Total", "currency", "total::DOUBLE", **_FIXED),
        number("Discount", "currency", "0.0"),
        number("Total_After_Discount", "currency", "total::DOUBLE", **_FIXED),
        number("Tax", "currency", "0.0", **_FIXED),
        number("Net_Total", "currency", "total::DOUBLE", **_FIXED),
        area("Description"),
        moment("Created_Time", "created", **_FIXED),
        moment("Modified_Time", "touched", **_FIXED),
    ),
    kind="subform",
    title="",
    parent="Quotes",
    creatable=False,
)

SERVICE_CONTRACTS = Module(
    "Service_Contracts",
    "Service Contract",
    "Service Contracts",
    (
        record_id(),
        text("Name", "'SC-' || lpad(i::VARCHAR, 6, '0')", 120, mandatory=True),
        lookup("Account", "Accounts", "account_id", **_OWN),
        lookup("Signed_By", "Contacts", "contact_id", **_OWN),
        number("Yearly_Fee", "currency", "(r3 % 900000) / 100.0", **_OWN),
        day("Starts_On", "created::DATE", **_OWN),
        day("Ends_On", "created::DATE + 365", **_OWN),
        choice("Status", ("Draft", "Active", "Terminated"), **_OWN),
        contact_point("Email", "email"),
        text("Reference", "lpad((r4 % 100000)::VARCHAR, 8, '0')", 40, unique=True, **_OWN),
        flag("Auto_Renew", "r5 % 2 = 0", **_OWN),
        area("Remarks", "CASE WHEN r6 % 4 = 0 THEN '**' || r6 || '**' END", rich=True, **_OWN),
        choice("Currency", ("USD", "EUR", "GBP"), "zoho_currency(r5)"),
        number("Exchange_Rate", "double", "zoho_rate(zoho_currency(r5))", **_FIXED),
        *life(),
    ),
    kind="custom",
)


def _linking(name: str, left: tuple[str, str], right: tuple[str, str]) -> Module:
    fields = (
        record_id(),
        lookup(*left, "left_id"),
        lookup(*right, "right_id", kind="userlookup" if right[1] == "Users" else "lookup"),
        moment("Created_Time", "created", **_FIXED),
        moment("Modified_Time", "touched", **_FIXED),
    )
    label = name.replace("_", " ")
    return Module(name, label, label, fields, kind="linking", title="", creatable=False)


INTERESTED_PRODUCTS = _linking(
    "Interested_Products", ("Contacts", "Contacts"), ("Products", "Products")
)
DEAL_TEAM = _linking("Deal_Team", ("Deals", "Deals"), ("Users", "Users"))

SALES_MODULES = (
    DEALS,
    DEAL_HISTORY,
    PRODUCTS,
    QUOTES,
    QUOTED_ITEMS,
    SERVICE_CONTRACTS,
    INTERESTED_PRODUCTS,
    DEAL_TEAM,
)
