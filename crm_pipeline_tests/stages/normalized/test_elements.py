import json
from typing import Any

import pytest

from crm_pipeline.model.mapping import (
    ANY_OBJECT,
    RECORD,
    RECORD_ID,
    FieldMap,
    Merge,
    ObjectMap,
)
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import acceptance

MERGES = (Merge("merged"), Merge("vids", until=":"))
HEAD = (FieldMap("id", "source_id"), FieldMap("updatedAt", "modified_at"))
LINKS = (
    FieldMap(RECORD_ID, "from_source_id", (("", "deals"),)),
    FieldMap("to_id", "to_source_id", object_in="to_object"),
    FieldMap("to_object", "to_table", is_object=True),
    FieldMap("label", "role"),
    FieldMap("label", "is_primary", values=(("Primary", "true"),), otherwise="false"),
)
MAPS = (
    ObjectMap("deals", "deals", (*HEAD, FieldMap("dealname", "name")), merges=MERGES),
    ObjectMap("companies", "companies", HEAD),
    ObjectMap(
        "deals",
        "associations",
        LINKS,
        {"from_table": "{table}"},
        each=("associations",),
        identity=("to_object", "to_id", "type_id"),
        merges=MERGES,
        kind="to_object",
    ),
    ObjectMap(
        "deals",
        "deal_stage_history",
        (
            FieldMap(RECORD_ID, "deal_source_id", (("", "deals"),)),
            FieldMap(f"{RECORD}currency", "currency"),
            FieldMap("value", "stage"),
            FieldMap("timestamp", "changed_at", form="epoch_ms"),
            FieldMap("source.user", "changed_by_source_id"),
        ),
        each=("history", "dealstage"),
        identity=("timestamp",),
    ),
    ObjectMap(ANY_OBJECT, "", HEAD),
)
DEALS = Schema(
    "deals",
    "Deals",
    (
        Field("id", "Record ID", "id"),
        Field("updatedAt", "Updated", "datetime", "timestamp"),
        Field("dealname", "Name", "string", path=("properties", "dealname")),
        Field("currency", "Currency", "string", path=("properties", "currency")),
        Field("merged", "Merged", "string", path=("properties", "merged")),
        Field("vids", "Vids", "string", path=("properties", "vids")),
    ),
)


def link(to: str, obj: str = "companies", **more: Any) -> dict[str, Any]:
    return {"to_object": obj, "to_id": to, "type_id": 5, "label": None, **more}


def deal(number: str, day: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "updatedAt": f"2026-01-{day:02}T00:00:00.000Z", **more}


@pytest.fixture
def crm(org):
    org.maps = MAPS
    return org


def links(crm, columns="source_id, is_deleted"):
    crm.normalize("associations")
    return crm.rows("associations", columns)


def test_each_element_is_a_row(crm):
    """A list in a record becomes rows with keys of their own, typed, with all that is left in custom."""
    crm.objects["acme"] = {"p1_car"}
    given = [link("7", label="Primary", type_id=5), link("9", "p1_car", to_id=9, more={"é": [1]})]
    crm.land_records(DEALS, [deal("1", associations=given)])
    columns = (
        "association_key, object, from_table, from_key, to_table, to_key, role, is_primary, custom"
    )
    assert links(crm, columns) == [
        (
            "acme:deals:1:companies:7:5",
            "deals",
            "deals",
            "acme:deals:1",
            "companies",
            "acme:companies:7",
            "Primary",
            True,
            '{"to_object":"companies","type_id":5}',
        ),
        (
            "acme:deals:1:p1_car:9:5",
            "deals",
            "deals",
            "acme:deals:1",
            "p1_car",
            "acme:p1_car:9",
            None,
            None,
            '{"to_object":"p1_car","type_id":5,"more":{"é":[1]}}',
        ),
    ]


def test_rows_read_the_record_as_well(crm):
    """Columns may come from the record around the list, and from below an element's keys."""
    history = [
        {"value": "won", "timestamp": "1767225600123", "source": {"user": "5", "kind": "CRM"}},
        {"value": "new", "timestamp": "2025-12-31T00:00:00Z"},
        {"value": "odd", "timestamp": "yesterday"},
    ]
    record = deal("1", history={"dealstage": history}, properties={"currency": "EUR"})
    crm.land_records(DEALS, [record])
    done = crm.normalize("deal_stage_history")
    columns = "stage, epoch_ms(changed_at), currency, changed_by_source_id, deal_key, custom"
    assert crm.rows("deal_stage_history", columns) == [
        ("new", 1767139200000, "EUR", None, "acme:deals:1", "{}"),
        (
            "odd",
            None,
            "EUR",
            None,
            "acme:deals:1",
            '{"value":"odd","timestamp":"yesterday"}',
        ),
        ("won", 1767225600123, "EUR", "5", "acme:deals:1", '{"source":{"user":"5","kind":"CRM"}}'),
    ]
    assert done.unconverted == {"deals.timestamp": 1}


def test_a_new_version_replaces_all_rows(crm):
    """Links that a later version of the record does not have are gone; an old version changes nothing."""
    crm.land_records(DEALS, [deal("1", 2, associations=[link("7"), link("8")]), deal("2", 2)])
    crm.land_records(DEALS, [deal("1", 3, associations=[link("8"), link("9")])])
    crm.land_records(DEALS, [deal("1", 1, associations=[link("6")])])
    assert links(crm) == [("1:companies:8:5", False), ("1:companies:9:5", False)]


def test_a_version_without_the_list_says_nothing(crm):
    """A read without the list keeps the known links; an empty list ends them."""
    crm.land_records(DEALS, [deal(n, 1, associations=[link("7")]) for n in ("1", "2", "3")])
    crm.land_records(
        DEALS, [deal("1", 2), deal("2", 2, associations=[]), deal("3", 2, associations=None)]
    )
    assert links(crm) == [("1:companies:7:5", False), ("3:companies:7:5", False)]


@pytest.mark.parametrize("way", ["archived", "archived without links", "absent", "merged"])
def test_rows_of_a_deleted_record_are_deleted(crm, way):
    """The links of a deleted record are deleted rows, whatever deleted it."""
    first = [deal("1", associations=[link("7")]), deal("2", associations=[link("7")])]
    crm.land_records(DEALS, first, complete=True)
    if way == "archived":
        crm.land_records(DEALS, [deal("1", 2, archived=True, associations=[link("7")])])
    elif way == "archived without links":
        crm.land_records(DEALS, [{"id": "1", "archived": True}])
    elif way == "absent":
        crm.land_records(DEALS, first[1:], complete=True)
    else:
        crm.land_records(DEALS, [deal("2", 2, properties={"merged": "1"})])
    assert links(crm) == [("1:companies:7:5", True), ("2:companies:7:5", False)]


def test_elements_that_repeat_are_one_row(crm):
    """The same link twice in a list, once per label or once per page, is one row: the first."""
    given = [link("7", label="a"), link("7", label="b"), link("7", type_id=6), None, link("8")]
    crm.land_records(DEALS, [deal("1", associations=given)])
    assert links(crm, "source_id, role") == [
        ("1:companies:7:5", "a"),
        ("1:companies:7:6", None),
        ("1:companies:8:5", None),
    ]


@pytest.mark.parametrize("odd", ["text", {"results": []}, 7])
def test_what_is_no_list_is_no_rows(crm, odd):
    """A value that is no list gives no rows, and does not stop the table."""
    crm.land_records(DEALS, [deal("1", associations=odd), deal("2", associations=[link("7")])])
    assert links(crm) == [("2:companies:7:5", False)]


def test_an_object_without_records_has_an_empty_table(crm):
    """An empty object, or a window of another shape, gives an empty table."""
    crm.land_records(DEALS, [])
    assert links(crm) == []
    crm.land(DEALS, [{"Id": "1", "id": "1", "dealname": "from CSV"}])
    assert links(crm) == []


def test_exploded_tables_have_no_view_and_no_overrides(crm):
    """Users' mappings and views concern records, not exploded tables."""
    crm.land_records(DEALS, [deal("1", associations=[link("7")])])
    crm.mappings = {"deals": {"currency": "currency"}}
    for table in ("deals", "associations", "deal_stage_history"):
        crm.normalize(table)
    crm.publish()
    views = crm.query("SELECT view_name FROM duckdb_views() WHERE schema_name = 'crm_acme'")
    assert views == [("deals",)]
    assert crm.query("SELECT count(*) FROM crm.associations") == [(1,)]


def test_every_table_of_an_object_is_listed(crm):
    """The tables of a connection include all tables that an object feeds."""
    crm.objects["acme"] = {"deals", "p1_car"}
    assert crm.table_names() == ["deals", "associations", "deal_stage_history", "p1_car"]


def merged(crm):
    crm.normalize("deals")
    return crm.rows("deals", "source_id, is_deleted, merged_into")


LOSERS = [deal("1"), deal("2"), deal("4")]
WINNER = deal("3", 2, properties={"merged": "1; 2;", "vids": "2:1767225600123;4:1767225600456"})


@pytest.mark.parametrize(
    "order", ["losers first", "winner first", "winner archived", "winner twice"]
)
def test_losers_of_a_merge_point_to_the_winner(crm, order):
    """Losers that a winner names are deleted, whatever the order of versions."""
    parts = [LOSERS, [WINNER]] if order != "winner first" else [[WINNER], LOSERS]
    for part in parts:
        crm.land_records(DEALS, part)
    if order == "winner archived":
        crm.land_records(DEALS, [{"id": "3", "archived": True}])
    if order == "winner twice":
        crm.land_records(DEALS, [deal("3", 3, properties={"merged": None})])
    gone = order == "winner archived"
    assert merged(crm) == [
        ("1", True, "acme:deals:3"),
        ("2", True, "acme:deals:3"),
        ("3", gone, None),
        ("4", True, "acme:deals:3"),
    ]


def test_a_winner_that_loses_later_is_passed_over(crm):
    """Of two winners that name a loser, the one that was not merged itself counts."""
    rotation = [
        deal("1"),
        deal("2", 3, properties={"merged": "1"}),
        deal("3", 2, properties={"merged": "2;1;3"}),
    ]
    crm.land_records(DEALS, rotation)
    assert merged(crm) == [
        ("1", True, "acme:deals:3"),
        ("2", True, "acme:deals:3"),
        ("3", False, None),
    ]


def test_merges_of_two_accounts_do_not_mix(crm):
    """Merges concern records of their own account only."""
    crm.land_records(DEALS, [*LOSERS, WINNER])
    crm.land_records(DEALS, LOSERS, connection="other")
    crm.normalize("deals", "other")
    assert {row[1] for row in crm.rows("deals", "source_id, is_deleted", "other")} == {False}
    assert json.loads(crm.rows("deals", "custom", "other")[0][0])["merged"] is None


def many(stamp: int, count: int = 12, **lists: Any) -> list[dict[str, Any]]:
    return [deal(str(n), stamp, **lists) for n in range(1, count + 1)]


def live_links(crm) -> int:
    return sum(not is_deleted for _, is_deleted in links(crm))


def test_a_read_that_empties_many_lists_is_not_believed(crm):
    """Links of a dozen records that one read emptied stay, however often that is read again, and
    follow the next list that is none of nothing."""
    crm.land_records(DEALS, many(1, associations=[link("7"), link("8")]))
    for stamp in (2, 3):
        crm.land_records(DEALS, many(stamp, associations=[]))
        done = crm.normalize("associations")
        [doubt] = done.doubts
        assert (doubt.object, doubt.list) == ("deals", "associations")
        assert (doubt.records, doubt.rows) == (12, 24)
        assert live_links(crm) == 24
    crm.land_records(DEALS, many(4, 9, associations=[link("9")]))
    assert crm.normalize("associations").doubts[0].records == 3
    assert live_links(crm) == 9 + 6


@pytest.mark.parametrize(
    ("emptied", "is_believed"), [(1, True), (4, True), (5, False), (12, False)]
)
def test_how_many_lists_are_too_many(crm, emptied, is_believed):
    """Emptied lists are not believed from five records and a fifth of those that had one."""
    crm.land_records(DEALS, many(1, associations=[link("7")]))
    crm.land_records(
        DEALS,
        [deal(str(n), 2, associations=[] if n <= emptied else [link("8")]) for n in range(1, 13)],
    )
    assert live_links(crm) == (12 - emptied if is_believed else 12)


def test_each_kind_of_a_list_counts_by_itself(crm):
    """If a login may no longer see deals, links to deals stay, and other links follow the vendor."""
    both = [link("7"), link("8", "tickets")]
    crm.objects["acme"] = {"tickets"}
    crm.land_records(DEALS, many(1, associations=both))
    crm.land_records(DEALS, many(2, associations=[link("9")]))
    [doubt] = crm.normalize("associations").doubts
    assert (doubt.kind, doubt.records, doubt.rows) == ("tickets", 12, 12)
    assert links(crm)[:2] == [("10:companies:9:5", False), ("10:tickets:8:5", False)]
    assert live_links(crm) == 24


def test_few_of_many_lists_may_go(crm):
    """If most of the records that were read with a list keep one, emptied lists are believed."""
    crm.land_records(DEALS, many(1, 60, associations=[link("7")]))
    crm.land_records(
        DEALS, [deal(str(n), 2, associations=[] if n <= 10 else [link("7")]) for n in range(1, 61)]
    )
    assert live_links(crm) == 50


def test_a_whole_read_counts_its_rows(crm):
    """In a whole read missing rows are counted: one pipeline with all its stages is one record."""
    stages = [link(str(n)) for n in range(8)]
    for stamp, lists in ((1, [stages, stages[:1]]), (2, [[], stages[:1]])):
        records = [deal(str(n), stamp, associations=one) for n, one in enumerate(lists)]
        crm.land_records(DEALS, records, complete=True)
    assert live_links(crm) == 9


def test_a_person_may_believe_it(crm):
    """A person's acceptance of the read deletes the rows."""
    crm.land_records(DEALS, many(1, associations=[link("7")]))
    crm.land_records(DEALS, many(2, associations=[]))
    [doubt] = crm.normalize("associations").doubts
    acceptance.accept_window(crm.landing.folder("acme", "deals"), doubt.window_id, crm.clock.now())
    done = crm.normalize("associations")
    assert (done.changed, done.doubts) == (True, ())
    assert live_links(crm) == 0


def test_rows_that_stay_end_with_their_record(crm):
    """The links of a deleted record are deleted, whether its empty list is believed or not."""
    crm.land_records(DEALS, many(1, associations=[link("7")]))
    crm.land_records(DEALS, many(2, associations=[]))
    crm.land_records(DEALS, [deal("1", 3, archived=True)])
    assert live_links(crm) == 11
