"""Account, Contact and Lead: who one does business with."""

from typing import Any

from crm_sandbox.salesforce.schema import (
    Field,
    SObject,
    address_fields,
    area,
    audit_fields,
    choice,
    contact_point,
    currency,
    day,
    flag,
    moment,
    money,
    number,
    owner,
    picked,
    record_id,
    reference,
    text,
    viewed_fields,
)
from crm_sandbox.vocabulary import INDUSTRIES

_FIXED: dict[str, Any] = {"createable": False, "updateable": False}
_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Trade Show", "Other")
_SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")
_RATINGS = ("Hot", "Warm", "Cold")
_TIERS = ("Gold", "Silver", "Bronze", "None")
# A value of a multi-select list cannot hold the semicolon that stands between values.
_INTERESTS = ("Analytics", "CRM", "Data & Governance", "Marketing", "Support")
LEAD_STATUSES = {
    "Open - Not Contacted": "Open",
    "Working - Contacted": "In contact",
    "Closed - Converted": "Closed - Converted",
    "Closed - Not Converted": "Closed - Not Converted",
}
"""What leads hold, and what people see."""
_CLEAN = ("Matched", "Different", "Acknowledged", "NotFound", "Inactive", "Pending")


def _person_name(extra_sql: str) -> tuple[Field, ...]:
    return (
        text("LastName", 80, "family", nillable=False, compound="Name"),
        text("FirstName", 40, "given", compound="Name"),
        choice(
            "Salutation",
            _SALUTATIONS,
            f"CASE WHEN r2 % 3 = 0 THEN {picked(_SALUTATIONS, 'r3')} END",
            compound="Name",
        ),
        text("Name", 121, extra_sql, nillable=False, name_field=True, **_FIXED),
    )


def _custom_contact_fields() -> tuple[Field, ...]:
    return (
        text("Legacy_Code__c", 255, "coalesce(nasty, lpad((r4 % 100000)::VARCHAR, 6, '0'))"),
        text("External_Key__c", 40, "'C-' || i", external_id=True, unique=True),
        flag("Newsletter__c", "r5 % 3 = 0"),
        money("Lifetime_Value__c", "CASE WHEN r6 % 5 > 0 THEN (r6 % 9000000) / 100.0 END"),
        number("Score__c", "double", "CASE WHEN r7 % 9 > 0 THEN (r7 % 1000) / 10.0 END", scale=1),
        number("Visits__c", "double", "(r8 % 40)::DOUBLE"),
        day("Member_Since__c", "CASE WHEN r3 % 4 > 0 THEN created::DATE - (r3 % 900)::INTEGER END"),
        moment("Last_Login__c", "CASE WHEN r5 % 4 > 0 THEN created + to_seconds(r5 % 86400) END"),
        choice("Tier__c", _TIERS, picked(_TIERS, "r7"), unused=frozenset({"Bronze"})),
        choice(
            "Interests__c",
            _INTERESTS,
            f"CASE WHEN r8 % 4 = 0 THEN NULL WHEN r8 % 4 = 1 THEN {picked(_INTERESTS, 'r5')} "
            "ELSE 'Analytics;CRM' END",
            kind="multipicklist",
            labels=(("CRM", "Customer Relations"),),
        ),
        area(
            "Notes__c",
            131_072,
            "CASE WHEN long_text THEN $long_text WHEN r4 % 10 = 0 "
            "THEN 'Met at ' || city || ', call back.' || chr(10) || coalesce(nasty, '👍') END",
        ),
        text(
            "Region_Code__c",
            1300,
            "country_code || '-' || coalesce(region, 'XX')",
            calculated=True,
            formula='MailingCountry & "-" & MailingState',
            **_FIXED,
        ),
        flag("VIP__c", "r7 % 20 = 0"),
    )


ACCOUNT = SObject(
    "Account",
    "001",
    "Accounts",
    (
        record_id(),
        *audit_fields()[:1],
        reference("MasterRecordId", "Account", **_FIXED),
        text("Name", 255, "name", nillable=False, name_field=True),
        choice("Type", ("Customer", "Prospect", "Partner", "Competitor", "Other")),
        reference("ParentId", "Account", "parent_id"),
        *address_fields("Billing"),
        *address_fields("Shipping", sql=False),
        contact_point("Phone", "phone", "phone"),
        contact_point("Fax", "phone"),
        text("AccountNumber", 40, "'A' || lpad((i * 37 % 1000000)::VARCHAR, 6, '0')"),
        contact_point("Website", "url", "CASE WHEN r2 % 6 > 0 THEN 'https://www.' || domain END"),
        text("Sic", 20, "CASE WHEN r3 % 2 = 0 THEN lpad((r3 % 9999)::VARCHAR, 4, '0') END"),
        choice("Industry", INDUSTRIES, "industry"),
        money("AnnualRevenue", "CASE WHEN r4 % 5 > 0 THEN revenue END"),
        number("NumberOfEmployees", "int", "CASE WHEN r4 % 7 > 0 THEN employees END"),
        choice("Ownership", ("Public", "Private", "Subsidiary", "Other")),
        text("TickerSymbol", 20),
        area("Description", 32_000, "CASE WHEN r5 % 4 = 0 THEN name || chr(10) || industry END"),
        choice("Rating", _RATINGS, f"CASE WHEN r6 % 3 = 0 THEN {picked(_RATINGS, 'r5')} END"),
        text("Site", 80),
        currency(),
        owner(),
        *audit_fields()[1:],
        day("LastActivityDate", "CASE WHEN r6 % 2 = 0 THEN modified::DATE END", **_FIXED),
        *viewed_fields(),
        choice("AccountSource", _SOURCES, picked(_SOURCES, "r6")),
        choice("CleanStatus", _CLEAN, "'Pending'"),
        text("External_Key__c", 40, "'A-' || i", external_id=True, unique=True),
        choice(
            "Segment__c",
            ("SMB", "Mid-Market", "Enterprise"),
            "CASE WHEN employees > 1000 THEN 'Enterprise' WHEN employees > 100 THEN 'Mid-Market' ELSE 'SMB' END",
            labels=(("SMB", "Small Business"), ("Mid-Market", "Mid-sized")),
            unused=frozenset({"Mid-Market"}),
        ),
        day("Customer_Since__c", "CASE WHEN r2 % 2 = 0 THEN created::DATE END"),
    ),
    mergeable=True,
)

CONTACT = SObject(
    "Contact",
    "003",
    "Contacts",
    (
        record_id(),
        *audit_fields()[:1],
        reference("MasterRecordId", "Contact", "master_id", **_FIXED),
        reference("AccountId", "Account", "CASE WHEN r1 % 25 > 0 THEN account_id END"),
        *_person_name("given || ' ' || family"),
        *address_fields("Other", sql=False),
        *address_fields("Mailing"),
        contact_point("Phone", "phone", "phone"),
        contact_point("Fax", "phone"),
        contact_point("MobilePhone", "phone", "mobile"),
        contact_point("HomePhone", "phone"),
        contact_point("OtherPhone", "phone"),
        contact_point("AssistantPhone", "phone"),
        reference("ReportsToId", "Contact"),
        contact_point("Email", "email", "email"),
        text("Title", 128, "title"),
        text("Department", 80, "department"),
        text("AssistantName", 40),
        choice("LeadSource", _SOURCES),
        day("Birthdate", "CASE WHEN r2 % 5 = 0 THEN DATE '1955-01-01' + (r2 % 16000)::INTEGER END"),
        area(
            "Description",
            32_000,
            "CASE WHEN r3 % 6 = 0 THEN coalesce(nasty, title || ', ' || department) END",
        ),
        currency(),
        owner(),
        flag("HasOptedOutOfEmail", "opted_out"),
        flag("HasOptedOutOfFax", "r6 % 30 = 0"),
        flag("DoNotCall", "do_not_call"),
        *audit_fields()[1:],
        day("LastActivityDate", "CASE WHEN r7 % 2 = 0 THEN modified::DATE END", **_FIXED),
        moment("LastCURequestDate", **_FIXED),
        moment("LastCUUpdateDate", **_FIXED),
        *viewed_fields(),
        text(
            "EmailBouncedReason",
            255,
            "CASE WHEN email_verdict = 'typo' AND r8 % 3 = 0 THEN 'bounced: user unknown' END",
        ),
        moment(
            "EmailBouncedDate", "CASE WHEN email_verdict = 'typo' AND r8 % 3 = 0 THEN modified END"
        ),
        flag("IsEmailBounced", "email_verdict = 'typo' AND r8 % 3 = 0", **_FIXED),
        text("Jigsaw", 20),
        choice("CleanStatus", _CLEAN, "'Pending'"),
        *_custom_contact_fields(),
    ),
    mergeable=True,
)

LEAD = SObject(
    "Lead",
    "00Q",
    "Leads",
    (
        record_id(),
        *audit_fields()[:1],
        reference("MasterRecordId", "Lead", "master_id", **_FIXED),
        *_person_name("given || ' ' || family"),
        text("Title", 128, "title"),
        text("Company", 255, "company_name", nillable=False),
        *address_fields(""),
        contact_point("Phone", "phone", "phone"),
        contact_point("MobilePhone", "phone", "mobile"),
        contact_point("Fax", "phone"),
        contact_point("Email", "email", "email"),
        contact_point("Website", "url"),
        area("Description", 32_000, "nasty"),
        choice("LeadSource", _SOURCES),
        choice(
            "Status",
            tuple(LEAD_STATUSES),
            "CASE WHEN converted_contact_id IS NOT NULL THEN 'Closed - Converted' "
            "ELSE ['Open - Not Contacted', 'Working - Contacted', 'Closed - Not Converted'][1 + r4 % 3] END",
            nillable=False,
            labels=tuple(LEAD_STATUSES.items()),
        ),
        choice("Industry", INDUSTRIES, "industry"),
        choice("Rating", _RATINGS, picked(_RATINGS, "r5")),
        money("AnnualRevenue"),
        number("NumberOfEmployees", "int", "CASE WHEN r6 % 2 = 0 THEN (r6 % 5000)::INTEGER END"),
        currency(),
        owner(),
        flag("HasOptedOutOfEmail", "opted_out"),
        flag("HasOptedOutOfFax", "r6 % 30 = 0"),
        flag("DoNotCall", "do_not_call"),
        flag("IsConverted", "converted_contact_id IS NOT NULL", **_FIXED),
        day(
            "ConvertedDate",
            "CASE WHEN converted_contact_id IS NOT NULL THEN modified::DATE END",
            **_FIXED,
        ),
        reference("ConvertedAccountId", "Account", "converted_account_id", **_FIXED),
        reference("ConvertedContactId", "Contact", "converted_contact_id", **_FIXED),
        reference("ConvertedOpportunityId", "Opportunity", **_FIXED),
        flag("IsUnreadByOwner", "r2 % 4 = 0"),
        *audit_fields()[1:],
        day("LastActivityDate", **_FIXED),
        *viewed_fields(),
        text("EmailBouncedReason", 255),
        moment("EmailBouncedDate"),
        text("Jigsaw", 20),
        choice("CleanStatus", _CLEAN, "'Pending'"),
        number("Lead_Score__c", "double", "(r7 % 100)::DOUBLE"),
        text("UTM_Campaign__c", 255, "CASE WHEN r8 % 3 = 0 THEN 'utm_' || (r8 % 12) END"),
    ),
    mergeable=True,
)

PARTY_OBJECTS = (ACCOUNT, CONTACT, LEAD)
