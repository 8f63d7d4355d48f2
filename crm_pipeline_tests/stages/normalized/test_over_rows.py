"""Columns that SQL over rows fills, and values that the user maps to them."""

import importlib
from decimal import Decimal
from typing import Any

import pytest

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.mapping import ANY_OBJECT, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.tables import TABLES
from crm_pipeline.store.landing.account_facts import note_facts

MAPS = {
    vendor: importlib.import_module(f"crm_pipeline.connectors.{vendor}.mapping").MAPPING
    for vendor in ("salesforce", "hubspot", "pipedrive", "zoho")
}
MADE = [
    (vendor, entry)
    for vendor, maps in MAPS.items()
    for entry in maps
    if entry.is_own
    and entry.table in TABLES
    and entry.object != ANY_OBJECT
    and (entry.over_rows or TABLES[entry.table].over_rows)
]
OWN: dict[str, tuple[Any, str]] = {
    "VARCHAR": ("own", "own"),
    "BOOLEAN": ("boolean", "false"),
    "BIGINT": ("integer", "7"),
    "DOUBLE": ("double", "7.0"),
    "DATE": ("date", "2001-02-03"),
    "TIMESTAMPTZ": ("timestamp", "2001-02-03 04:05:06+00"),
}


@pytest.mark.parametrize(
    ("vendor", "entry"), MADE, ids=[f"{vendor} {entry.object}" for vendor, entry in MADE]
)
def test_what_the_user_maps_goes_before_what_is_made(
    org: Any, vendor: str, entry: ObjectMap
) -> None:
    """SQL over rows does not overwrite a value that connections.yaml maps to a column."""
    table = TABLES[entry.table]
    bound = {rule.column for rule in table.rules if rule.kind == "one_of"}
    columns = [n for n in table.mappable if n not in bound and not table.by_name[n].expression]
    fields, record = [], {"id": "1", "Modified_Time": "2026-01-01T00:00:00Z"}
    for name in columns:
        kind, text = OWN.get(table.by_name[name].type, ("decimal", "7"))
        fields.append(Field(f"own_{name}", name, "x", "string" if kind == "own" else kind))
        record[f"own_{name}"] = text
    org.maps = MAPS[vendor]
    org.mappings = {entry.object: {f"own_{name}": name for name in columns}}
    org.land_records(
        Schema(entry.object, entry.object, (Field("id", "id", "x"), *fields)), [record]
    )
    org.normalize(table.name)
    listed = ", ".join(
        f"timezone('UTC', \"{n}\")::VARCHAR"
        if table.by_name[n].type == "TIMESTAMPTZ"
        else f'"{n}"::VARCHAR'
        for n in columns
    )
    [row] = org.rows(table.name, listed)
    for name, value in zip(columns, row, strict=True):
        expected = OWN.get(table.by_name[name].type, ("", "7"))[1].removesuffix("+00")
        is_number = table.by_name[name].type.startswith("DECIMAL")
        assert Decimal(value) == 7 if is_number else value == expected, name


def test_a_field_called_url_keeps_its_value(org: Any, schema_of: Any) -> None:
    """`url` is computed only if no field of the vendor or the user feeds it."""
    note_facts(org.landing, "acme", AccountFacts(web_address="https://acme.example"))
    org.mappings = {"Contact": {"Link__c": "url"}}
    org.land(schema_of("Invoice__c", "Url__c"), [{"Id": "1", "Url__c": "https://pay.example"}])
    org.land(
        schema_of("Contact", "LastName", "Link__c"), [{"Id": "2", "Link__c": "https://me.example"}]
    )
    org.normalize("invoice")
    org.normalize("contacts")
    assert org.rows("invoice", "url, custom") == [("https://pay.example", "{}")]
    assert org.rows("contacts", "url") == [("https://me.example",)]


def test_moves_without_a_deal_are_no_deal(org: Any) -> None:
    """Rows of a history without a deal are not taken for moves of one deal."""
    org.maps = MAPS["zoho"]
    named = [Field(name, name, "x") for name in ("id", "Stage")]
    at = Field("Modified_Time", "at", "x", "timestamp")
    days = Field("Stage_Duration_Calendar_Days", "days", "x", "integer")
    deal = Field("Potential_Name", "deal", "lookup", path=("Potential_Name", "id"))
    moves = [
        {
            "id": f"{n}",
            "Stage": stage,
            "Modified_Time": f"2026-01-{n}T00:00:00Z",
            "Stage_Duration_Calendar_Days": "2",
            "Potential_Name": {"id": who} if who else None,
        }
        for n, stage, who in ((10, "a", ""), (12, "b", ""), (20, "a", "7"), (22, "b", "7"))
    ]
    org.land_records(Schema("DealHistory", "x", (*named, at, days, deal)), moves)
    org.normalize("deal_stage_history")
    day = "day(timezone('UTC', {}))"
    columns = ", ".join(day.format(name) for name in ("changed_at", "entered_at", "left_at"))
    assert org.rows("deal_stage_history", columns) == [
        (10, None, None),
        (12, None, None),
        (20, 20, 22),
        (22, 22, None),
    ]


def test_a_day_made_of_an_instant_is_the_same_everywhere(org: Any, schema_of: Any) -> None:
    """A view uses the account's day of an instant as tables do; other facts do not rebuild tables."""
    note_facts(org.landing, "acme", AccountFacts("America/New_York"))
    for obj, table in (("Thing__c", "thing"), ("Account", "companies")):
        landed = schema_of(obj, "Name:string:Name", "Day__c:date:Day")
        org.land(landed, [{"Id": "1", "Name": "n", "Day__c": "2026-01-01T02:00:00Z"}])
        org.normalize(table)
    org.publish()
    days = [org.query(f'SELECT "Day"::VARCHAR FROM crm_acme.{v}') for v in ("thing", "account")]
    assert days == [[("2025-12-31",)]] * 2
    note_facts(org.landing, "acme", AccountFacts("America/New_York", "EUR", "https://acme.example"))
    assert [org.normalize(table).changed for table in ("thing", "companies")] == [False, True]
