"""A small world in which tables depend on each other; every expected value is in the records themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from crm_pipeline.model.mapping import FieldMap, ObjectMap, points_to, same
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.stages.conftest import Org

_PLAIN = {
    "pipelines": "name label for_table",
    "stages": "name label is_closed is_won position",
    "deals": "name stage amount currency close_date is_closed is_won amount_main rate_on stage_changed_at",
    "deal_stage_history": "stage changed_at",
    "leads": "status",
    "products": "name price currency",
    "product_prices": "price_book is_standard price currency is_active",
    "contacts": "last_name email",
    "companies": "name",
    "activities": "subject",
    "exchange_rates": "currency rate starts_on ends_on is_main",
    "associations": "from_table to_table role is_primary",
}
_KEYS = {
    "stages": {"pipeline": "pipelines"},
    "deals": {"pipeline": "pipelines", "company": "companies", "primary_contact": "contacts"},
    "deal_stage_history": {"deal": "deals", "pipeline": "pipelines"},
    "contacts": {"company": "companies"},
    "activities": {"contact": "contacts"},
    "product_prices": {"product": "products"},
}


def mapping(table: str) -> ObjectMap:
    """Map an object with the name of its table, and fields with the names of columns."""
    keys = [points_to(k, f"{k}_source_id", t) for k, t in _KEYS.get(table, {}).items()]
    ends = [
        FieldMap(f"{end}_id", f"{end}_source_id", object_in=f"{end}_table")
        for end in (("from", "to") if table == "associations" else ())
    ]
    fields = (
        *same("id=source_id archived=is_deleted updatedAt=modified_at"),
        *(FieldMap(name, name) for name in _PLAIN[table].split()),
        *keys,
        *ends,
        points_to("merged", "merged_into", table),
    )
    constants = {"activity_type": "call"} if table == "activities" else {}
    return ObjectMap(table, table, fields, constants)


def schema_of(table: str, options: Sequence[tuple[str, str]] = ()) -> Schema:
    """Return the schema of such an object; `options` are those of its stage or status."""
    names = {f.source for f in mapping(table).fields} | {
        f.object_in for f in mapping(table).fields if f.object_in
    }
    fields = [
        Field(name, name, "text", options=tuple(options) if name in ("stage", "status") else ())
        for name in sorted(names)
    ]
    return Schema(table, table, tuple(fields))


def land(org: Org, table: str, text: str, **more: Any) -> None:
    """Land records written as lines of `column=value` pairs; the first cell is the id."""
    org.maps = tuple(mapping(name) for name in _PLAIN)
    records: list[Mapping[str, Any]] = []
    for line in text.strip().splitlines():
        number, *cells = line.split()
        record: dict[str, Any] = dict(cell.split("=", 1) for cell in cells)
        records.append(
            {"id": number, "updatedAt": "2026-01-01T00:00:00Z", **record}
            | {"archived": record.get("archived") == "true"}
        )
    org.land_records(schema_of(table, more.pop("options", ())), records, **more)


WORLD = {
    "pipelines": """
        P1 name=sales label=Sales for_table=deals
        P2 name=more label=More for_table=deals
        PT name=help label=Help for_table=tickets
        PL name=leads label=Leads for_table=leads""",
    "stages": """
        1 pipeline=P1 name=begin label=Beginning is_closed=false is_won=false
        2 pipeline=P1 name=done label=Won! is_closed=true is_won=true
        3 pipeline=P1 name=off label=Lost! is_closed=true is_won=false
        4 pipeline=P2 name=done label=Almost is_closed=false is_won=false
        5 pipeline=PT name=begin label=Asked is_closed=false
        6 pipeline=PL name=fresh label=Fresh! is_closed=false
        7 pipeline=P1 name=begin label=Former is_closed=true archived=true""",
    "exchange_rates": """
        1 currency=EUR rate=1 is_main=true
        2 currency=USD rate=1.25
        3 currency=USD rate=1.6 starts_on=2026-01-01 ends_on=2026-02-01
        4 currency=USD rate=1.1 starts_on=2026-02-01 ends_on=2026-03-01
        5 currency=USD rate=9.9 starts_on=2026-02-01 ends_on=2026-03-01 archived=true
        6 currency=CHF rate=0
        7 currency=SEK rate=2 starts_on=2026-01-01 ends_on=2026-02-01
        8 currency=SEK rate=4 starts_on=2026-01-15 ends_on=2026-01-20
        9 currency=SEK rate=5 starts_on=2026-03-01
        10 currency=SEK rate=8 starts_on=2026-03-01 ends_on=2026-03-05
        11 currency=SEK rate=10
        12 currency=NOK rate=2 starts_on=2026-01-01
        13 currency=NOK rate=4 starts_on=2026-02-01""",
    "companies": """
        1 name=Acme
        2 name=Bolt""",
    "contacts": """
        1 last_name=Ng company=1
        2 last_name=Li
        3 last_name=Gone archived=true
        4 last_name=Old archived=true merged=5
        5 last_name=Older archived=true merged=1
        6 last_name=Round archived=true merged=7
        7 last_name=Again archived=true merged=6""",
    "deals": """
        1 pipeline=P1 stage=done primary_contact=2 company=1
        2 pipeline=P2 stage=done company=9
        3 stage=off primary_contact=5
        4 stage=done
        5 pipeline=P1 stage=done is_closed=false is_won=false
        6 pipeline=P1 stage=odd
        7 pipeline=P1 stage=off is_closed=true
        8 pipeline=P1 stage=begin
        9 pipeline=P2 stage=off
        10 stage=begin
        11 pipeline=P9 stage=off""",
    "deal_stage_history": """
        1 deal=1 stage=off changed_at=2026-01-01T00:00:00Z
        2 deal=2 stage=done changed_at=2026-01-01T00:00:00Z
        3 deal=3 stage=done changed_at=2026-01-01T00:00:00Z
        4 deal=4 stage=done changed_at=2026-01-01T00:00:00Z pipeline=P1
        5 deal=2 stage=begin changed_at=2025-01-01T00:00:00Z
        6 deal=1 stage=odd changed_at=2025-01-01T00:00:00Z""",
    "leads": """
        1 status=fresh
        2 status=begin
        3 status=picked""",
    "activities": """
        1 subject=Call contact=1
        2 subject=Mail""",
    "associations": """
        1 from_table=deals from_id=1 to_table=contacts to_id=1 role=Buyer
        2 from_table=deals from_id=1 to_table=contacts to_id=1 role=Boss
        3 from_table=deals from_id=1 to_table=contacts to_id=1 role=Boss
        4 from_table=contacts from_id=1 to_table=deals to_id=1 role=Bought
        5 from_table=contacts from_id=2 to_table=deals to_id=1 role=Helper
        6 from_table=deals from_id=1 to_table=contacts to_id=3 role=Gone
        7 from_table=deals from_id=2 to_table=contacts to_id=99 role=Never
        8 from_table=companies from_id=2 to_table=contacts to_id=1 is_primary=true
        9 from_table=activities from_id=2 to_table=contacts to_id=2
        10 from_table=deals from_id=2 to_table=contacts to_id=1 archived=true
        11 from_table=deals from_id=2 to_table=contacts to_id=4 role=Merged
        12 from_table=deals from_id=2 to_table=contacts to_id=5 role=Again
        13 from_table=deals from_id=2 to_table=contacts to_id=1 role=participant
        14 from_table=companies from_id=2 to_table=contacts to_id=1 role=Primary""",
}
OPTIONS = {"leads": (("picked", "Picked!"), ("begin", "Begun!")), "deals": (("odd", "Odd!"),)}


@pytest.fixture(scope="session")
def related(tmp_path_factory: pytest.TempPathFactory) -> Org:
    """The world, published."""
    org = Org(tmp_path_factory.mktemp("related") / "data")
    for table, text in WORLD.items():
        land(org, table, text, options=OPTIONS.get(table, ()))
    for table in WORLD:
        org.normalize(table)
    org.publish()
    return org
