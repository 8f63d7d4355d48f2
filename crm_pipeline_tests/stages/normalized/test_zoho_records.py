"""Payloads are made up, in the shapes that the vendor documents."""

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.model.schema import Field, Schema

MAPPING = importlib.import_module("crm_pipeline.connectors.zoho.mapping").MAPPING
ID = "4876876000000624001"
OTHER = "4876876000000624002"
OWNER = "4876876000000225013"


def schema(module: str, specs: str, *more: Field) -> Schema:
    """Return a schema from `Name`, `Name:common type`, `Name:lookup` or `Name:multi`."""
    listed = "id Created_Time:timestamp Modified_Time:timestamp Owner:lookup"
    return Schema(module, module, (*(_field(s) for s in f"{listed} {specs}".split()), *more))


def _field(spec: str) -> Field:
    name, kind = [*spec.split(":"), "string"][:2]
    label = name.replace("_", " ")
    if kind == "lookup":
        return Field(name, label, "lookup", path=(name, "id"))
    if kind == "multi":
        options = (("a", "Alpha"), ("b", "Beta; große"))
        return Field(name, label, "multiselectpicklist", multiple="json", options=options)
    common: Any = kind
    return Field(name, label, kind, common)


def record(number: str = ID, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "Created_Time": "2025-06-01T10:00:00+02:00",
        "Modified_Time": "2026-01-01T05:30:00+05:30",
        "Owner": {"name": "Jo", "id": OWNER, "email": "jo@acme.example"},
        **more,
    }


@pytest.fixture
def zoho(org):
    org.maps = MAPPING
    return org


def land(zoho, described: Schema, *records: dict[str, Any], connection: str = "acme") -> None:
    zoho.land_records(described, records, stamp="Modified_Time", connection=connection)


def land_csv(zoho, described: Schema, *rows: dict[str, Any], connection: str = "acme") -> None:
    """Land rows as a bulk read writes them: everything is text, look-ups are ids."""
    keyed = [{**row, "Id": row["id"], "SystemModstamp": row["Modified_Time"]} for row in rows]
    zoho.land(described, keyed, connection=connection)


def built(zoho, table: str, columns: str, connection: str = "acme") -> list[tuple[Any, ...]]:
    zoho.normalize(table, connection)
    return zoho.rows(table, columns, connection)


CONTACT = schema(
    "Contacts",
    "First_Name Last_Name Full_Name Email Secondary_Email Mobile Account_Name:lookup "
    "Reporting_To:lookup Date_of_Birth:date Email_Opt_Out:boolean Mailing_Zip Interests:multi "
    "Score:integer Last_Activity_Time:timestamp",
)
FULL = {
    "First_Name": "Zoë",
    "Last_Name": "Ng",
    "Email": "zoe@ng.example",
    "Secondary_Email": "z@ng.example",
    "Mobile": "+49 170 1",
    "Date_of_Birth": "1980-02-29",
    "Mailing_Zip": "01067",
    "Last_Activity_Time": "2025-12-31T23:30:00-07:00",
}


def test_a_contact(zoho):
    """Ids of 19 digits stay exact, time zones count, look-ups become references."""
    account = {"name": "Acme", "id": OTHER}
    land(zoho, CONTACT, record(**FULL, Account_Name=account, Email_Opt_Out=True, Reporting_To=None))
    columns = (
        "contact_key, company_key, reports_to_key, owner_source_id, owner_key, first_name, "
        "mobile_phone, postal_code, birth_date::VARCHAR, email_opt_out, "
        "list_transform(emails, lambda p: p.value), epoch_ms(created_at), epoch_ms(modified_at), "
        "last_activity_on::VARCHAR"
    )
    assert built(zoho, "contacts", columns) == [
        (
            f"acme:Contacts:{ID}",
            f"acme:Accounts:{OTHER}",
            None,
            OWNER,
            f"acme:Users:{OWNER}",
            "Zoë",
            "+49 170 1",
            "01067",
            "1980-02-29",
            True,
            ["zoe@ng.example", "z@ng.example"],
            1748764800000,
            1767225600000,
            "2025-12-31",
        )
    ]


def test_bulk_and_json_give_equal_rows(zoho):
    """A contact read by a bulk job is the row that it is when read one page at a time."""
    objects = {
        "Account_Name": {"name": "Acme", "id": OTHER},
        "Reporting_To": None,
        "Email_Opt_Out": False,
        "Interests": ["a", "b", "c"],
        "Score": 7,
    }
    texts = {
        "Account_Name": OTHER,
        "Reporting_To": "",
        "Owner": OWNER,
        "Email_Opt_Out": "false",
        "Interests": "a;b;c",
        "Score": "7",
    }
    empty = dict.fromkeys((*FULL, *objects))
    land(zoho, CONTACT, record(**FULL, **objects), record(OTHER, **empty, Owner=None))
    plain = {**record(), **FULL, **texts}
    blank = {
        **record(OTHER),
        **dict.fromkeys(plain, ""),
        "id": OTHER,
        "Modified_Time": plain["Modified_Time"],
    }
    blank["Created_Time"] = plain["Created_Time"]
    land_csv(zoho, CONTACT, plain, blank, connection="bulk")
    columns = (
        "* EXCLUDE (batch_id, connection, contact_key, company_key, owner_key, reports_to_key)"
    )
    json_rows = built(zoho, "contacts", columns)
    assert json_rows == built(zoho, "contacts", columns, "bulk")
    assert len(json_rows) == 2
    zoho.publish()
    for view in ("crm_acme", "crm_bulk"):
        assert zoho.query(f'SELECT "Interests", "Score" FROM {view}.contacts ORDER BY ALL') == [
            (["Alpha", "Beta; große", "c"], 7),
            (None, None),
        ]


def test_a_record_read_both_ways_is_one_row(zoho):
    """The later read wins, whatever shape it has."""
    land_csv(zoho, CONTACT, {**record(Last_Name="bulk"), "Owner": OWNER})
    land(zoho, CONTACT, record(Last_Name="json"))
    assert built(zoho, "contacts", "last_name, owner_source_id, is_deleted") == [
        ("json", OWNER, False)
    ]


@pytest.mark.parametrize(
    ("details", "basis"),
    [
        (
            {"Data_Processing_Basis": "Consent - Obtained", "Contact_Through_Email": True},
            "Consent - Obtained",
        ),
        ({}, None),
        (None, None),
        (..., None),
    ],
)
def test_the_basis_of_processing(zoho, details, basis):
    """The lawful basis is that of the privacy module; without the module it is unknown."""
    more = {} if details is ... else {"Data_Processing_Basis_Details": details}
    land(zoho, CONTACT, record(**more))
    assert built(zoho, "contacts", "lawful_basis, email_opt_out") == [(basis, None)]


DEAL = schema(
    "Deals",
    "Deal_Name Amount:decimal Currency Stage Pipeline Probability:double Closing_Date:date "
    "Account_Name:lookup Contact_Name:lookup Campaign_Source:lookup",
)


@pytest.mark.parametrize("stage", ["Qualification", "Closed Won", "Gewonnen"])
def test_a_deal(zoho, stage):
    """The name of a stage does not decide whether a deal is closed; without a rate `amount_main` is NULL."""
    land(
        zoho,
        DEAL,
        record(
            Deal_Name="Lizenz",
            Amount=1234567890123.45,
            Currency="EUR",
            Stage=stage,
            Pipeline="Standard (Standard)",
            Probability=90,
            Closing_Date="2026-03-31",
            Contact_Name={"name": "Zoë", "id": ID},
        ),
    )
    columns = (
        "amount, currency, stage, pipeline_key, probability, is_closed, is_won, amount_main, "
        "primary_contact_key"
    )
    assert built(zoho, "deals", columns) == [
        (
            Decimal("1234567890123.450000"),
            "EUR",
            stage,
            "acme:Pipelines:Standard (Standard)",
            90.0,
            None,
            None,
            None,
            f"acme:Contacts:{ID}",
        )
    ]


def test_pipelines_join_deals_by_name(zoho):
    """Deals join pipelines and stages by name; custom stages state whether they are won."""
    pipeline = {
        "id": OTHER,
        "display_value": "Standard",
        "actual_value": "Standard (Standard)",
        "default": True,
        "maps": [
            {
                "display_value": "Angebot",
                "actual_value": "Qualification",
                "sequence_number": 1,
                "forecast_type": "Open",
                "forecast_category": {"name": "Pipeline", "id": "1"},
                "id": ID,
            },
            {
                "display_value": "Gewonnen",
                "actual_value": "Gewonnen",
                "sequence_number": 2,
                "forecast_type": "Closed Won",
                "forecast_category": {"name": "Closed", "id": "2"},
                "id": OTHER,
            },
        ],
    }
    names = ("id", "display_value", "actual_value", "default")
    described = Schema("Pipelines", "Pipelines", tuple(Field(n, n, "string") for n in names))
    zoho.land_records(described, [pipeline], key="actual_value", complete=True)
    land(zoho, DEAL, record(Stage="Gewonnen", Pipeline="Standard (Standard)"))
    for table in ("pipelines", "stages", "deals"):
        zoho.normalize(table)
    zoho.publish()
    joined = (
        "SELECT p.label, p.is_default, s.label, s.position, s.is_closed, s.is_won, s.forecast_category "
        "FROM crm.deals AS d JOIN crm.stages AS s ON s.pipeline_key = d.pipeline_key "
        "AND s.name = d.stage JOIN crm.pipelines AS p ON p.pipeline_key = d.pipeline_key"
    )
    assert zoho.query(joined) == [("Standard", True, "Gewonnen", 2, True, True, "Closed")]


@pytest.mark.parametrize(
    ("basis", "own", "through", "asked"),
    [
        ("Consent - Obtained", False, False, True),
        ("Consent - Obtained", False, True, False),
        ("Consent - Obtained", True, True, True),
        ("Consent - Obtained", None, False, True),
        ("Contract", False, False, False),
        ("Contract", None, False, None),
    ],
)
def test_a_channel_that_nobody_consented_to(zoho, basis, own, through, asked):
    """If consent is the ground, an unticked channel is an opt-out; for other grounds the marks do not count."""
    described = schema(
        "Contacts",
        "Last_Name Email_Opt_Out:boolean Do_Not_Call:boolean Data_Processing_Basis_Details:json",
    )
    details = {"Data_Processing_Basis": basis}
    details |= {"Contact_Through_Email": through, "Contact_Through_Phone": through}
    flags = {"Email_Opt_Out": own, "Do_Not_Call": own, "Data_Processing_Basis_Details": details}
    land(zoho, described, record(Last_Name="Ng", **flags))
    assert built(zoho, "contacts", "email_opt_out, do_not_call") == [(asked, asked)]


def test_stages_without_a_type(zoho):
    """The forecast category is the fallback; omitted and custom categories are unknown."""
    stages = [("Offen", None, "Best Case"), ("Ja", None, "Closed"), ("?", None, "Omitted")]
    stages += [("Nein", "Closed Lost", "Closed"), ("Eigen", "Geparkt", "Pipeline")]
    maps = [
        {"actual_value": name, "forecast_type": kind, "forecast_category": {"name": category}}
        for name, kind, category in stages
    ]
    pipeline = {"actual_value": "default", "maps": maps}
    described = Schema("Pipelines", "Pipelines", (Field("actual_value", "Name", "string"),))
    zoho.land_records(described, [pipeline], key="actual_value", complete=True)
    assert built(zoho, "stages", "name, is_closed, is_won") == [
        ("?", None, None),
        ("Eigen", None, None),
        ("Ja", True, True),
        ("Nein", True, False),
        ("Offen", False, False),
    ]


HISTORY = schema(
    "DealHistory", "Stage Moved_To__s Stage_Duration_Calendar_Days:integer Potential_Name:lookup"
)


def stay(number: int, stage: str, stamp: str, days: int | None) -> dict[str, Any]:
    deal = {"Potential_Name": {"id": OTHER}, "Stage": stage, "Moved_To__s": None}
    moment = f"2026-09-{stamp}:00+05:30"
    return record(str(number), **deal, Modified_Time=moment, Stage_Duration_Calendar_Days=days)


@pytest.mark.parametrize(
    ("stays", "entered"),
    [
        # As one client shows it, with a stage of three days behind.
        ([("26T16:52", 0), ("26T16:53", 1), ("27T22:16", 3), ("30T18:40", None)], "26 26 27 30"),
        # The same days with stamps of the moments at which the stages were left.
        ([("26T16:53", 0), ("27T22:16", 1), ("30T18:40", 3), ("30T18:40", None)], "26 26 27 30"),
        # Without days two rows of one stamp at the end decide.
        ([("03T10:00", None), ("05T10:00", None), ("05T10:00", None)], "03 03 05"),
        ([("03T10:00", None), ("05T10:00", None), ("09T10:00", None)], "03 05 09"),
    ],
)
def test_what_the_stamps_of_the_history_mean(zoho, stays, entered):
    """The days in the account's own rows decide, else the times of the last move."""
    rows = [stay(10 + n, f"S{n}", stamp, days) for n, (stamp, days) in enumerate(stays)]
    land(zoho, HISTORY, *rows)
    found = built(zoho, "deal_stage_history", "stage, day(timezone('Asia/Kolkata', changed_at))")
    wanted = [int(day) for day in entered.split()]
    assert found == [(f"S{n}", day) for n, day in enumerate(wanted)]


def test_activities_are_about_records_of_any_module(zoho):
    """The module beside the id gives the object of an activity; without it the key is NULL."""
    task = schema("Tasks", "Subject Status Due_Date:date Who_Id:lookup What_Id:lookup $se_module")
    about = {"What_Id": {"name": "Lizenz", "id": OTHER}}
    land(
        zoho,
        task,
        record(
            "1",
            Status="Completed",
            Who_Id={"name": "Zoë", "id": ID},
            **about,
            **{"$se_module": "Deals"},
        ),
        record("2", Status="Not Started", **about, **{"$se_module": "Leads"}),
        record("3", Due_Date="2026-01-05", **about),
    )
    note = schema("Notes", "Note_Title Note_Content Parent_Id:lookup $se_module")
    land(zoho, note, record("4", Parent_Id={"id": ID}, **{"$se_module": "Contacts"}))
    call = schema(
        "Calls", "Call_Start_Time:timestamp Call_Duration_in_seconds:integer Call_Duration"
    )
    start = "2026-01-01T05:30:00+05:30"
    land(
        zoho,
        call,
        record("5", Call_Start_Time=start, Call_Duration_in_seconds=61, Call_Duration="01:01"),
    )
    columns = (
        "source_id, activity_type, is_closed, contact_key, what_source_id, what_key, deal_key, lead_key, "
        "call_seconds, epoch_ms(starts_at)"
    )
    person, deal, lead = f"acme:Contacts:{ID}", f"acme:Deals:{OTHER}", f"acme:Leads:{OTHER}"
    assert built(zoho, "activities", columns) == [
        ("1", "task", True, person, OTHER, deal, deal, None, None, None),
        ("2", "task", False, None, OTHER, lead, None, lead, None, None),
        ("3", "task", None, None, OTHER, None, None, None, None, None),
        ("4", "note", None, person, ID, person, None, None, None, None),
        ("5", "call", None, None, None, None, None, None, 61, 1767225600000),
    ]


def test_a_converted_lead(zoho):
    """A converted lead refers to the records made of it."""
    lead = schema(
        "Leads",
        "Last_Name Company Lead_Status Converted__s:boolean Converted_Date_Time:timestamp "
        "Converted_Contact:lookup Converted_Deal:lookup",
    )
    became = {"Converted_Contact": {"id": ID}, "Converted_Date_Time": "2026-01-05T01:00:00+02:00"}
    land(zoho, lead, record(OTHER, Last_Name="Ng", Converted__s=True, **became))
    columns = "is_converted, converted_on::VARCHAR, converted_contact_key, converted_deal_key"
    assert built(zoho, "leads", columns) == [(True, "2026-01-05", f"acme:Contacts:{ID}", None)]


def test_users(zoho):
    """Users have names in lower case and a role below a key."""
    fields = tuple(
        Field(name, name, "text")
        for name in ("id", "full_name", "status", "created_time", "Modified_Time")
    )
    user = {
        "id": OWNER,
        "full_name": "Jo",
        "status": "active",
        "role": {"name": "CEO", "id": ID},
        "created_time": "2025-06-01T10:00:00+02:00",
        "Modified_Time": None,
    }
    land(zoho, Schema("Users", "Users", fields), user, {**user, "id": ID, "status": "disabled"})
    columns = "user_key, is_active, role_source_id, epoch_ms(created_at)"
    assert built(zoho, "users", columns) == [
        (f"acme:Users:{OWNER}", True, ID, 1748764800000),
        (f"acme:Users:{ID}", False, ID, 1748764800000),
    ]


def test_a_module_of_the_users_own(zoho):
    """Custom modules have tables of their own, with look-ups as references."""
    own = schema(
        "Vehicles",
        "Name Price:decimal",
        Field("Driver", "Driver", "lookup", path=("Driver", "id"), reference_to=("Contacts",)),
    )
    land(zoho, own, record(Name="B-NG 1", Price=12.5, Driver={"name": "Zoë", "id": OTHER}))
    columns = "vehicles_key, name, price, driver_key, owner_key"
    assert built(zoho, "vehicles", columns) == [
        (
            f"acme:Vehicles:{ID}",
            "B-NG 1",
            Decimal("12.500000"),
            f"acme:Contacts:{OTHER}",
            f"acme:Users:{OWNER}",
        )
    ]


def test_two_orgs_do_not_collide(zoho):
    """Copies of an org (a sandbox has the same ids) are other records."""
    for name in ("acme", "copy"):
        land(zoho, CONTACT, record(Last_Name=name), connection=name)
        zoho.normalize("contacts", name)
    zoho.publish()
    found = zoho.query("SELECT contact_key, last_name FROM crm.contacts ORDER BY 1")
    assert found == [(f"acme:Contacts:{ID}", "acme"), (f"copy:Contacts:{ID}", "copy")]


def test_nothing_of_a_record_is_dropped(zoho):
    """Fields without a column stay in custom, lists and objects as JSON text."""
    described = schema(
        "Contacts", "Last_Name Tag:json Layout:json", Field("Nick__c", "Nick", "text")
    )
    tags = [{"name": "VIP", "id": "1"}]
    land(zoho, described, record(Last_Name="Ng", Tag=tags, Layout={"id": "2"}, Nick__c="NULL"))
    ((custom,),) = built(zoho, "contacts", "custom")
    found = json.loads(custom)
    assert json.loads(found["Tag"]) == tags
    assert (json.loads(found["Layout"]), found["Nick__c"]) == ({"id": "2"}, "NULL")
