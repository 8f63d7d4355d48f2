"""Values that change as a whole are noticed before their table is published; ordinary edits are not."""

import importlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.drift import DriftPolicies
from crm_pipeline_tests.stages.normalized.seeded_values import (
    FIELDS,
    SEEDED,
    deal,
    edited,
    noticed,
    put,
    read_again,
)

HOLDING = {"emptied", "truncated", "rescaled", "day_and_month_swapped", "shifted"}
TOGETHER = [
    ["mapped choice emptied", "amount in cents", "day and month swapped", "custom text emptied",
     "name cut", "stages translated", "one code for all", "instants in another zone"],
    ["mapped text emptied", "percent as a share", "days one later", "custom choices translated",
     "custom number times ten", "one owner for all", "a new lead source", "custom day swapped"],
]  # fmt: skip
"""Cases about different fields, which can be tried at once; the campaign tries each by itself."""


@pytest.fixture
def deals(org):
    """300 deals that are in the table."""
    org.schema = FIELDS
    org.land(org.schema, [deal(number) for number in range(300)])
    org.normalize("deals")
    return org


@pytest.mark.parametrize("cases", TOGETHER)
def test_seeded_changes_hold_the_table_back(deals, cases: list[str]) -> None:
    """Each change is noticed as its kind at its field, before the version is committed, and nothing else is."""
    before = deals.tables.version("normalized/acme/deals")
    read_again(deals, *(SEEDED[case][2] for case in cases))
    with pytest.raises(ContractError, match=r"acme\.deals is held back by changed fields"):
        deals.normalize("deals")
    assert noticed(deals) == {SEEDED[case][:2] for case in cases}
    assert deals.tables.version("normalized/acme/deals") == before
    blocking = {(c.kind, c.field) for c in deals.guard.register.all() if c.is_blocking}
    mapped = {c for c in noticed(deals) if not c[1].endswith("__c")}
    assert blocking == {(kind, field) for kind, field in mapped if kind in HOLDING}


def test_an_accepted_change_is_built_and_not_asked_about_again(deals) -> None:
    """After `drift accept` the table is built; the next reads are compared with the values as they are now."""
    read_again(deals, SEEDED["amount in cents"][2])
    with pytest.raises(ContractError, match=r"Amount is 100 times its earlier value"):
        deals.normalize("deals")
    [change] = deals.guard.register.all()
    deals.guard.register.decide(change.number, "accepted")
    assert deals.normalize("deals").changed
    read_again(deals, SEEDED["amount in cents"][2], put("Note__c", lambda _: "called"))
    assert deals.normalize("deals").changed
    assert [c.state for c in deals.guard.register.all() if c.kind == "rescaled"] == ["accepted"]


def test_a_field_that_feeds_two_columns_counts_each_record_once(org) -> None:
    """Zoho's amounts are in `amount` and, by the rate, in `amount_main`; an alarm counts records, not columns."""
    org.maps = importlib.import_module("crm_pipeline.connectors.zoho.mapping").MAPPING
    number = {"type": "double", "common_type": "decimal"}
    fields = (
        Field("id", "Id", "bigint"),
        Field("Deal_Name", "Name", "text"),
        Field("Amount", "Amount", **number),
        Field("Exchange_Rate", "Rate", **number),
        Field("Modified_Time", "Modified", "datetime", "timestamp"),
    )
    for factor in (1, 100):
        rows = [
            {
                "id": str(n),
                "Deal_Name": f"Deal {n}",
                "Amount": (n + 1) * factor,
                "Exchange_Rate": 1,
                "Modified_Time": f"2026-01-0{2 - factor % 2}T00:00:00+00:00",
            }
            for n in range(30)
        ]
        org.land_records(Schema("Deals", "Deals", fields), rows, stamp="Modified_Time")
        if factor == 1:
            org.normalize("deals")
    with pytest.raises(ContractError, match=r"100 times its earlier value in 30 of 30 records"):
        org.normalize("deals")
    [change] = [c for c in org.guard.register.all() if c.field == "Amount"]
    assert change.evidence["records_compared"] == 30


def test_a_change_that_is_undone_is_resolved(deals) -> None:
    """Values that come back right need no decision."""
    read_again(deals, SEEDED["amount in cents"][2])
    with pytest.raises(ContractError):
        deals.normalize("deals")
    read_again(deals)
    assert deals.normalize("deals").changed
    assert [(c.kind, c.state) for c in deals.guard.register.all()] == [("rescaled", "resolved")]


def test_new_records_without_a_field_that_others_have_are_noticed(deals) -> None:
    """An integration that stopped filling a field shows in new records alone."""
    read_again(deals, SEEDED["mapped amount emptied"][2], numbers=range(300, 360))
    deals.normalize("deals")
    assert noticed(deals) == {("unfilled", "Amount")}


def test_a_field_that_is_filled_in_the_end_is_not_missed_in_new_records(org) -> None:
    """New tasks are not done, new tickets not closed: neither were those that came last before."""
    org.schema = FIELDS

    def made(number: int) -> dict[str, str]:
        created = datetime.fromisoformat("2026-01-01T00:00:00") + timedelta(hours=number)
        is_done = number < 540
        day = deal(number)["LastActivityDate"] if is_done else ""
        stamp = created.isoformat() + ".000Z"
        return {**deal(number), "CreatedDate": stamp, "LastActivityDate": day}

    org.land(org.schema, [made(number) for number in range(600)])
    org.normalize("deals")
    org.land(org.schema, [made(number) for number in range(600, 660)])
    org.normalize("deals")
    assert noticed(org) == set()


def test_a_policy_of_the_user_decides(deals) -> None:
    """connections.yaml may let a kind of change pass with a warning."""
    deals.guard = replace(deals.guard, policies=DriftPolicies({"rescaled": "warn"}))
    read_again(deals, SEEDED["amount in cents"][2])
    assert deals.normalize("deals").changed
    assert [(c.kind, c.state, c.policy) for c in deals.guard.register.all()] == [
        ("rescaled", "open", "warn")
    ]


@pytest.mark.parametrize("seed", range(2))
def test_ordinary_edits_raise_no_alarm(deals, seed: int) -> None:
    """People edit, clear and reassign records; that is no change of a field."""
    chance = random.Random(seed)
    for _ in range(2):
        numbers = range(chance.randrange(3), 300, chance.randrange(2, 9))
        read_again(deals, edited(chance), numbers=numbers)
        deals.normalize("deals")
    assert noticed(deals) == set()


NOW = "2026-11-23T02:00:03.000Z"
BULK: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a probability follows its stage": ({"Probability": "10"}, {"Probability": "20"}),
    "a due day put off": ({"CloseDate": "2026-11-22"}, {"CloseDate": "2026-11-23"}),
    "a day that happens to be the other": ({"Due__c": "2026-03-04"}, {"Due__c": "2026-04-03"}),
    "a shorter name for a country": ({"Description": "Germany (DE)"}, {"Description": "Germany"}),
    "activity on all of them today": ({}, {"LastActivityDate": "2026-11-23"}),
    "a nightly job": ({"SystemModstamp": "2026-11-22T02:00:03.000Z"}, {}),
}


def land_twice(
    org: Any, first: Callable[[int], dict[str, str]], then: dict[str, str]
) -> Callable[[], Any]:
    """Build a table of 100 deals, of which every fourth one is read again with a later modification."""
    org.schema = FIELDS
    start = datetime.fromisoformat("2026-11-01T00:00:00")
    deals = []
    for number in range(100):
        stamp = (start + timedelta(seconds=977 * number)).isoformat() + ".000Z"
        deals.append({**deal(number), "SystemModstamp": stamp, **first(number)})
    org.land(org.schema, deals)
    org.normalize("deals")
    org.land(org.schema, [{**row, "SystemModstamp": NOW, **then} for row in deals[::4]])
    return lambda: org.normalize("deals")


@pytest.mark.parametrize("case", BULK)
def test_an_edit_of_many_records_at_once_raises_no_alarm(org, case: str) -> None:
    """One value that becomes another one in 25 records is no conversion, and a moment of today is no constant."""
    before, after = BULK[case]
    build = land_twice(org, lambda number: {} if number % 4 else before, after)
    assert build().changed
    assert noticed(org) == set()


def test_deals_that_move_on_are_not_translated(deals) -> None:
    """Each stage becomes the next one in most records: words that were there before are no other language."""
    moved = {
        "Prospecting": "Negotiation",
        "Negotiation": "Closed Won",
        "Closed Won": "Closed Won",
        "Closed Lost": "Closed Lost",
    }
    read_again(deals, put("StageName", moved.__getitem__), numbers=range(0, 300, 4))
    read_again(deals, put("StageName", moved.__getitem__), numbers=range(1, 300, 4))
    assert deals.normalize("deals").changed
    assert noticed(deals) == set()


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("CloseDate", "12026-03-04", "2026-04-03"),
        ("CloseDate", "2026-03-04", "12026-04-03"),
        ("Code__c", "9e{number}999", "5"),
        ("Code__c", "NaN", "Infinity"),
        ("Seen__c", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_odd_values_are_compared_without_an_error(org, field: str, before: str, after: str) -> None:
    """Days after 9999, texts that are infinite as numbers and the edges of the calendar do not stop a build."""
    build = land_twice(org, lambda n: {field: before.format(number=n)}, {field: after})
    assert build().changed
