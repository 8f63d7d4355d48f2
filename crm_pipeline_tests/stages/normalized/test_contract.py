import dataclasses

import pytest

from crm_pipeline.kernel.errors import ContractError, UnknownName
from crm_pipeline.model.tables import TABLES
from crm_pipeline.stages.normalized.contract import verify
from crm_pipeline.store.tables.engine import parquet_files


@pytest.fixture
def deals(org, schema_of):
    org.schema = schema_of(
        "Opportunity",
        "Name",
        "StageName",
        "Amount:currency",
        "CloseDate:date",
        "Probability:percent",
    )
    return org


def deal(number, **more):
    return {
        "Id": f"006{number:03}",
        "Name": f"Deal {number}",
        "StageName": "Open",
        "Amount": "10.5",
        "CloseDate": "2026-05-01",
        "Probability": "10",
        **more,
    }


def test_values_that_do_not_fit_become_null_and_keep_their_text(deals):
    """A value that does not fit keeps its row and its text, and is counted."""
    deals.land(deals.schema, [deal(1), deal(2, Amount="1;000.5", CloseDate="soon")])
    result = deals.normalize("deals")
    assert result.unconverted == {"Opportunity.Amount": 1, "Opportunity.CloseDate": 1}
    assert deals.rows("deals", "amount, close_date, unconverted, custom ->> 'Amount'")[1] == (
        None,
        None,
        ["Amount", "CloseDate"],
        "1;000.5",
    )
    assert "Opportunity.Amount fits amount" in [r.rule for r in result.warnings]


def test_a_changed_type_keeps_the_current_version(deals):
    """Where many values stop fitting, the vendor changed the type: nothing is committed."""
    deals.land(deals.schema, [deal(n) for n in range(100)])
    before = deals.normalize("deals").version
    later = "2026-03-01T00:00:00.000Z"
    deals.land(deals.schema, [deal(n, Amount="ten", SystemModstamp=later) for n in range(50)])
    with pytest.raises(ContractError, match=r"Opportunity\.Amount fits amount: 50 rows") as caught:
        deals.normalize("deals")
    assert caught.value.failures[0][1] == 50
    assert len(caught.value.failures[0][2]) == 5
    assert deals.tables.version("normalized/acme/deals") == before
    assert [p.name for p in (deals.data / "tables/normalized/acme/deals").iterdir()] == [
        before.version
    ]


def test_broken_warnings_are_counted_and_committed(deals):
    """A warning is shown with keys, never values, and does not hold the table back."""
    deals.land(deals.schema, [deal(1), deal(2, Probability="150"), deal(3, Name="")])
    result = deals.normalize("deals")
    broken = {r.rule: (r.failures, r.examples) for r in result.warnings}
    assert broken == {
        "probability is not between 0 and 100": (1, ("acme:Opportunity:006002",)),
        "name is empty": (1, ("acme:Opportunity:006003",)),
    }


def test_rows_without_id_go_to_quarantine(deals):
    """A row without an id goes to quarantine and is counted."""
    deals.land(deals.schema, [deal(1), {**deal(2), "Id": ""}])
    result = deals.normalize("deals")
    assert (result.rows, result.quarantined) == (1, 1)
    kept = list((deals.data / "quarantine").rglob("*.parquet"))
    assert len(kept) == 1


def test_an_error_rule_refuses_the_version(deals):
    """The SQL scan finds a broken error rule and names the keys."""
    deals.land(deals.schema, [deal(1), deal(2)])
    version = deals.normalize("deals").version
    table = TABLES["deals"]
    rules = tuple(
        dataclasses.replace(r, severity="error", low=11.0) if r.column == "amount" else r
        for r in table.body_rules
    )
    strict = dataclasses.replace(table, body_rules=rules)
    with deals.engine() as engine:
        verdict = verify(engine, strict, parquet_files(version.base), {})
    assert {(r.rule, r.failures) for r in verdict.errors} == {("amount is below 11", 2)}


def test_a_wrong_type_refuses_the_version(deals):
    """Types of the file are compared with those of the model."""
    deals.land(deals.schema, [deal(1)])
    version = deals.normalize("deals").version
    table = TABLES["deals"]
    body = tuple(
        dataclasses.replace(c, type="BIGINT") if c.name == "amount" else c for c in table.body
    )
    with deals.engine() as engine:
        verdict = verify(
            engine, dataclasses.replace(table, body=body), parquet_files(version.base), {}
        )
    assert [r.rule for r in verdict.errors] == ["amount is decimal128(24, 6) and not int64"]


def test_an_unknown_table_is_named(deals):
    """The error about an unknown table lists the connection's tables."""
    deals.land(deals.schema, [deal(1)])
    with pytest.raises(UnknownName, match="known: deals"):
        deals.normalize("contacts")
