# ruff: noqa: RUF001 - the vendor's own options have a dash
"""Contacts and companies."""

from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.objects.values import (
    EVERYWHERE,
    choose,
    day,
    instant,
    made,
    money,
    object_type,
    options,
    own,
    pick,
    rarely,
)
from crm_sandbox.hubspot.schema import ObjectType, Property
from crm_sandbox.vocabulary import INDUSTRIES

LIFECYCLE = options(
    "subscriber=Subscriber",
    "lead=Lead",
    "marketingqualifiedlead=Marketing Qualified Lead",
    "salesqualifiedlead=Sales Qualified Lead",
    "opportunity=Opportunity",
    "customer=Customer",
    "evangelist=Evangelist",
    "other=Other",
)
_LEAD_STATUS = options(
    "NEW=New",
    "OPEN=Open",
    "IN_PROGRESS=In Progress",
    "CONNECTED=Connected",
    "BAD_TIMING=Bad Timing",
)
# The exact list is the portal's own; a client reads it from the property.
LEGAL_BASIS = options(
    "Legitimate interest – prospect/lead",
    "Legitimate interest – existing customer",
    "Freely given consent from contact",
    "Performance of a contract",
    "Not applicable",
)
_BOUNCES = options(
    "UNKNOWN_USER=Unknown user", "MAILBOX_FULL=Mailbox full", "SPAM=Spam", "OTHER=Other"
)
_CHANNELS = options("email=E-mail", "phone=Phone", "post=Post", "chat=Chat; live")
_TIERS = options("a=A", "b=B", "c=C", "Key Account=Key Account")
_LANGUAGES = options("en=English", "de=German", "fr=French", "es=Spanish", "ja=Japanese")
_SOURCES = options(
    "ORGANIC_SEARCH=Organic Search",
    "PAID_SEARCH=Paid Search",
    "OFFLINE=Offline Sources",
    "REFERRALS=Referrals",
)
INDUSTRY = tuple((one.upper().replace(" & ", "_AND_").replace(" ", "_"), one) for one in INDUSTRIES)
SUBSCRIPTIONS = {
    170_001: "Marketing Information",
    170_002: "One to One",
    170_003: "Newsletter",
}


def optout_of(number: int) -> str:
    """Return the property that says who left one kind of mail."""
    return f"hs_email_optout_{number}"


def contacts(portal: PortalFacts) -> ObjectType:
    """Return the contacts of a portal."""
    return object_type(
        "0-1",
        "contacts",
        "contact",
        (*_ABOUT_CONTACTS, *_CONSENT, *EVERYWHERE, *_own_of_contacts(portal)),
        "createdate email firstname hs_object_id lastmodifieddate lastname",
        modified="lastmodifieddate",
        primary="email",
        searched="firstname lastname email phone company hs_additional_emails",
        scope="crm.objects.contacts",
        mergeable=True,
    )


_ABOUT_CONTACTS = (
    Property("email", "string", "email", unique=True),
    Property("salutation", "string", pick("r4", ["Mr", "Ms", "Dr.", None, None])),
    Property("fax", "string", rarely("r5", 12, "phone"), field_type="phonenumber"),
    Property("firstname", "string", "given", label="First name"),
    Property("lastname", "string", "family", label="Last name"),
    Property("phone", "string", "phone", field_type="phonenumber", label="Phone number"),
    Property("mobilephone", "string", "mobile", field_type="phonenumber"),
    Property("jobtitle", "string", "title", label="Job title"),
    Property("company", "string", "company_name", label="Company name"),
    Property("website", "string", rarely("r2", 3, "'https://www.' || company_domain")),
    Property("address", "string", "street"),
    Property("city", "string", "city"),
    Property("state", "string", "region"),
    Property("zip", "string", "postal_code"),
    Property("country", "string", "country"),
    Property("hs_country_region_code", "string", "country_code"),
    Property(
        "hs_language", "enumeration", choose("locale", _LANGUAGES, empty=2), options=_LANGUAGES
    ),
    Property("industry", "string", "industry"),
    Property(
        "lifecyclestage",
        "enumeration",
        pick("r3", ["lead", "lead", "subscriber", "opportunity", "customer", "customer", None]),
        "radio",
        options=LIFECYCLE,
    ),
    Property(
        "hs_lead_status",
        "enumeration",
        choose("r4", _LEAD_STATUS, empty=3),
        "radio",
        options=_LEAD_STATUS,
    ),
    Property(
        "hs_analytics_source",
        "enumeration",
        choose("r5", _SOURCES),
        options=_SOURCES,
        read_only=True,
    ),
    Property("hubspot_owner_assigneddate", "datetime", instant("created_ms"), read_only=True),
    Property(
        "notes_last_updated", "datetime", rarely("r6", 2, instant("updated_ms")), read_only=True
    ),
    Property("associatedcompanyid", "number", "company_id"),
    Property("num_associated_deals", "number", pick("r7", ["1", "2", None]), calculated=True),
    Property("num_unique_conversion_events", "number", "(r8 % 4)::VARCHAR", calculated=True),
    Property("hs_email_domain", "string", "email_domain", calculated=True),
    Property(
        "hs_full_name_or_email",
        "string",
        "coalesce(nullif(concat_ws(' ', given, family), ''), email)",
        calculated=True,
    ),
    Property("hs_additional_emails", "enumeration", "additional_emails", "checkbox"),
    Property("hs_calculated_merged_vids", "enumeration", "merged_vids", "checkbox", read_only=True),
    Property("message", "string", "CASE WHEN long_text THEN $long_text END", "textarea"),
    Property("hs_timezone", "string", rarely("r1", 5, "'europe_slash_berlin'")),
    Property("hs_content_membership_notes", "string", rarely("r2", 9, "''"), "textarea"),
)
_CONSENT = (
    Property("hs_email_optout", "bool", "opted_out::VARCHAR", read_only=True),
    *(
        Property(
            optout_of(number),
            "bool",
            f"CASE WHEN opted_out OR r3 % 23 = {place} THEN 'true' END",
            read_only=True,
            label=f"Opted out of email: {name}",
        )
        for place, (number, name) in enumerate(SUBSCRIPTIONS.items())
    ),
    Property("hs_email_bounce", "number", rarely("r4", 19, "'1'"), read_only=True),
    Property(
        "hs_email_hard_bounce_reason_enum",
        "enumeration",
        rarely("r4", 19, choose("r5", _BOUNCES)),
        options=_BOUNCES,
        read_only=True,
    ),
    Property("hs_email_quarantined", "bool", rarely("r6", 97, "'true'"), read_only=True),
    Property(
        "hs_legal_basis",
        "enumeration",
        pick("r7", [LEGAL_BASIS[1][0], f"{LEGAL_BASIS[1][0]};{LEGAL_BASIS[2][0]}", None, None]),
        "checkbox",
        options=LEGAL_BASIS,
    ),
)


def _own_of_contacts(portal: PortalFacts) -> tuple[Property, ...]:
    channels = pick("r8", ["email", "email;phone", "post", "chat;email;phone", None, ""])
    return (
        made(own(portal, "customer_number", "kundennummer"), "string", "external_id", unique=True),
        made(
            own(portal, "preferred_channels", "kanaele"),
            "enumeration",
            channels,
            field_type="checkbox",
            options=_CHANNELS,
        ),
        made(
            own(portal, "tier", "kundenstufe"),
            "enumeration",
            choose("r2", _TIERS, empty=2),
            options=_TIERS,
        ),
        made(
            own(portal, "budget", "budget_eur"),
            "number",
            f"CASE WHEN r3 % 3 = 0 THEN {money('r4 % 100000 / 4.0')} END",
            more={"showCurrencySymbol": True},
        ),
        made(own(portal, "loyalty_points", "punkte"), "number", "(r5 % 5000)::VARCHAR"),
        made(
            own(portal, "contract_start", "vertragsbeginn"),
            "date",
            rarely("r6", 2, day("created_ms")),
        ),
        made(
            own(portal, "last_survey_at", "umfrage_am"),
            "datetime",
            rarely("r7", 3, instant("updated_ms")),
        ),
        *_more_of_contacts(portal),
    )


def _more_of_contacts(portal: PortalFacts) -> tuple[Property, ...]:
    return (
        made(own(portal, "is_vip", "ist_vip"), "bool", pick("r8", ["true", "false", None])),
        made(own(portal, "do_not_call", "nicht_anrufen"), "bool", "do_not_call::VARCHAR"),
        made(own(portal, "office_phone", "durchwahl"), "phone_number", rarely("r1", 4, "phone")),
        made(own(portal, "department", "abteilung"), "string", "department"),
        made(own(portal, "alternate_email", "weitere_mail"), "string", "repeated_email"),
        made(own(portal, "remarks", "bemerkung"), "string", "nasty", field_type="textarea"),
        made(
            own(portal, "portrait", "bild"),
            "string",
            rarely("r2", 50, "'https://files.sandbox.example/' || id"),
            field_type="file",
        ),
        made(
            own(portal, "biography", "vita"),
            "string",
            rarely("r3", 40, "'<p>Hello &amp; <b>welcome</b></p>'"),
            field_type="html",
        ),
        made(
            own(portal, "region_code", "gebiet"),
            "string",
            "country_code || '-' || (r8 % 100)::VARCHAR",
            field_type="calculation_equation",
            calculated=True,
        ),
    )


def companies(portal: PortalFacts) -> ObjectType:
    """Return the companies of a portal."""
    return object_type(
        "0-2",
        "companies",
        "company",
        (*_ABOUT_COMPANIES, *EVERYWHERE, *_own_of_companies(portal)),
        "createdate domain hs_lastmodifieddate hs_object_id name",
        primary="name",
        searched="name domain phone website",
        scope="crm.objects.companies",
        mergeable=True,
    )


_TYPES = options(
    "PROSPECT=Prospect", "PARTNER=Partner", "RESELLER=Reseller", "VENDOR=Vendor", "OTHER=Other"
)
_ABOUT_COMPANIES = (
    Property("name", "string", "name", label="Company name"),
    Property("domain", "string", "domain", label="Company Domain Name"),
    Property(
        "hs_additional_domains", "enumeration", rarely("r3", 20, "'shop.' || domain"), "checkbox"
    ),
    Property("website", "string", "'https://' || domain"),
    Property("industry", "enumeration", "industry_value", options=INDUSTRY),
    Property("phone", "string", "phone", "phonenumber"),
    Property("numberofemployees", "number", "employees::VARCHAR"),
    Property("annualrevenue", "number", money("revenue")),
    Property("address", "string", "street"),
    Property("city", "string", "city"),
    Property("state", "string", "region"),
    Property("zip", "string", "postal_code"),
    Property("country", "string", "country"),
    Property(
        "description",
        "string",
        rarely("r1", 6, "name || ' — ' || industry || '\n' || city"),
        "textarea",
    ),
    Property("type", "enumeration", choose("r2", _TYPES, empty=1), options=_TYPES),
    Property(
        "lifecyclestage",
        "enumeration",
        pick("r4", ["customer", "opportunity", "lead", None]),
        "radio",
        options=LIFECYCLE,
    ),
    Property("is_public", "bool", pick("r5", ["true", "false", None])),
    Property("founded_year", "string", "(1950 + r6 % 70)::VARCHAR"),
    Property(
        "hs_analytics_source",
        "enumeration",
        choose("r3", _SOURCES),
        options=_SOURCES,
        read_only=True,
    ),
    Property(
        "notes_last_updated", "datetime", rarely("r6", 3, instant("updated_ms")), read_only=True
    ),
    Property("hs_parent_company_id", "number", "parent_id", read_only=True),
    Property("hs_num_child_companies", "number", "(r1 % 3)::VARCHAR", calculated=True),
    Property("num_associated_contacts", "number", "(r2 % 9)::VARCHAR", calculated=True),
)


def _own_of_companies(portal: PortalFacts) -> tuple[Property, ...]:
    return (
        made(
            own(portal, "account_code", "debitor"),
            "string",
            "lpad(i::VARCHAR, 6, '0')",
            unique=True,
        ),
        made(
            own(portal, "sla", "reaktionszeit"),
            "enumeration",
            pick("r3", ["4h", "8h", "24h", None]),
            options=options("4h=4 hours", "8h=8 hours", "24h=1 day"),
        ),
        made(own(portal, "health_score", "ampel"), "number", "(r4 % 1000 / 10.0)::VARCHAR"),
        made(
            own(portal, "renewal_on", "verlaengerung"),
            "date",
            rarely("r5", 2, day("created_ms", "365")),
        ),
        made(own(portal, "billing_currency", "waehrung"), "string", "currency"),
        made(own(portal, "has_contract", "hat_vertrag"), "bool", pick("r6", ["true", "false"])),
    )
