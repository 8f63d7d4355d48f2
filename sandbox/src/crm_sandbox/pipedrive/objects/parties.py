"""Persons and organizations."""

from crm_sandbox.pipedrive.objects.columns import (
    HISTORY,
    MERGED_INTO,
    OWNER,
    VISIBLE_TO,
    activities_of,
    counted,
    deals_where,
    outcomes_of,
    person_card,
    v1_stamps,
)
from crm_sandbox.pipedrive.schema import Column, Entity
from crm_sandbox.vocabulary import INDUSTRIES

LABELS = ((1, "Customer"), (2, "Hot lead"), (3, "Warm lead"), (4, "Cold lead"))
_LABEL_IDS = "CASE WHEN r2 % 3 = 0 THEN [1 + (r2 % 4)] WHEN r2 % 3 = 1 THEN [1, 3] ELSE [] END"
_INDUSTRIES = tuple(enumerate(INDUSTRIES, 1))
_SPLIT_ADDRESS = """{
    'value': concat_ws(', ', street, postal_code || ' ' || city, country), 'country': country,
    'admin_area_level_1': region, 'admin_area_level_2': NULL, 'locality': city,
    'sublocality': NULL, 'route': regexp_replace(street, '^[0-9]+ ', ''),
    'street_number': nullif(regexp_extract(street, '^[0-9]+'), ''), 'subpremise': NULL,
    'postal_code': postal_code}"""
_PHOTO = "CASE WHEN r3 % 9 = 0 THEN i + 1 END"

PERSONS = Entity(
    "persons",
    "person",
    (
        Column("id", "int", "i + 1", "ID"),
        Column("name", "varchar", "trim(concat_ws(' ', given, family))", "Name", writable=True),
        Column("first_name", "varchar", "given", "First name"),
        Column("last_name", "varchar", "family", "Last name"),
        OWNER,
        Column(
            "org_id", "org", "CASE WHEN r1 % 25 > 0 THEN org_id END", "Organization", writable=True
        ),
        *HISTORY,
        MERGED_INTO,
        Column(
            "emails",
            "emails",
            "list_filter([{'value': email, 'primary': true, 'label': 'work'}, {'value': "
            "CASE WHEN r4 % 6 = 0 THEN lower(email_home) END, 'primary': email IS NULL, 'label': 'home'}], "
            "lambda one: one.value IS NOT NULL)",
            "Email",
            writable=True,
        ),
        Column(
            "phones",
            "phones",
            "list_filter([{'value': phone, 'primary': true, 'label': 'work'}, {'value': mobile, "
            "'primary': phone IS NULL, 'label': 'mobile'}], lambda one: one.value IS NOT NULL)",
            "Phone",
            writable=True,
        ),
        VISIBLE_TO,
        Column("label_ids", "labels", _LABEL_IDS, "Labels", writable=True, options=LABELS),
        Column("picture_id", "int", _PHOTO, "Picture"),
        Column("postal_address", "address", _SPLIT_ADDRESS, shown="sync", writable=True),
        Column(
            "notes",
            "text",
            "CASE WHEN r5 % 7 = 0 THEN nasty END",
            shown="sync",
            writable=True,
        ),
        Column("im", "emails", "[]", "Instant messenger", shown="sync", writable=True),
        Column(
            "birthday",
            "date",
            "CASE WHEN r2 % 5 = 0 THEN DATE '1955-01-01' + (r2 % 16000)::INTEGER END",
            shown="sync",
            writable=True,
        ),
        Column("job_title", "varchar", "title", shown="sync", writable=True),
        Column(
            "marketing_status",
            "choice",
            "CASE WHEN opted_out THEN 'unsubscribed' WHEN r6 % 4 = 0 THEN 'subscribed' "
            "WHEN r6 % 40 = 1 THEN 'archived' ELSE 'no_consent' END",
            shown="asked",
            writable=True,
        ),
        Column(
            "doi_status",
            "int",
            "CASE WHEN r6 % 4 = 0 THEN 3 ELSE 1 END",
            shown="asked",
        ),
        *activities_of("person_id"),
        counted("open_deals_count", deals_where("d.person_id = r.id AND d.status = 'open'")),
        counted("closed_deals_count", deals_where("d.person_id = r.id AND d.status <> 'open'")),
        counted("related_open_deals_count"),
        counted("related_closed_deals_count"),
        counted("participant_open_deals_count"),
        counted("participant_closed_deals_count"),
        counted("email_messages_count"),
        counted("files_count"),
        *outcomes_of("person_id", "person_id"),
        Column("last_incoming_mail_time", "instant", computed="NULL::VARCHAR", shown="asked"),
        Column("last_outgoing_mail_time", "instant", computed="NULL::VARCHAR", shown="asked"),
    ),
    scope="contacts",
    fields_path="personFields",
    filters={"owner_id": "owner_id", "org_id": "org_id"},
    asks=("deal_id",),
    missing="Person not found",
    v1=(
        ("id", "r.id"),
        ("company_id", "$company_id"),
        ("owner_id", person_card("u")),
        (
            "org_id",
            (
                "CASE WHEN o.id IS NOT NULL THEN {'name': o.name, 'people_count': 0, "
                "'owner_id': o.owner_id, 'address': o.address.value, 'cc_email': NULL::VARCHAR, "
                "'value': o.id, 'active_flag': NOT o.is_deleted} END"
            ),
        ),
        ("name", "r.name"),
        ("first_name", "r.first_name"),
        ("last_name", "r.last_name"),
        ("phone", "r.phones"),
        ("email", "r.emails"),
        ("first_char", "lower(left(r.name, 1))"),
        *v1_stamps(),
        ("active_flag", "NOT r.is_deleted"),
        ("visible_to", "r.visible_to::VARCHAR"),
        ("label", "r.label_ids[1]"),
        ("label_ids", "r.label_ids"),
        ("org_name", "o.name"),
        ("owner_name", "u.name"),
    ),
    v1_from="LEFT JOIN users u ON u.id = r.owner_id LEFT JOIN organizations o ON o.id = r.org_id",
)

ORGANIZATIONS = Entity(
    "organizations",
    "organization",
    (
        Column("id", "int", "i + 1", "ID"),
        Column("name", "varchar", "name", "Name", writable=True),
        OWNER,
        *HISTORY,
        MERGED_INTO,
        VISIBLE_TO,
        Column("address", "address", _SPLIT_ADDRESS, "Address", writable=True),
        Column("label_ids", "labels", _LABEL_IDS, "Labels", writable=True, options=LABELS),
        Column(
            "website",
            "varchar",
            "CASE WHEN r2 % 6 > 0 THEN 'https://www.' || domain WHEN r2 % 12 = 0 THEN '' END",
            writable=True,
        ),
        Column("linkedin", "varchar", "NULL", "LinkedIn profile", writable=True),
        Column("industry", "enum", "industry_id", writable=True, options=_INDUSTRIES),
        Column(
            "annual_revenue",
            "whole",
            "CASE WHEN r4 % 5 > 0 THEN revenue::BIGINT END",
            writable=True,
        ),
        Column(
            "employee_count",
            "int",
            "CASE WHEN r4 % 7 > 0 THEN employees END",
            "Number of employees",
            writable=True,
        ),
        *activities_of("org_id"),
        counted("open_deals_count", deals_where("d.org_id = r.id AND d.status = 'open'")),
        counted("closed_deals_count", deals_where("d.org_id = r.id AND d.status <> 'open'")),
        counted("related_open_deals_count"),
        counted("related_closed_deals_count"),
        counted("email_messages_count"),
        counted(
            "people_count",
            "SELECT count(*) FROM persons p WHERE NOT p.is_deleted AND p.org_id = r.id",
        ),
        counted("files_count"),
        *outcomes_of("org_id", "org_id"),
    ),
    scope="contacts",
    fields_path="organizationFields",
    filters={"owner_id": "owner_id"},
    missing="Organization not found",
    v1=(
        ("id", "r.id"),
        ("company_id", "$company_id"),
        ("owner_id", person_card("u")),
        ("name", "r.name"),
        ("active_flag", "NOT r.is_deleted"),
        ("first_char", "lower(left(r.name, 1))"),
        *v1_stamps(),
        ("visible_to", "r.visible_to::VARCHAR"),
        ("label", "r.label_ids[1]"),
        ("label_ids", "r.label_ids"),
        ("owner_name", "u.name"),
        ("address", "r.address.value"),
        *(
            (f"address_{part}", f"r.address.{part}")
            for part in ("route", "street_number", "locality", "admin_area_level_1", "postal_code")
        ),
        ("address_country", "r.address.country"),
        ("address_formatted_address", "r.address.value"),
    ),
    v1_from="LEFT JOIN users u ON u.id = r.owner_id",
)
