"""Payloads are made up, in the shapes that the vendor documents."""

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.model.schema import Field, Schema

MAPPING = importlib.import_module("crm_pipeline.connectors.hubspot.mapping").MAPPING
ROOT = (
    Field("id", "Record ID", "id"),
    Field("createdAt", "Created", "datetime", "timestamp"),
    Field("updatedAt", "Updated", "datetime", "timestamp"),
    Field("archived", "Archived", "bool", "boolean"),
)
KINDS: dict[str, dict[str, Any]] = {
    "number": {"common_type": "decimal"},
    "bool": {"common_type": "boolean"},
    "date": {"common_type": "date", "form": "date_epoch_ms"},
    "datetime": {"common_type": "timestamp", "form": "epoch_ms"},
    "list": {"multiple": ";"},
}


def schema(obj: str, specs: str, **options: tuple[tuple[str, str], ...]) -> Schema:
    """Describe properties by `name` or `name:kind`, their labels from `options`."""
    fields = []
    for spec in specs.split():
        name, kind = [*spec.split(":"), "string"][:2]
        more = {"options": options[name]} if name in options else {}
        path = ("properties", name)
        fields.append(Field(name, name.title(), kind, path=path, **KINDS.get(kind, {}), **more))
    return Schema(obj, obj, (*ROOT, *fields))


def record(number: str, **properties: Any) -> dict[str, Any]:
    return {
        "id": number,
        "properties": properties,
        "createdAt": "2025-06-01T08:00:00.000Z",
        "updatedAt": "2026-01-02T03:04:05.678Z",
        "archived": False,
    }


def link(obj: str, to: Any, label: str | None = None, kind: int = 279) -> dict[str, Any]:
    return {
        "to_object": obj,
        "to_id": to,
        "category": "HUBSPOT_DEFINED",
        "type_id": kind,
        "label": label,
    }


@pytest.fixture
def portal(org):
    org.maps = MAPPING
    return org


def built(portal, table: str, columns: str, connection: str = "acme") -> list[tuple[Any, ...]]:
    portal.normalize(table, connection)
    return portal.rows(table, columns, connection)


CONTACT = schema(
    "contacts",
    "firstname lastname email hs_additional_emails phone mobilephone jobtitle zip hubspot_owner_id "
    "associatedcompanyid hs_email_optout:bool hs_legal_basis:list notes_last_updated:datetime "
    "lifecyclestage hs_merged_object_ids hs_calculated_merged_vids kanaele:list punkte:number",
    lifecyclestage=(("lead", "Lead"), ("1044001", "Stammkunde")),
    kanaele=(("mail", "E-Mail"), ("tel", "Telefon")),
)


def test_a_contact(portal):
    """Properties become columns, with owner, company, consent and all addresses; the rest is custom."""
    portal.land_records(
        CONTACT,
        [
            record(
                "151",
                firstname="Zoë",
                lastname="Ng 吴",
                email="zoe@ng.example",
                hs_additional_emails="z@ng.example;zoe@old.example",
                mobilephone="+49 170 1",
                zip="01067",
                hubspot_owner_id="7001",
                associatedcompanyid="9007199254740993",
                hs_email_optout="true",
                hs_legal_basis="Legitimate interest \u2013 existing customer;Not applicable",
                notes_last_updated="1767225600123",
                lifecyclestage="1044001",
                kanaele=";tel;;mail",
                punkte="12.5",
            )
        ],
    )
    ((row),) = built(
        portal,
        "contacts",
        "contact_key, first_name, last_name, emails, primary_phone, postal_code, owner_key, "
        "company_key, email_opt_out, lawful_basis, last_activity_on::VARCHAR, "
        "created_at::VARCHAR, modified_at::VARCHAR, custom, lifecycle_stage, epoch_ms(last_activity_at)",
    )
    assert row[:3] == ("acme:contacts:151", "Zoë", "Ng 吴")
    assert [(p["value"], p["is_primary"]) for p in row[3]] == [
        ("zoe@ng.example", True),
        ("z@ng.example", False),
        ("zoe@old.example", False),
    ]
    assert row[4:11] == (
        "+49 170 1",
        "01067",
        "acme:owners:7001",
        "acme:companies:9007199254740993",
        True,
        "Legitimate interest \u2013 existing customer;Not applicable",
        "2026-01-01",
    )
    assert row[11:13] == ("2025-06-01 08:00:00+00", "2026-01-02 03:04:05.678+00")
    custom = json.loads(row[13])
    assert (custom["kanaele"], custom["punkte"]) == (";tel;;mail", "12.5")
    assert row[14:] == ("1044001", 1767225600123)


def test_cleared_properties_are_no_values(portal):
    """Null, an empty text and a missing property are all NULL."""
    portal.land_records(
        CONTACT,
        [
            record("1", email="", hs_email_optout="", notes_last_updated="", kanaele=""),
            record("2", email=None, hs_email_optout=None, notes_last_updated=None, kanaele=None),
            record("3"),
        ],
    )
    columns = "email, emails, email_opt_out, last_activity_on, unconverted, custom"
    rows = built(portal, "contacts", columns)
    assert rows[0] == rows[1] == rows[2]
    assert rows[0][:5] == (None, [], None, None, None)
    assert set(json.loads(rows[0][5]).values()) == {None}


@pytest.mark.parametrize(
    ("optout", "marketing", "news", "wanted"),
    [
        ("true", None, None, True),
        (None, None, "true", True),
        ("false", "true", None, True),
        ("false", "false", "", False),
        (None, None, "false", False),
        (None, None, None, None),
        ("", "", "", None),
    ],
)
def test_consent_is_that_of_all_subscriptions(portal, optout, marketing, news, wanted):
    """A person who left any kind of mail has opted out; NULL if the portal has no statement."""
    names = ("hs_email_optout", "hs_email_optout_1", "hs_email_optout_22")
    said = dict(zip(names, (optout, marketing, news), strict=True))
    portal.land_records(
        schema("contacts", " ".join(f"{n}:bool" for n in names)), [record("1", **said)]
    )
    ((found, custom),) = built(portal, "contacts", "email_opt_out, custom")
    assert found is wanted
    assert json.loads(custom) == {name: text or None for name, text in said.items()}


@pytest.mark.parametrize(
    ("count", "reason", "wanted"),
    [("1", None, True), (None, "SPAM", True), ("0", None, False), (None, None, False)],
)
def test_bounces_are_one_fact(portal, count, reason, wanted):
    """A count or a reason means a bounce; a contact with neither has none."""
    names = "hs_email_bounce:number hs_email_hard_bounce_reason_enum"
    said = {"hs_email_bounce": count, "hs_email_hard_bounce_reason_enum": reason}
    portal.land_records(schema("contacts", names), [record("1", **said)])
    assert built(portal, "contacts", "email_bounced") == [(wanted,)]


def test_bounces_are_unknown_where_the_login_sees_none_of_them(portal):
    """Bounces are NULL if the properties are hidden from the login."""
    portal.land_records(schema("contacts", "email"), [record("1", email="a@b.co")])
    assert built(portal, "contacts", "email_bounced, email_opt_out") == [(None, None)]


@pytest.mark.parametrize(
    ("email", "more", "wanted"),
    [
        ("a@b.co", "c@b.co;a@b.co", ["a@b.co", "c@b.co"]),
        (None, "c@b.co; d@b.co", ["c@b.co", "d@b.co"]),
        ("", ";", []),
        ("a@b.co", None, ["a@b.co"]),
    ],
)
def test_the_first_of_all_addresses_is_the_main_one(portal, email, more, wanted):
    """The first further address is used if the main one is empty, and no address is listed twice."""
    portal.land_records(CONTACT, [record("1", email=email, hs_additional_emails=more)])
    ((main, points, custom),) = built(portal, "contacts", "email, emails, custom")
    assert [point["value"] for point in points] == wanted
    assert [point["is_primary"] for point in points] == [place == 0 for place in range(len(wanted))]
    assert main == (wanted[0] if wanted else None)
    assert json.loads(custom)["email"] == (email or None)


def test_views_show_what_people_see(portal):
    """Views show labels, lists of labels and typed values; tables keep stored values."""
    portal.land_records(
        CONTACT, [record("1", lifecyclestage="1044001", kanaele="tel;fax;mail", punkte="7")]
    )
    portal.normalize("contacts")
    portal.publish()
    sql = 'SELECT "Lifecyclestage", "Kanaele", "Punkte", "Archived" FROM crm_acme.contacts'
    assert portal.query(sql) == [
        ("Stammkunde", ["Telefon", "fax", "E-Mail"], Decimal("7.000000"), False)
    ]
    assert portal.query("SELECT lifecycle_stage FROM crm.contacts") == [("1044001",)]


def test_a_company(portal):
    """The portal's own domain takes precedence over the website's."""
    company = schema(
        "companies", "name domain website numberofemployees:number annualrevenue:number industry"
    )
    portal.land_records(
        company,
        [
            record("7", name="Acme", domain="acme.example", website="https://shop.acme.test/x"),
            record("8", name="Beta", website="http://www.beta.test", numberofemployees="50"),
        ],
    )
    assert built(portal, "companies", "name, domain, employees, company_key") == [
        ("Acme", "acme.example", None, "acme:companies:7"),
        ("Beta", "beta.test", 50, "acme:companies:8"),
    ]


DEAL = schema(
    "deals",
    "dealname amount:number deal_currency_code dealstage pipeline closedate:datetime "
    "hs_deal_stage_probability:number hs_projected_amount:number hs_is_closed:bool "
    "hs_is_closed_won:bool hubspot_owner_id hs_merged_object_ids",
    dealstage=(("closedwon", "Closed Won"),),
)


def test_a_deal(portal):
    """Money keeps its currency and exact cents, probabilities become percent, links become references."""
    deal = record(
        "3001",
        dealname="Rahmenvertrag",
        amount="1500.10",
        deal_currency_code="EUR",
        dealstage="closedwon",
        pipeline="default",
        closedate="2026-03-31T22:30:00Z",
        hs_deal_stage_probability="0.200000000000000011102230246251565404236316680908203125",
        hs_projected_amount="300.02",
        hs_is_closed="true",
        hs_is_closed_won="true",
        hubspot_owner_id="7001",
    )
    deal["associations"] = [
        link("contacts", 151, kind=3),
        link("companies", "8", kind=341),
        link("companies", "7", kind=341),
        link("companies", "7", "Primary", kind=5),
    ]
    portal.land_records(DEAL, [deal])
    columns = (
        "name, amount, currency, stage, pipeline_key, close_date::VARCHAR, probability, "
        "expected_revenue, is_closed, is_won, company_key, primary_contact_key, owner_key"
    )
    assert built(portal, "deals", columns) == [
        (
            "Rahmenvertrag",
            Decimal("1500.100000"),
            "EUR",
            "closedwon",
            "acme:deal_pipelines:default",
            "2026-03-31",
            20.0,
            Decimal("300.020000"),
            True,
            True,
            "acme:companies:7",
            "acme:contacts:151",
            "acme:owners:7001",
        )
    ]
    ((custom,),) = portal.rows("deals", "custom")
    assert json.loads(custom)["closedate"] == "2026-03-31T22:30:00Z"
    portal.publish()
    assert portal.query('SELECT "Dealstage" FROM crm_acme.deals') == [("Closed Won",)]


def test_money_that_is_no_number_is_kept(portal):
    """An amount that cannot be read is listed in `unconverted` and kept, and is not zero."""
    portal.land_records(DEAL, [record("1", amount="about 1.500,10")])
    columns = "amount, unconverted, custom ->> 'amount'"
    assert built(portal, "deals", columns) == [(None, ["amount"], "about 1.500,10")]


def test_the_stage_history_of_deals(portal):
    """Each entry of a property's history is a row of its own, whichever way its instant is written."""
    deal = record("3001", dealstage="closedwon")
    deal["propertiesWithHistory"] = {
        "dealstage": [
            {
                "value": "closedwon",
                "timestamp": "2026-02-01T00:00:00.000Z",
                "sourceType": "CRM_UI",
                "updatedByUserId": 42,
            },
            {"value": "contractsent", "timestamp": 1767225600123, "sourceType": "API"},
        ]
    }
    portal.land_records(DEAL, [deal])
    columns = "stage, epoch_ms(changed_at), deal_key, custom ->> 'sourceType'"
    assert built(portal, "deal_stage_history", columns) == [
        ("closedwon", 1769904000000, "acme:deals:3001", "CRM_UI"),
        ("contractsent", 1767225600123, "acme:deals:3001", "API"),
    ]


def test_associations(portal):
    """A link is a row per label, to standard and own objects, ids as texts or numbers."""
    portal.objects["acme"] = {"p44_machines", "companies"}
    contact = record("151")
    contact["associations"] = [
        link("companies", 7, "Primary", 1),
        link("companies", "7", None, 279),
        link("companies", "7", None, 279),
        link("p44_machines", 12, "Operator", 33),
    ]
    portal.land_records(CONTACT, [contact])
    machine = {**record("12"), "associations": [link("contacts", "151", "Operator", 34)]}
    portal.land_records(schema("p44_machines", "serial"), [machine])
    columns = "from_table, from_key, to_table, to_key, role, is_primary"
    person, machines = "acme:contacts:151", "acme:p44_machines:12"
    assert built(portal, "associations", columns) == [
        ("contacts", person, "companies", "acme:companies:7", "Primary", True),
        ("contacts", person, "companies", "acme:companies:7", None, False),
        ("contacts", person, "p44_machines", machines, "Operator", False),
        ("p44_machines", machines, "contacts", person, "Operator", False),
    ]
