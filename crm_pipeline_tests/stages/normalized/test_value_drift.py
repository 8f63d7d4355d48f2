"""Values that change as a whole are noticed before their table is published; ordinary edits are not."""

import importlib
import random
from dataclasses import replace

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
