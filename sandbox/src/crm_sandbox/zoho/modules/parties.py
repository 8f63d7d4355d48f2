"""Accounts, Contacts and Leads: who one does business with."""

from typing import Any

from crm_sandbox.vocabulary import INDUSTRIES
from crm_sandbox.zoho.schema import (
    Field,
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
SOURCES = ("Advertisement", "Cold Call", "External Referral", "Trade Show", "Web Download", "Chat")
_SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")
_TIERS = ("Gold", "Silver", "Bronze", "None")
_INTERESTS = ("Analytics", "CRM", "Data, Governance", "Marketing", "Support")
_BASES = ("Consent - Obtained", "Legitimate Interests", "Contract", "Not Applicable")
_BASIS = f"""
CASE WHEN r4 % 4 = 0 THEN NULL ELSE to_json({{
    'Data_Processing_Basis': {picked(_BASES, "r4")},
    'Consent_Through': CASE WHEN r4 % 4 = 1 THEN 'Email' END,
    'Consent_Date': CASE WHEN r4 % 4 = 1 THEN created::DATE::VARCHAR END,
    'Consent_Remarks': NULL::VARCHAR,
    'Contact_Through_Email': NOT opted_out,
    'Contact_Through_Phone': NOT do_not_call,
    'Contact_Through_Social': NULL::BOOLEAN,
    'Contact_Through_Survey': r5 % 2 = 0
}})::VARCHAR END
"""


def address(prefix: str, *, filled: bool = True) -> tuple[Field, ...]:
    """Return the five fields of a postal address."""
    code = {"Billing": "Code", "Shipping": "Code", "": "Zip_Code"}.get(prefix, "Zip")
    parts = {
        "Street": "street",
        "City": "city",
        "State": "region",
        code: "postal_code",
        "Country": "country",
    }
    lead = f"{prefix}_" if prefix else ""
    return tuple(text(f"{lead}{key}", column if filled else "") for key, column in parts.items())


def _person() -> tuple[Field, ...]:
    return (
        choice(
            "Salutation",
            _SALUTATIONS,
            f"CASE WHEN r2 % 3 = 0 THEN {picked(_SALUTATIONS, 'r3')} END",
        ),
        text("First_Name", "given", 40),
        text("Last_Name", "family", 80, mandatory=True),
        text("Full_Name", "concat_ws(' ', given, family)", 121, **_FIXED),
        contact_point("Email", "email", "email"),
        contact_point("Secondary_Email", "email"),
        contact_point("Phone", "phone", "phone"),
        contact_point("Mobile", "phone", "mobile"),
        contact_point("Fax", "phone"),
        flag("Email_Opt_Out", "opted_out"),
        choice("Unsubscribed_Mode", ("Consent form", "Manual"), _when_out("'Manual'"), **_FIXED),
        moment("Unsubscribed_Time", _when_out("modified"), **_FIXED),
        make("Data_Processing_Basis_Details", "consent_lookup", _BASIS, structured=True),
        choice("Lead_Source", SOURCES, f"CASE WHEN r3 % 5 > 0 THEN {picked(SOURCES, 'r5')} END"),
    )


def _when_out(sql: str) -> str:
    return f"CASE WHEN opted_out AND r5 % 2 = 0 THEN {sql} END"


_BACKGROUND = (
    "CASE WHEN long_text THEN $long_text WHEN r4 % 10 = 0 "
    "THEN '<b>Met</b> at ' || city || ', call back.' || chr(10) || coalesce(nasty, '👍') END"
)
_INTEREST_LIST = (
    "CASE WHEN r8 % 4 = 0 THEN NULL WHEN r8 % 4 = 1 THEN [" + picked(_INTERESTS, "r5") + "] "
    "WHEN r8 % 4 = 2 THEN []::VARCHAR[] ELSE ['Analytics', 'CRM'] END"
)


def _own_of_contacts() -> tuple[Field, ...]:
    return (
        text("Legacy_Code", "coalesce(nasty, lpad((r4 % 100000)::VARCHAR, 6, '0'))", 5000, **_OWN),
        text("External_Key", "'C-' || i", 40, unique=True, external=True, **_OWN),
        flag("Newsletter", "r5 % 3 = 0", **_OWN),
        flag("Do_Not_Call", "do_not_call", **_OWN),
        number(
            "Lifetime_Value",
            "currency",
            "CASE WHEN r6 % 5 > 0 THEN (r6 % 9000000) / 100.0 END",
            **_OWN,
        ),
        number("Score", "double", "CASE WHEN r7 % 9 > 0 THEN (r7 % 1000) / 10.0 END", **_OWN),
        number("Discount_Rate", "percent", "(r7 % 30)::DOUBLE", **_OWN),
        number("Visits", "integer", "r8 % 40", **_OWN),
        number("Badge_Number", "bigint", "9007199254740993 + r8", **_OWN),
        day("Member_Since", "CASE WHEN r3 % 4 > 0 THEN created::DATE - (r3 % 900)::INTEGER END"),
        moment("Last_Login", "CASE WHEN r5 % 4 > 0 THEN created + to_seconds(r5 % 86400) END"),
        choice("Tier", _TIERS, picked(_TIERS, "r7"), **_OWN),
        make("Interests", "multiselectpicklist", _INTEREST_LIST, values=_INTERESTS, **_OWN),
        area("Background", _BACKGROUND, 50_000, rich=True, **_OWN),
        contact_point("Homepage", "website", "CASE WHEN r6 % 7 = 0 THEN 'https://x.example' END"),
        make(
            "Region_Code",
            "formula",
            "country_code || '-' || coalesce(region, 'XX')",
            result="text",
            read_only=True,
            custom=True,
        ),
        make("Card_Number", "autonumber", "'K' || lpad(i::VARCHAR, 7, '0')", **_FIXED, **_OWN),
        user("Mentor", "CASE WHEN r8 % 6 = 0 THEN owner_id END", kind="userlookup", **_OWN),
        make(
            "Interested_Products",
            "multiselectlookup",
            rows="Interested_Products",
            target="Products",
        ),
    )


ACCOUNTS = Module(
    "Accounts",
    "Account",
    "Accounts",
    (
        record_id(),
        text("Account_Name", "name", 200, mandatory=True),
        text("Account_Number", "(100000 + i)::VARCHAR", 40),
        lookup("Parent_Account", "Accounts", "parent_id"),
        choice("Account_Type", ("Customer", "Prospect", "Partner", "Competitor", "Other")),
        choice("Industry", INDUSTRIES, "industry"),
        number("Annual_Revenue", "currency", "CASE WHEN r4 % 5 > 0 THEN revenue END"),
        number("Employees", "integer", "CASE WHEN r4 % 7 > 0 THEN employees END"),
        contact_point("Phone", "phone", "phone"),
        contact_point("Fax", "phone"),
        contact_point(
            "Website", "website", "CASE WHEN r2 % 6 > 0 THEN 'https://www.' || domain END"
        ),
        choice("Ownership", ("Public", "Private", "Subsidiary", "Other")),
        choice("Rating", ("Active", "Acquired", "Market Failed", "Project Cancelled")),
        text("Ticker_Symbol", "", 30),
        text("Account_Site", "", 80),
        number("SIC_Code", "integer", "CASE WHEN r3 % 2 = 0 THEN r3 % 9999 END"),
        *address("Billing"),
        *address("Shipping", filled=False),
        area("Description", "CASE WHEN r5 % 4 = 0 THEN name || chr(10) || industry END"),
        choice("Currency", ("USD", "EUR", "GBP", "JPY", "BRL", "PLN"), "currency"),
        number("Exchange_Rate", "double", "zoho_rate(currency)", **_FIXED),
        text("External_Key", "'A-' || i", 40, unique=True, external=True, **_OWN),
        choice(
            "Segment",
            ("SMB", "Mid-Market", "Enterprise"),
            "CASE WHEN employees > 1000 THEN 'Enterprise' WHEN employees > 100 THEN 'Mid-Market' ELSE 'SMB' END",
            **_OWN,
        ),
        day("Customer_Since", "CASE WHEN r2 % 2 = 0 THEN created::DATE END", **_OWN),
        *life(),
    ),
    title="Account_Name",
    mergeable=True,
)

CONTACTS = Module(
    "Contacts",
    "Contact",
    "Contacts",
    (
        record_id(),
        *_person(),
        lookup("Account_Name", "Accounts", "CASE WHEN r1 % 25 > 0 THEN account_id END"),
        text("Title", "title", 100),
        text("Department", "department", 50),
        lookup("Reporting_To", "Contacts"),
        text("Assistant", "", 50),
        contact_point("Asst_Phone", "phone"),
        contact_point("Home_Phone", "phone"),
        contact_point("Other_Phone", "phone"),
        day(
            "Date_of_Birth",
            "CASE WHEN r2 % 5 = 0 THEN DATE '1955-01-01' + (r2 % 16000)::INTEGER END",
        ),
        text("Skype_ID", "", 50),
        text("Twitter", "", 50),
        *address("Mailing"),
        *address("Other", filled=False),
        area("Description", "CASE WHEN r6 % 9 = 0 THEN coalesce(nasty, 'since ' || city) END"),
        *_own_of_contacts(),
        *life(),
    ),
    title="Full_Name",
    mergeable=True,
)

LEADS = Module(
    "Leads",
    "Lead",
    "Leads",
    (
        record_id(),
        *_person(),
        text("Company", "company_name", 200),
        text("Designation", "title", 100),
        choice("Industry", INDUSTRIES, "industry"),
        choice(
            "Lead_Status",
            ("Not Contacted", "Contacted", "Contact in Future", "Lost Lead", "Pre-Qualified"),
        ),
        choice("Rating", ("Active", "Acquired", "Market Failed", "Project Cancelled")),
        number("Annual_Revenue", "currency", "CASE WHEN r4 % 5 = 0 THEN (r4 % 900) * 1000.0 END"),
        number("No_of_Employees", "integer", "CASE WHEN r5 % 3 = 0 THEN r5 % 4000 END"),
        contact_point("Website", "website"),
        *address(""),
        area("Description", "CASE WHEN r6 % 9 = 0 THEN nasty END"),
        flag("Converted__s", "converted_contact_id IS NOT NULL", label="Is Converted", **_FIXED),
        lookup("Converted_Contact", "Contacts", "converted_contact_id", **_FIXED),
        lookup("Converted_Account", "Accounts", "converted_account_id", **_FIXED),
        lookup("Converted_Deal", "Deals", **_FIXED),
        moment(
            "Converted_Date_Time",
            "CASE WHEN converted_contact_id IS NOT NULL THEN modified END",
            **_FIXED,
        ),
        text("External_Key", "'L-' || i", 40, unique=True, external=True, **_OWN),
        choice("Product_Interest", _INTERESTS, picked(_INTERESTS, "r8"), **_OWN),
        *life(),
    ),
    title="Full_Name",
    mergeable=True,
)

PARTY_MODULES = (LEADS, CONTACTS, ACCOUNTS)
