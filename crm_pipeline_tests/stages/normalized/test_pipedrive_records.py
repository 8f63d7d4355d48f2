"""Payloads are made up, in the shapes that the vendor documents."""

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing.account_facts import note_facts

MAPPING = importlib.import_module("crm_pipeline.connectors.pipedrive.mapping").MAPPING
SEGMENT = "dcf558aac1ae4e8c4f849ba5e668430d8df9be12"
BUDGET = "f7a2c1d0b9e84f3a6c5d4e3f2a1b0c9d8e7f6a5b"
SEGMENT_ELSEWHERE = "0123456789abcdef0123456789abcdef01234567"


def custom(key: str, label: str, kind: str, *below: str, **more: Any) -> Field:
    """Describe a custom field, or a part of one below its key."""
    name = "_".join((key, *(part for part in below if part != "value")))
    return Field(name, label, kind, path=("custom_fields", key, *below), custom=True, **more)


def schema(obj: str, specs: str, *more: Field, stamp: str = "timestamp") -> Schema:
    """Describe fields by `name` or `name:common type`."""
    pairs = [[*spec.split(":"), "string"][:2] for spec in f"id is_deleted:boolean {specs}".split()]
    stamps = [(name, stamp) for name in ("add_time", "update_time")]
    named = [Field(name, name.title(), kind, kind) for name, kind in (*pairs, *stamps)]
    return Schema(obj, obj, (*named, *more))


def record(number: Any, **more: Any) -> dict[str, Any]:
    times = {"add_time": "2025-06-01T08:00:00Z", "update_time": "2026-01-02T03:04:05Z"}
    return {"id": number, "is_deleted": False, **times, **more}


@pytest.fixture
def company(org):
    org.maps = MAPPING
    return org


def land(company, described: Schema, *records: dict[str, Any], connection: str = "acme") -> None:
    company.land_records(
        described, records, stamp="update_time", deleted="is_deleted", connection=connection
    )


def built(company, table: str, columns: str, connection: str = "acme") -> list[tuple[Any, ...]]:
    company.normalize(table, connection)
    return company.rows(table, columns, connection)


DEAL = schema(
    "deals",
    "title owner_id person_id org_id pipeline_id stage_id value:decimal currency status "
    "probability:double local_close_date:date close_time:timestamp expected_close_date:date",
    custom(SEGMENT, "Segment", "enum", options=(("27", "Enterprise"), ("28", "KMU"))),
    custom(BUDGET, "Budget", "monetary", "value", common_type="decimal"),
    custom(BUDGET, "Currency of Budget", "varchar", "currency"),
    Field(
        "label_ids",
        "Labels",
        "set",
        options=(("1", "Hot"), ("2", "Cold")),
        multiple="json",
    ),
)


def test_a_deal(company):
    """Ids become keys, money keeps its currency, the status gives open, won or lost."""
    land(
        company,
        DEAL,
        record(
            11,
            title="Angebot 7",
            owner_id=5,
            person_id=21,
            org_id=31,
            pipeline_id=1,
            stage_id=4,
            value=1999.99,
            currency="CHF",
            status="won",
            probability=90,
            close_time="2026-03-31T23:30:00Z",
            local_close_date="2026-04-01",
            expected_close_date="2026-05-01",
            custom_fields={SEGMENT: 27, BUDGET: {"value": 500.5, "currency": "EUR"}},
            label_ids=[2, 1, 9],
        ),
        record(12, title="x", status="lost", close_time="2026-03-31T23:30:00Z", custom_fields={}),
        record(13, title="y", status="open", expected_close_date="2026-05-01", custom_fields=None),
        record(14, title="z", status="deleted", is_deleted=True),
    )
    columns = (
        "deal_key, owner_key, primary_contact_key, company_key, pipeline_key, stage, amount, currency, "
        "probability"
    )
    assert built(company, "deals", columns)[0] == (
        "acme:deals:11",
        "acme:users:5",
        "acme:persons:21",
        "acme:organizations:31",
        "acme:pipelines:1",
        "4",
        Decimal("1999.990000"),
        "CHF",
        90.0,
    )
    states = "source_id, close_date::VARCHAR, is_closed, is_won, is_deleted, custom ->> 'status'"
    assert company.rows("deals", states) == [
        ("11", "2026-04-01", True, True, False, "won"),
        ("12", "2026-03-31", True, False, False, "lost"),
        ("13", "2026-05-01", False, False, False, "open"),
        ("14", None, None, None, True, "deleted"),
    ]


def test_custom_fields_have_names_in_the_views(company):
    """Views show labels for keys of 40 digits and for options, and parts as columns of their own."""
    fields = {SEGMENT: 28, BUDGET: {"value": 500.5, "currency": "EUR"}}
    land(company, DEAL, record(11, title="a", custom_fields=fields, label_ids=[2, 1, 9]))
    company.normalize("deals")
    company.publish()
    sql = 'SELECT "Segment", "Budget", "Currency of Budget", "Labels" FROM crm_acme.deals'
    assert company.query(sql) == [("KMU", Decimal("500.500000"), "EUR", ["Cold", "Hot", "9"])]
    stored = json.loads(company.query("SELECT custom FROM crm.deals")[0][0])
    assert (stored[SEGMENT], stored[f"{BUDGET}_currency"], stored["label_ids"]) == (
        "28",
        "EUR",
        "[2,1,9]",
    )


def test_keys_of_two_companies_do_not_mix(company):
    """The same field has another key in every company, and the same ids are other records."""
    other = schema("deals", "title", custom(SEGMENT_ELSEWHERE, "Segment", "varchar"))
    land(company, DEAL, record(11, title="a", custom_fields={SEGMENT: 27}))
    fields = {SEGMENT_ELSEWHERE: "KMU", SEGMENT: "not ours"}
    land(company, other, record(11, title="b", custom_fields=fields), connection="globex")
    for name in ("acme", "globex"):
        company.normalize("deals", name)
    company.publish()
    assert company.query("SELECT deal_key FROM crm.deals ORDER BY 1") == [
        ("acme:deals:11",),
        ("globex:deals:11",),
    ]
    assert company.query('SELECT "Segment" FROM crm_acme.deals') == [("Enterprise",)]
    assert company.query('SELECT "Segment" FROM crm_globex.deals') == [("KMU",)]
    (stored,) = company.query("SELECT custom FROM crm.deals WHERE connection = 'globex'")
    assert SEGMENT not in json.loads(stored[0])


PERSON = schema(
    "persons",
    "name first_name last_name owner_id org_id emails:json phones:json marketing_status job_title",
    Field("postal_address", "Address", "address", path=("postal_address", "value")),
    *(
        Field(f"postal_address_{part}", part, "address", path=("postal_address", part))
        for part in (
            "route",
            "street_number",
            "locality",
            "admin_area_level_1",
            "postal_code",
            "country",
        )
    ),
)


def test_a_person(company):
    """All e-mails and phones stay with their labels; the primary one is the column, wherever it stands."""
    emails = [
        {"value": "home@ng.example", "primary": False, "label": "home"},
        {"value": "zoe@ng.example", "primary": True, "label": "work"},
    ]
    phones = [
        {"value": "+41 44 1", "primary": True, "label": "work"},
        {"value": "+41 79 2", "primary": False, "label": "mobile"},
    ]
    address = {
        "value": "Bahnhofstrasse 1, 8001 Zürich, Schweiz",
        "route": "Bahnhofstrasse",
        "street_number": "1",
        "locality": "Zürich",
        "postal_code": "8001",
        "country": "Schweiz",
    }
    land(
        company,
        PERSON,
        record(21, name="Zoë Ng", org_id=31, emails=emails, phones=phones, postal_address=address),
        record(22, emails=[], phones=[], postal_address={"value": "somewhere"}),
    )
    columns = (
        "full_name, company_key, email, list_transform(emails, lambda p: p.value), phone, "
        "mobile_phone, primary_phone, street, city, postal_code, country"
    )
    assert built(company, "contacts", columns) == [
        (
            "Zoë Ng",
            "acme:organizations:31",
            "zoe@ng.example",
            ["zoe@ng.example", "home@ng.example"],
            "+41 44 1",
            "+41 79 2",
            "+41 44 1",
            "Bahnhofstrasse 1",
            "Zürich",
            "8001",
            "Schweiz",
        ),
        (None, None, None, [], None, None, None, "somewhere", None, None, None),
    ]


@pytest.mark.parametrize(
    ("status", "opted_out"),
    [("subscribed", False), ("unsubscribed", True), ("no_consent", None), (None, None)],
)
def test_consent_is_known_or_not(company, status, opted_out):
    """Only people who unsubscribed have opted out; without consent it is unknown."""
    land(company, PERSON, record(21, marketing_status=status))
    assert built(company, "contacts", "email_opt_out") == [(opted_out,)]


def test_an_organization(company):
    """The parts of an address become columns."""
    organization = schema(
        "organizations",
        "name website employee_count:integer",
        Field("address", "Address", "address", path=("address", "value")),
        Field("address_locality", "City", "address", path=("address", "locality")),
    )
    row = record(31, name="Acme", website="https://www.acme.example", employee_count=10)
    land(company, organization, {**row, "address": {"value": "x", "locality": "Tallinn"}})
    assert built(company, "companies", "name, domain, employees, city") == [
        ("Acme", "acme.example", 10, "Tallinn")
    ]


def test_activities_and_notes(company):
    """A company's own types of activities are tasks; notes of the older API are UTC and deleted by their flag."""
    activity = schema(
        "activities",
        "subject type done:boolean due_date:date duration deal_id lead_id person_id owner_id",
        Field("location", "Location", "address", path=("location", "value")),
    )
    land(
        company,
        activity,
        record(1, type="call", done=True, due_date="2026-01-05", duration="01:30:00", deal_id=11),
        record(2, type="pitch", done=False, location={"value": "Wien"}, lead_id="adf2-1"),
        record(3, type="lunch", duration=""),
    )
    note = schema("notes", "content deal_id user_id active_flag:boolean", stamp="string")
    times = {"add_time": "2026-01-01 00:00:00", "update_time": "2026-01-02 00:00:00"}
    company.land_records(
        note,
        [
            {"id": 4, "content": "<b>x</b>", "user_id": 5, "active_flag": True, **times},
            {"id": 5, "content": "gone", "user_id": 5, "active_flag": False, **times},
        ],
    )
    columns = (
        "source_id, activity_type, is_closed, duration_minutes, location, deal_key, lead_key, "
        "epoch_ms(modified_at), is_deleted"
    )
    changed = 1767323045000
    changed_at_ms = 1767312000000
    assert built(company, "activities", columns) == [
        ("1", "call", True, 90, None, "acme:deals:11", None, changed, False),
        ("2", "task", False, None, "Wien", None, "acme:leads:adf2-1", changed, False),
        ("3", "meeting", None, None, None, None, None, changed, False),
        ("4", "note", None, None, None, None, None, changed_at_ms, False),
        ("5", "note", None, None, None, None, None, changed_at_ms, True),
    ]
    assert company.rows("activities", "custom ->> 'duration'")[0] == ("01:30:00",)


def test_when_activities_are_due(company):
    """A time is UTC, so the day may differ in San Francisco; a day without a time stays."""
    zone = AccountFacts("America/Los_Angeles", "USD", "https://acme.pipedrive.com")
    note_facts(company.landing, "acme", zone)
    activity = schema("activities", "type due_date:date due_time duration")
    land(
        company,
        activity,
        record(1, type="call", due_date="2026-05-02", due_time="00:30:00", duration="01:15:00"),
        record(2, type="call", due_date="2026-05-02", due_time="12:00", duration=""),
        record(3, type="call", due_date="2026-05-02", due_time="", duration=""),
        record(4, type="call", due_date="2026-05-02", due_time=None, duration="00:30"),
        record(5, type="call"),
    )
    columns = (
        "source_id, due_on::VARCHAR, epoch(due_at), epoch(starts_at), epoch(ends_at), unconverted"
    )
    night = 1777681800.0
    noon = night + 11.5 * 3600
    assert built(company, "activities", columns) == [
        ("1", "2026-05-01", night, night, night + 75 * 60, None),
        ("2", "2026-05-02", noon, noon, None, None),
        ("3", "2026-05-02", None, None, None, None),
        ("4", "2026-05-02", None, None, None, None),
        ("5", None, None, None, None, None),
    ]
    assert company.rows("activities", "url")[0] == (
        "https://acme.pipedrive.com/activities/list/user/everyone?selected=1",
    )
    # No field of it is lost, though none of them is a column of its own.
    stored = json.loads(company.rows("activities", "custom")[0][0])
    assert {"2026-05-02", "00:30:00"} <= set(stored.values())


def test_a_deal_that_is_open_again(company):
    """Values left from an earlier closing do not make an open deal closed."""
    times = {"close_time": "2026-03-31T23:30:00Z", "won_time": "2026-03-31T23:30:00Z"}
    land(company, DEAL, *(record(k, status=s, **times) for k, s in enumerate(("open", "won"))))
    closed = "source_id, epoch(closed_at), is_closed"
    assert built(company, "deals", closed) == [("0", None, False), ("1", 1774999800.0, True)]


@pytest.mark.parametrize(
    ("currency", "prices", "expected_price"),
    [
        ("CHF", [("EUR", 9), ("CHF", 8.5)], (8.5, "CHF")),
        ("CHF", [("EUR", 9), ("USD", 8)], (9.0, "EUR")),
        # A price that is not there is no price, and takes its currency along.
        ("CHF", [("CHF", None), ("USD", 8)], (8.0, "USD")),
        ("", [("EUR", 9), ("CHF", 8.5)], (9.0, "EUR")),
        ("CHF", [], (None, None)),
        ("CHF", None, (None, None)),
    ],
)
def test_prices_of_products(company, currency, prices, expected_price):
    """The price in the account's main currency, else the first one, with the currency beside it."""
    note_facts(company.landing, "acme", AccountFacts("UTC", currency))
    listed = prices and [{"price": price, "currency": code} for code, price in prices]
    options = (("7", "Hardware"),)
    product = schema(
        "products", "name prices:json", Field("category", "C", "enum", options=options)
    )
    land(company, product, record(1, name="x", prices=listed, category=7))
    row = built(company, "products", "price::DOUBLE, currency, family, custom ->> 'category'")
    assert row == [(*expected_price, "Hardware", "7")]


def test_options_by_their_labels(company):
    """A channel is shown by its label; one that is no longer an option stays as it is."""
    channel = Field("channel", "Channel", "enum", options=(("52", "Messe"),))
    deal = schema("deals", "title status origin", channel)
    channels = enumerate((52, 99, None))
    rows = [record(k, status="open", origin="API", channel=one) for k, one in channels]
    land(company, deal, *rows)
    assert built(company, "deals", "source") == [("99",), ("Messe",), (None,)]


def test_a_lead_is_a_chance(company):
    """A lead has a name of its own and refers to a person or an organization."""
    lead = schema("leads", "title owner_id person_id organization_id value:json")
    uuid = "adf21080-0e10-11eb-879b-05d71fb426ec"
    value = {"amount": 999, "currency": "USD"}
    times = {"add_time": "2026-01-01T00:00:00.551Z", "update_time": "2026-01-01T00:00:00.551Z"}
    land(company, lead, {"id": uuid, "title": "Jane", "person_id": 21, "value": value, **times})
    columns = "lead_key, name, contact_key, company_key, epoch_ms(created_at), custom ->> 'value'"
    ((*row, stored),) = built(company, "leads", columns)
    assert row == [f"acme:leads:{uuid}", "Jane", "acme:persons:21", None, 1767225600551]
    assert json.loads(stored) == value


def test_options_of_leads_are_those_of_deals(company):
    """Several options, which v1 writes as one text with commas, become the list that v2 has for deals."""
    expected = (
        ("62,63,65", "[62,63,65]", ["Data", "CRM, Sales", "65"]),
        ("62", "[62]", ["Data"]),
        (" 62 , 63,", '["62","63"]', ["Data", "CRM, Sales"]),
        ([62, 63], "[62,63]", ["Data", "CRM, Sales"]),
        ("a,62", '["a","62"]', ["a", "Data"]),
        ("", None, None),
        (None, None, None),
    )
    options = (("62", "Data"), ("63", "CRM, Sales"))
    lead = schema("leads", "title", Field(SEGMENT, "Wants", "set", options=options, multiple=","))
    uuid = "adf21080-0e10-11eb-879b-05d71fb426e{}"
    records = [record(uuid.format(n), **{SEGMENT: text}) for n, (text, *_) in enumerate(expected)]
    land(company, lead, *records)
    stored = built(company, "leads", f"source_id, custom ->> '{SEGMENT}'")
    assert [text for _, text in stored] == [text for _, text, _ in expected]
    company.publish()
    shown = company.query('SELECT "Wants" FROM crm_acme.leads ORDER BY crm_key')
    assert shown == [(labels,) for *_, labels in expected]


def test_histories_that_earlier_versions_noted(company):
    """Histories of earlier versions have the stage as the new value only, and are still read."""
    log = schema("deal_changes", "stage_id", Field("stages", "Stages", "json", "json"))
    move = {"field_key": "stage_id", "time": "2026-01-05 08:00:00", "actor_user_id": 5}
    state = {"stage_id": "4", "pipeline_id": 1, "value": "900", "currency": "EUR"}
    sold = {
        "number": 1,
        "field_key": "value",
        "time": "2026-01-06 08:00:00",
        **state,
        "value": "950",
    }
    land(
        company,
        log,
        record(11, stages=[{"number": 0, **move, "new_value": "3"}]),
        record(12, stages=[{"number": 0, **move, "new_value": "4", **state}, sold]),
    )
    columns = "source_id, stage, pipeline_key, amount::INTEGER, epoch(entered_at), epoch(left_at)"
    moved = 1767600000.0
    assert built(company, "deal_stage_history", columns) == [
        ("11:0", "3", None, None, moved, None),
        ("12:0", "4", "acme:pipelines:1", 900, moved, None),
        ("12:1", "4", "acme:pipelines:1", 950, moved, None),
    ]


def test_products_in_deals(company):
    """A discount has a column only if it is in percent; the id of a product may refer to none."""
    attached = schema(
        "deal_products",
        "deal_id product_id name quantity:decimal item_price:decimal discount:double "
        "discount_type sum:decimal currency",
    )
    land(
        company,
        attached,
        record(3, deal_id=11, product_id=1, quantity=2, item_price=9.9, discount=5, sum=18.81),
        record(4, deal_id=11, product_id=None, discount=5, discount_type="percentage"),
        record(5, deal_id=11, discount=5, discount_type="amount", currency="USD"),
    )
    columns = "deal_key, product_key, quantity, unit_price, discount, custom ->> 'discount'"
    two, price = Decimal("2.000000"), Decimal("9.900000")
    assert built(company, "deal_line_items", columns) == [
        ("acme:deals:11", "acme:products:1", two, price, None, "5"),
        ("acme:deals:11", None, None, None, 5.0, "5"),
        ("acme:deals:11", None, None, None, None, "5"),
    ]


def test_pipelines_stages_and_users(company):
    """Records have the keys by which deals refer to them; deals join stages by their id."""
    land(company, schema("pipelines", "name order_nr:integer"), record(1, name="Vertrieb"))
    stage = schema("stages", "name order_nr:integer deal_probability:integer pipeline_id")
    land(company, stage, record(4, name="Angebot", order_nr=2, deal_probability=60, pipeline_id=1))
    user = schema("users", "name email active_flag:boolean last_login created modified")
    times = {"last_login": "2026-01-01 00:00:00", "created": "2025-01-01 00:00:00"}
    land(company, user, {"id": 5, "name": "Jo", "active_flag": False, **times})
    assert built(company, "pipelines", "pipeline_key, name, label, for_table") == [
        ("acme:pipelines:1", "1", "Vertrieb", "deals")
    ]
    columns = "name, label, pipeline_key, position, probability, is_closed"
    assert built(company, "stages", columns) == [
        ("4", "Angebot", "acme:pipelines:1", 2, 60.0, False)
    ]
    assert built(company, "users", "full_name, is_active, epoch_ms(last_login_at)") == [
        ("Jo", False, 1767225600000)
    ]


def test_a_deal_that_was_opened_again_keeps_no_closing_day(company):
    """An open deal has no closing day from an earlier closing; a closed one has its own day."""
    left = {"local_close_date": "2025-01-01", "close_time": "2025-01-01T12:00:00Z"}
    expected = {"expected_close_date": "2026-12-24"}
    deals = [
        {"status": "open", **left, **expected},
        {"status": "open", **left},
        {"status": "won", **left, **expected},
        {"status": "lost", **expected},
        {"status": "lost", "close_time": "2025-01-01T12:00:00Z", **expected},
    ]
    land(company, DEAL, *(record(n, title="x", **each) for n, each in enumerate(deals)))
    columns = "source_id, close_date::VARCHAR, closed_at IS NOT NULL, unconverted"
    assert [row[1:] for row in built(company, "deals", columns)] == [
        ("2026-12-24", False, None),
        (None, False, None),
        ("2025-01-01", True, None),
        ("2026-12-24", False, None),
        ("2025-01-01", True, None),
    ]
