import importlib
import json
import os

import duckdb
import pytest

from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.stages.normalized.trial import tried
from crm_pipeline.store.quarantine import Quarantine

LATER = "2026-03-01T00:00:00.000Z"


@pytest.fixture
def deals(org, schema_of, tmp_path):
    org.schema = schema_of("Opportunity", "Name", "StageName", "Amount:currency", "CloseDate:date")
    root = tmp_path / "project"
    (root / "contracts").mkdir(parents=True)
    org.contracts = ContractFolder(root)
    return org


def deal(number, **more):
    closed = {"StageName": "Open", "Amount": "10.5", "CloseDate": "2026-05-01"}
    return {"Id": f"006{number:03}", "Name": f"Deal {number}", **closed, **more}


def write(org, text, name="deals.py"):
    (org.contracts.root / "contracts" / name).write_text(text)


def schema(columns, checks="", metadata=""):
    return (
        "import pandera.pandas as pa\n\n"
        f"deals = pa.DataFrameSchema({{{columns}}}, checks=[{checks}]{metadata})\n"
    )


def broken(result):
    return {r.rule: (r.policy, r.failures, r.examples) for r in result.results if r.failures}


def test_where_table_and_object_have_one_name_it_is_the_table_s(org, tmp_path):
    """At HubSpot `acme.deals` is both; a contract of that name has the table's columns, and is tried once."""
    org.maps = importlib.import_module("crm_pipeline.connectors.hubspot.mapping").MAPPING
    (tmp_path / "contracts").mkdir()
    org.contracts = ContractFolder(tmp_path)
    write(org, schema('"deal_key": pa.Column(unique=True), "name": pa.Column()'), "acme.deals.py")
    name = Field("dealname", "Name", "string", path=("properties", "dealname"))
    org.land_records(
        Schema("deals", "deals", (Field("id", "Record ID", "id"), name)),
        [{"id": "1", "properties": {"dealname": "First"}}, {"id": "2", "properties": {}}],
    )
    with pytest.raises(ContractError, match=r"name is empty \[contracts/acme\.deals\.py\]: 1 rows"):
        org.normalize("deals")
    write(org, schema('"deal_key": pa.Column(unique=True)'), "acme.deals.py")
    org.normalize("deals")
    write(org, schema('"name": pa.Column()'), "acme.deals.py")
    with org.engine() as engine:
        [trial] = tried(
            org.connection(),
            "deals",
            org.landing,
            org.tables,
            org.maps,
            engine,
            None,
            org.contracts,
        )
    assert trial.subject == "acme.deals"
    [result] = [r for r in trial.results if r.failures and r.contract]
    assert (result.rule, result.failures) == ("name is empty [contracts/acme.deals.py]", 1)


AMOUNT = '"amount": pa.Column(checks=pa.Check.le(100), nullable=True{})'


def test_a_contract_of_the_user_blocks_by_default(deals):
    """A broken check keeps the table's version, and names the file, the rule and the keys."""
    deals.land(deals.schema, [deal(1)])
    before = deals.normalize("deals").version
    write(deals, schema(AMOUNT.format("")))
    deals.land(deals.schema, [deal(2, Amount="101")])
    with pytest.raises(
        ContractError, match=r"amount: less.*\[contracts/deals\.py\]: 1 rows"
    ) as caught:
        deals.normalize("deals")
    assert caught.value.failures[0][1:] == (1, ["acme:Opportunity:006002"])
    assert deals.tables.version("normalized/acme/deals") == before


def test_warnings_and_notes_are_committed(deals):
    """`warn` is counted as a warning, `evolve` as a note; both go on."""
    write(
        deals,
        schema(
            AMOUNT.format(', metadata={"policy": "warn"}')
            + ', "stage": pa.Column(checks=pa.Check.isin(["Won"]), metadata={"policy": "evolve"})'
        ),
    )
    deals.land(deals.schema, [deal(1), deal(2, Amount="101")])
    found = broken(deals.normalize("deals"))
    [(amount, warned), (_, noted)] = sorted(found.items())
    assert amount.startswith("amount: less_than_or_equal_to(100)")
    assert warned == ("warn", 1, ("acme:Opportunity:006002",))
    assert (noted[0], noted[1]) == ("evolve", 2)
    assert [r.rule for r in deals.normalize("deals").warnings] == [amount]


@pytest.mark.parametrize(
    "checks",
    [
        "pa.Check.le(100)",
        "pa.Check(lambda s: s <= 100, name='small')",
        "pa.Check(lambda v: v <= 100, element_wise=True, name='small')",
    ],
)
def test_failing_rows_go_aside_and_come_back(deals, checks):
    """Rows that break a check of policy `quarantine` are kept as they landed; corrected ones come back."""
    columns = (
        f'"amount": pa.Column(checks={checks}, nullable=True, metadata={{"policy": "quarantine"}})'
    )
    write(deals, schema(columns))
    deals.land(deals.schema, [deal(n) for n in range(40)])
    deals.normalize("deals")
    deals.land(deals.schema, [deal(2, Amount="101", SystemModstamp=LATER)])
    result = deals.normalize("deals")
    assert (result.rows, result.live, result.quarantined) == (39, 39, 1)
    assert ("acme:Opportunity:006002",) not in deals.rows("deals", "deal_key")
    [kept] = (deals.data / "quarantine").rglob("contract-deals-*.parquet")
    [(identity, reason)] = duckdb.execute(f"SELECT _source_id, _reason FROM '{kept}'").fetchall()
    assert identity == "006002"
    assert reason.startswith("amount")
    deals.land(deals.schema, [deal(2, Amount="99", SystemModstamp="2026-03-02T00:00:00.000Z")])
    result = deals.normalize("deals")
    assert (result.rows, result.quarantined) == (40, 0)
    assert list((deals.data / "quarantine").rglob("contract-*")) == []


def test_too_many_rows_in_quarantine_stop_the_table(deals):
    """Where most rows break a check, the fault is not with the rows."""
    write(deals, schema(AMOUNT.format(', metadata={"policy": "quarantine"}')))
    deals.land(deals.schema, [deal(n, Amount="101") for n in range(40)])
    with pytest.raises(ContractError, match="40 records cannot be used"):
        deals.normalize("deals")


def test_dropped_rows_of_a_contract_hold_no_table_back(deals):
    """They are one set of quarantine, as received, and a corrected contract brings them back whatever was decided."""
    write(deals, schema(AMOUNT.format(', metadata={"policy": "quarantine"}')))
    deals.land(deals.schema, [deal(n, Amount="101" if n < 25 else "9") for n in range(40)])
    store = Quarantine(deals.landing)
    with pytest.raises(ContractError, match="25 records cannot be used"):
        deals.normalize("deals")
    [waiting] = store.sets()
    assert (waiting.stage, waiting.table, waiting.records) == ("contract", "deals", 25)
    received = json.loads(store.rows(waiting, 1).column("record").to_pylist()[0])
    assert (received["Amount"], len(received)) == ("101", len(deals.schema.fields))
    store.drop(waiting)
    result = deals.normalize("deals")
    assert (result.rows, result.quarantined, result.landed) == (15, 25, 40)
    assert [each.is_dropped for each in store.sets()] == [True]
    write(deals, schema(AMOUNT.format(', metadata={"policy": "quarantine"}').replace("100", "200")))
    assert deals.normalize("deals").rows == 40
    assert store.sets() == []


def test_policies_in_connections_yaml_win(deals):
    """A policy of connections.yaml is stronger than the contract's own, and applies to the model's rules too."""
    write(deals, schema(AMOUNT.format("")))
    policies = {"crm.deals.amount": "warn", "acme.deals.name": "quarantine"}
    deals.contracts = ContractFolder(deals.contracts.root, policies)
    deals.land(deals.schema, [deal(n) for n in range(40)])
    deals.land(deals.schema, [deal(41, Amount="101"), deal(42, Name="")])
    result = deals.normalize("deals")
    assert (result.rows, result.quarantined) == (41, 1)
    assert [policy for policy, *_ in broken(result).values()] == ["quarantine", "warn"]


def test_a_changed_contract_is_judged_again(deals):
    """Unchanged data cost nothing; another contract or policy is judged at once."""
    deals.land(deals.schema, [deal(1)])
    assert deals.normalize("deals").changed
    write(deals, schema(AMOUNT.format("")))
    assert deals.normalize("deals").changed
    assert not deals.normalize("deals").changed
    write(deals, schema(AMOUNT.format("").replace("100", "10")))
    with pytest.raises(ContractError, match="amount"):
        deals.normalize("deals")
    deals.contracts = ContractFolder(deals.contracts.root, {"deals.amount": "warn"})
    assert deals.normalize("deals").warnings
    write(deals, "raise SystemExit(1)\n", "companies.py")
    assert not deals.normalize("deals").changed


def test_a_changed_type_in_few_records_is_not_drowned(deals):
    """A hundred re-read records of another type stop the table, whatever the number of older ones."""
    deals.land(deals.schema, [deal(n) for n in range(900)])
    before = deals.normalize("deals").version
    deals.land(deals.schema, [deal(n, Amount="ten", SystemModstamp=LATER) for n in range(100)])
    with pytest.raises(ContractError, match="100 of 100 changed ones"):
        deals.normalize("deals")
    assert deals.tables.version("normalized/acme/deals") == before


def test_values_that_never_fitted_are_no_change(deals):
    """Records whose values did not fit before either do not count when they are read again."""
    odd = [deal(n, Amount="ten") for n in range(100)]
    deals.land(deals.schema, [*odd, *(deal(n) for n in range(100, 900))])
    deals.normalize("deals")
    deals.land(deals.schema, [{**row, "SystemModstamp": LATER} for row in odd])
    [fits] = deals.normalize("deals").warnings
    assert (fits.failures, fits.changed, fits.changed_rows) == (100, 0, 0)


def test_the_share_among_changed_rows_is_told(deals):
    """A rule says how many of the rows that changed since the version before break it."""
    deals.land(deals.schema, [deal(n, Name="") for n in range(3)])
    deals.normalize("deals")
    deals.land(deals.schema, [deal(1, SystemModstamp=LATER), deal(7, Name=""), deal(8)])
    [empty] = deals.normalize("deals").warnings
    assert (empty.rule, empty.failures, empty.changed, empty.changed_rows) == (
        "name is empty",
        3,
        1,
        3,
    )


def test_a_contract_that_cannot_be_read_holds_its_own_table_only(deals, schema_of):
    """The error names file and line; tables of other contracts go on."""
    deals.land(deals.schema, [deal(1)])
    accounts = schema_of("Account", "Name")
    deals.land(accounts, [{"Id": "001", "Name": "Acme"}])
    write(deals, "import pandera.pandas as pa\n\ndeals = pa.DataFrameSchema({'amount': 1 / 0})\n")
    with pytest.raises(ContractError, match=r"contracts/deals\.py:3: ZeroDivisionError"):
        deals.normalize("deals")
    assert deals.normalize("companies").rows == 1


def test_a_check_of_all_rows_together_is_refused_unless_declared(deals):
    """An aggregate would be judged by record batches; declared columns are read whole."""
    total = 'pa.Check(lambda d: d["amount"].sum() < 20, name="total")'
    write(deals, schema("", total))
    deals.land(deals.schema, [deal(1), deal(2)])
    with pytest.raises(ContractError, match=r"'total' judges all rows together.*\"whole\""):
        deals.normalize("deals")
    write(deals, schema("", total, ', metadata={"whole": {"total": ["amount"]}}'))
    with pytest.raises(ContractError, match=r"total \[contracts/deals\.py\]: 2 rows"):
        deals.normalize("deals")


def test_a_check_that_depends_on_other_rows_is_refused(deals):
    """A check that judges a row by the mean of its batch is found out."""
    write(
        deals, schema('"amount": pa.Column(checks=pa.Check(lambda s: s <= s.mean(), name="usual"))')
    )
    deals.land(deals.schema, [deal(n, Amount=f"{n}") for n in range(10)])
    with pytest.raises(ContractError, match="'usual' judges all rows together"):
        deals.normalize("deals")


def test_landed_texts_are_judged_by_what_the_vendor_describes(deals):
    """What breaks the description is noted with its records; changed records alone are judged."""
    fields = (
        Field("Stage2__c", "Stage", "picklist", values=("a", "b")),
        Field("Tags__c", "Tags", "multipicklist", values=("x", "y"), multiple=";"),
        Field("Code__c", "Code", "string", nullable=False, length=3),
        Field("Size__c", "Size", "double", "double", precision=4, scale=1),
    )
    described = Schema("Opportunity", "Opportunity", (*deals.schema.fields, *fields))
    good = {"Stage2__c": "a", "Tags__c": "x;y", "Code__c": "abc", "Size__c": "999.9"}
    bad = {"Stage2__c": "c", "Tags__c": "x;z", "Code__c": "abcd", "Size__c": "1000"}
    deals.land(described, [deal(1, **good), deal(2, **bad), deal(3, **{**good, "Code__c": ""})])
    [found] = deals.normalize("deals").described
    assert found.rows == 3
    assert {(r.rule, r.failures, r.examples) for r in found.broken} == {
        ("Stage2__c is not in the pick list", 1, ("006002",)),
        ("Tags__c is not in the pick list", 1, ("006002",)),
        ("Code__c is longer than 3 characters", 1, ("006002",)),
        ("Code__c is empty", 1, ("006003",)),
        ("Size__c has more than 3 digits before the point", 1, ("006002",)),
    }
    deals.land(described, [deal(4, **{**good, "Size__c": "big"})])
    [found] = deals.normalize("deals").described
    assert (found.rows, [r.rule for r in found.broken]) == (1, ["Size__c is no double"])
    deals.contracts = ContractFolder(deals.contracts.root, {"acme.Opportunity.Size__c": "block"})
    deals.land(described, [deal(5, **{**good, "Size__c": "big"})])
    with pytest.raises(
        ContractError, match=r"acme\.Opportunity breaks its contract: Size__c is no"
    ):
        deals.normalize("deals")


def test_a_contract_of_an_object_judges_its_texts(deals):
    """A contract may be for the vendor's object: its columns are the vendor's fields, as text."""
    write(
        deals,
        "import pandera.pandas as pa\n\nclass Raw(pa.DataFrameModel):\n"
        '    StageName: str = pa.Field(isin=["Open"])\n\n'
        '    class Config:\n        name = "acme.Opportunity"\n',
        "raw.py",
    )
    deals.land(deals.schema, [deal(1)])
    assert deals.normalize("deals").rows == 1
    deals.land(deals.schema, [deal(2, StageName="Gone")])
    with pytest.raises(ContractError, match=r"StageName: isin.*\(such as 006002\)"):
        deals.normalize("deals")


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_a_contract_that_anybody_can_change_is_not_run(deals):
    """A Python contract is a program: it is refused where others may write it."""
    write(deals, schema(AMOUNT.format("")))
    (deals.contracts.root / "contracts" / "deals.py").chmod(0o666)
    deals.land(deals.schema, [deal(1)])
    with pytest.raises(ContractError, match="can be changed by anybody") as caught:
        deals.normalize("deals")
    assert "chmod o-w" in caught.value.cure
