import pyarrow as pa
import pytest

from crm_pipeline.contracts import Policies
from crm_pipeline.contracts.compiled import compiled
from crm_pipeline.contracts.model_contract import model_rules, schema_of
from crm_pipeline.model.contracts import arrow_type
from crm_pipeline.model.tables import TABLES


def types_of(table) -> dict[str, pa.DataType]:
    return {column.name: arrow_type(column.type) for column in table.columns}


@pytest.mark.parametrize("name", TABLES)
def test_rules_are_those_of_the_schema(name):
    """The rules that a build uses without pandera are those that the table's schema is compiled to."""
    table = TABLES[name]
    contract = compiled(schema_of(table), types_of(table))
    assert contract.left == ()
    by_name = {rule.name: rule for rule in contract.rules}
    rules = model_rules(table, types_of(table))
    assert {rule.name: rule for rule in rules} == by_name
    assert len(rules) == len(table.rules)


def test_wrong_columns_and_types_are_found_by_both():
    """A column that is missing, added, moved or of another type breaks the rules and the compiled schema alike."""
    table = TABLES["deals"]
    types = {**types_of(table), "amount": pa.int64(), "extra": pa.string()}
    del types["custom"]
    types["stage"] = types.pop("stage")
    ours = {r.name for r in model_rules(table, types) if r.is_static}
    theirs = {r.name for r in compiled(schema_of(table), types).rules if r.is_static}
    assert ours == theirs
    assert len(ours) == 4


def test_policies_of_the_user_apply_to_the_model():
    """A policy may be given to a column or to one check of it; what is said of keys stays."""
    table = TABLES["deals"]
    policies = Policies(
        {
            "deals.amount": "quarantine",
            "acme.deals.name": "block",
            "deals.is_won.implies": "evolve",
            "deals.deal_key": "warn",
        },
        ("crm.deals", "deals", "acme.deals"),
    )
    by_name = {r.name: r.policy for r in model_rules(table, types_of(table), policies)}
    assert by_name["amount is below 0"] == "quarantine"
    assert by_name["name is empty"] == "block"
    assert by_name["is_won but not is_closed"] == "evolve"
    assert by_name["deal_key is not unique"] == by_name["deal_key is empty"] == "block"
    assert by_name["stage is empty"] == "warn"
