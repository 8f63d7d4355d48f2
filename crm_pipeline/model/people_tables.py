"""Tables of people and companies: contacts, companies, leads, users."""

from dataclasses import replace

from crm_pipeline.model.table import (
    CREATED_BY,
    LAST_ACTIVITY,
    PAGE,
    Column,
    Rule,
    Table,
    account_day,
    day,
    flag,
    instant,
    money,
    points,
    reference,
    stage_label,
    text,
    texts,
    whole,
)

EMAIL_PATTERN = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
CURRENCY = text("currency", "ISO 4217 code of the amounts; NULL where the CRM has one currency.")
OWNER = reference("owner", "users", "The user who owns the record.")
ADDRESS = (
    text("street", "Street and number, may hold several lines."),
    text("city", "City."),
    text("state", "State or region, as the CRM writes it."),
    text("postal_code", "Postal code, as text: leading zeros stay."),
    text("country", "Country, as the CRM writes it."),
)
FULL_NAME = Column(
    "full_name",
    "VARCHAR",
    "Full name as the CRM composes it, else the first and the last name.",
    "nullif(concat_ws(' ', first_name, last_name), '')",
)
NAMES = (
    text("salutation", "Form of address."),
    text("first_name", "First name."),
    text("last_name", "Last name."),
    FULL_NAME,
)
_CONSENT = (
    flag("email_opt_out", "Whether the person asked for no e-mail."),
    flag("do_not_call", "Whether the person asked for no calls."),
    text("lawful_basis", "Legal ground for processing the person's data. NULL is unknown."),
)
_BOUNCES = (
    flag("email_bounced", "Whether an e-mail to the main address bounced."),
    instant("email_bounced_at", "When the CRM saw an e-mail bounce."),
    text("email_bounced_reason", "Why it bounced."),
)
_PHONE = text("phone", "Main phone as entered.")
_MOBILE = text("mobile_phone", "Mobile phone as entered.")
_FAX = text("fax", "Fax number as entered.")
_EMAIL = text("email", "Main e-mail as entered.")
_FIRST_EMAIL = text(
    "email",
    "Main e-mail as entered; in HubSpot, where there is none, the first of the others that is known.",
)
_EMAILS = points("emails", [("email", "main")], "All e-mail addresses with their labels.")
_EMAIL_RULE = Rule("matches", "email", pattern=EMAIL_PATTERN, form="an address")
_LIFECYCLE = text("lifecycle_stage", "How far the relation has come, as the CRM names it.")


def _primary_phone(*columns: str) -> Column:
    return Column(
        "primary_phone",
        "VARCHAR",
        "The first phone that is filled: main, mobile, then the others.",
        f"coalesce({', '.join(columns)})",
    )


_CONTACT_PHONES = (
    ("phone", "main"),
    ("mobile_phone", "mobile"),
    ("home_phone", "home"),
    ("other_phone", "other"),
    ("assistant_phone", "assistant"),
)

CONTACTS = Table(
    "contacts",
    "contact",
    "People known to a CRM, one row per contact record.",
    (
        *NAMES,
        text("title", "Job title."),
        text("department", "Department."),
        _FIRST_EMAIL,
        _EMAILS,
        _PHONE,
        _MOBILE,
        text("home_phone", "Private phone as entered."),
        text("other_phone", "Another phone as entered."),
        text("assistant_phone", "Phone of the assistant as entered."),
        _FAX,
        _primary_phone(*(column for column, _ in _CONTACT_PHONES)),
        points("phones", _CONTACT_PHONES, "All phones with their labels."),
        *reference("company", "companies", "The company that the person works for."),
        *reference("reports_to", "contacts", "The person's superior."),
        *OWNER,
        *ADDRESS,
        day("birth_date", "Date of birth."),
        text("source", "Where the contact came from."),
        *_CONSENT,
        *_BOUNCES,
        _LIFECYCLE,
        *LAST_ACTIVITY,
        *CREATED_BY,
        PAGE,
    ),
    (_EMAIL_RULE, Rule("required", "last_name")),
)

COMPANIES = Table(
    "companies",
    "company",
    "Organisations known to a CRM, one row per account record.",
    (
        text("name", "Name."),
        text("website", "Website as entered."),
        Column(
            "domain",
            "VARCHAR",
            "Host name of the website in lower case, without www.",
            r"nullif(regexp_extract(lower(website), '^(?:[a-z]+://)?(?:www\.)?([^/:?#\s]+)', 1), '')",
        ),
        _PHONE,
        _FAX,
        text("industry", "Industry."),
        text("company_type", "Kind of relation, such as customer or partner."),
        text("rating", "Rating."),
        whole("employees", "Number of employees."),
        money("annual_revenue", "Revenue of a year."),
        CURRENCY,
        text("account_number", "Number of the account in other systems."),
        *reference("parent", "companies", "The company above this one."),
        *OWNER,
        *ADDRESS,
        text("source", "Where the company came from."),
        text("description", "Free text."),
        _LIFECYCLE,
        *LAST_ACTIVITY,
        *CREATED_BY,
        PAGE,
    ),
    (
        Rule("required", "name"),
        Rule("between", "employees", low=0),
        Rule("between", "annual_revenue", low=0),
    ),
)

_OF_PERSON = " NULL where a lead is not a person: see `name` and `contact_key`."


def _of_person(column: Column) -> Column:
    return replace(column, description=column.description + _OF_PERSON)


LEADS = Table(
    "leads",
    "lead",
    "Prospects that are not contacts yet, one row per lead record, converted ones included. In some "
    "CRMs a lead is a person, in others a chance with a contact or a company.",
    (
        text("name", "Name of the lead, where it is not a person."),
        *NAMES[:-1],
        _of_person(FULL_NAME),
        text("title", "Job title."),
        _of_person(text("company_name", "Company as entered.")),
        _of_person(_FIRST_EMAIL),
        _EMAILS,
        _PHONE,
        _MOBILE,
        _FAX,
        _primary_phone("phone", "mobile_phone"),
        points("phones", [("phone", "main"), ("mobile_phone", "mobile")], "All phones."),
        text("website", "Website as entered."),
        text("industry", "Industry."),
        text("status", "Status; where leads have pipelines, the name of a stage."),
        stage_label("status"),
        text("rating", "Rating."),
        text("source", "Where the lead came from."),
        whole("employees", "Number of employees of the company."),
        money("annual_revenue", "Revenue of the company in a year."),
        CURRENCY,
        *OWNER,
        money("amount", "What the lead may be worth."),
        *reference("pipeline", "pipelines", "The pipeline that the lead moves through, if any."),
        flag("is_archived", "Whether the lead is put aside though not deleted."),
        *reference(
            "contact", "contacts", "The contact that the lead is about, if not a person itself."
        ),
        *reference(
            "company", "companies", "The company that the lead is about, if it is a record."
        ),
        flag("is_converted", "Whether the lead was converted."),
        account_day("converted_on", "Day of the conversion."),
        instant("converted_at", "When that was, where the CRM says it."),
        *reference("converted_company", "companies", "The company made of the lead."),
        *reference("converted_contact", "contacts", "The contact made of the lead."),
        *reference("converted_deal", "deals", "The deal made of the lead."),
        *ADDRESS,
        *_CONSENT,
        *_BOUNCES,
        _LIFECYCLE,
        *LAST_ACTIVITY,
        *CREATED_BY,
        PAGE,
    ),
    (_EMAIL_RULE,),
)

USERS = Table(
    "users",
    "user",
    "The CRM's own users, who own records.",
    (
        text("first_name", "First name."),
        text("last_name", "Last name."),
        FULL_NAME,
        text("username", "Login name."),
        text("login_id", "The vendor's id of the person's login, where that is not the record's."),
        _EMAIL,
        _PHONE,
        _MOBILE,
        text("title", "Job title."),
        text("department", "Department."),
        text("user_type", "Kind of user."),
        flag("is_active", "Whether the user may log in."),
        text("time_zone", "Time zone name."),
        text("role_source_id", "The vendor's id of the user's role."),
        text("role", "Name of the user's role."),
        texts("teams", "Names of the user's teams, the main one first."),
        *reference("manager", "users", "The user's superior."),
        instant("last_login_at", "When the user last logged in."),
    ),
    (_EMAIL_RULE,),
)
