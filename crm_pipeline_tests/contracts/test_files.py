import re
from pathlib import Path

import pyarrow as pa
import pytest

from crm_pipeline.contracts import Policies
from crm_pipeline.contracts.compiled import compiled
from crm_pipeline.contracts.files import ContractFolder, targets_of
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.contracts import arrow_type
from crm_pipeline.model.tables import TABLES

TYPES = {c.name: arrow_type(c.type) for c in TABLES["deals"].columns}
DOCS = Path(__file__).parents[2] / "docs" / "contracts.md"
HEAD = "import pandera.pandas as pa\n\n"


@pytest.fixture
def folder(tmp_path: Path) -> ContractFolder:
    (tmp_path / "contracts").mkdir()
    return ContractFolder(tmp_path)


def write(folder: ContractFolder, name: str, text: str) -> None:
    assert folder.root is not None
    (folder.root / "contracts" / name).write_text(text)


def test_the_documented_contract_is_understood(folder):
    """The example of docs/contracts.md has the rules and policies that the text says."""
    [example] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    write(folder, "deals.py", example)
    contracts = folder.of(targets_of("acme", "deals"))
    assert [c.target for c in contracts] == ["crm.deals", "acme.deals"]
    assert [c.target for c in folder.of(targets_of("other", "deals"))] == ["crm.deals"]
    parts = [compiled(c.schema, TYPES, contract=c.file) for c in contracts]
    rules = {rule.name: rule.policy for part in parts for rule in part.rules}
    assert rules == {
        "amount: greater_than_or_equal_to(0)": "quarantine",
        "amount: less_than_or_equal_to(1000000)": "quarantine",
        "stage is empty": "warn",
        "stage: isin(['Open', 'Won', 'Lost'])": "warn",
        "name is empty": "block",
        "modified_at before created_at": "warn",
    }
    [left] = [one.rule for part in parts for one in part.left]
    assert (left.name, left.policy) == ("name: no_placeholder", "block")


def test_yaml_is_read_with_its_policies(folder):
    """pandera's YAML is a contract as well; policies stand in its metadata."""
    write(
        folder,
        "deals.yaml",
        "columns:\n  amount:\n    dtype: float\n    nullable: true\n    greater_than: 0\n"
        "  stage:\n    dtype: str\n    metadata: {policy: evolve}\n"
        "metadata: {policies: {amount: warn}}\n",
    )
    [contract] = folder.of(("deals",))
    rules = compiled(contract.schema, TYPES).rules
    assert {rule.columns[0]: rule.policy for rule in rules} == {"amount": "warn", "stage": "evolve"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("deals.py", f"{HEAD}x = (1\n", r"contracts/deals\.py:3: SyntaxError"),
        ("deals.py", f"{HEAD}raise SystemExit(3)\n", r"contracts/deals\.py:3: SystemExit"),
        ("deals.py", f"{HEAD}x = 1\n", "has no contract"),
        ("deals.yaml", "columns: [a\n", r"contracts/deals\.yaml:2: expected"),
        ("deals.yaml", "- a\n", "has the key 'columns'"),
        ("deals.yaml", "columns:\n  a:\n    dtype: what\n", r"contracts/deals\.yaml:2: TypeError"),
        (
            "deals.py",
            f'{HEAD}n = "x"\ny = pa.DataFrameSchema({{}}, name=n + "y")\n',
            "not written as a",
        ),
    ],
)
def test_a_file_with_an_error_is_named_with_its_line(folder, name, text, said):
    """What cannot be read is an error that names the file, and the line where there is one."""
    write(folder, name, text)
    with pytest.raises(ConfigError, match=said):
        folder.of(("deals", "y"))
    assert folder.of(("contacts",)) == ()


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ('{"amont": pa.Column()}', None),
        ('{"name": pa.Column(checks=pa.Check.str_matches("(?=a)"))}', "RE2 does not know"),
        ('{"name": pa.Column(unique=True, metadata={"policy": "quarantine"})}', "no single row"),
        ('{"name": pa.Column(metadata={"policy": "ignore"})}', "block, quarantine, warn, evolve"),
        ("{}, drop_invalid_rows=True", "drop_invalid_rows"),
        ("{}, index=pa.Index(int)", "has an index"),
        ('{}, unique=["amont"]', "amont"),
        (
            '{"stage": pa.Column(), "amount": pa.Column(checks=pa.Check(max, groupby="stage"))}',
            "whole",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(folder, schema, said):
    """A contract that asks for what rows cannot show is refused; a missing column is a broken rule."""
    write(folder, "deals.py", f"{HEAD}x = pa.DataFrameSchema({schema})\n")
    [contract] = folder.of(("deals",))
    if said is None:
        [rule] = compiled(contract.schema, TYPES).rules
        assert rule.name == "column amont is missing"
        return
    with pytest.raises(ConfigError, match=said):
        compiled(contract.schema, TYPES, contract=contract.file)


def test_types_stand_for_columns_of_their_kind(folder):
    """Python's types stand for what holds their values, an Arrow type for itself."""
    wanted = {
        "amount": ("float", "pd.ArrowDtype(arrow.decimal128(24, 6))"),
        "is_won": ("bool",),
        "close_date": ("date",),
        "created_at": ("datetime", '"datetime64[us, UTC]"'),
        "name": ("str", "object"),
    }
    wrong = {"amount": "int", "is_won": "str", "close_date": "datetime", "name": "float"}
    imports = "from datetime import date, datetime\nimport pandas as pd\nimport pyarrow as arrow\n"
    good = [(c, t) for c, kinds in wanted.items() for t in kinds]
    for n, (column, kind) in enumerate([*good, *wrong.items()]):
        schema = f'{{"{column}": pa.Column({kind}, nullable=True)}}'
        write(folder, "deals.py", f"{HEAD}{imports}x{n} = pa.DataFrameSchema({schema})\n")
        [contract] = folder.of(("deals",))
        faults = [rule.check for rule in compiled(contract.schema, TYPES).rules]
        assert faults == ([] if n < len(good) else ["dtype"]), (column, kind)


def test_names_that_nothing_has_are_said(folder):
    """A contract or a policy for a table that is not there names what may be meant."""
    write(folder, "dealz.py", HEAD)
    known = ["deals", "crm.deals", "acme.deals"]
    policies = ContractFolder(folder.root, {"acme.deals.amount": "warn", "leeds.name": "warn"})
    faults = [str(fault) for fault in policies.strangers(known)]
    assert len(faults) == 2
    assert "Did you mean 'deals'?" in faults[0]
    assert "policies of connections.yaml" in faults[1]


def test_names_of_checks_and_columns_are_no_tables(folder):
    """The documented contract has a column `name` and a named check; neither is taken for a table, nor is YAML's null."""
    [example] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    write(folder, "deals.py", example)
    write(folder, "contacts.yaml", "columns:\n  name: {dtype: str}\nname: null\ntitle: null\n")
    renamed = 'from pandera.pandas import DataFrameSchema as S\n\nx = S({}, name="deals")\n'
    write(folder, "mine.py", renamed)
    assert folder.strangers(["deals", "crm.deals", "acme.deals", "contacts"]) == []
    [fault] = folder.strangers(["deals", "crm.deals", "contacts"])
    assert "'acme.deals'" in str(fault)


def test_fingerprints_follow_what_concerns_a_table(folder):
    """A table is judged again if its own contract or policy changed, and not if another one's did."""
    targets = targets_of("acme", "deals")
    assert folder.fingerprint(targets) == ""
    write(folder, "other.py", f'{HEAD}x = pa.DataFrameSchema({{}}, name="crm.deals")\n')
    write(folder, "contacts.py", f"{HEAD}x = pa.DataFrameSchema({{}})\n")
    first = folder.fingerprint(targets)
    assert first
    write(folder, "contacts.py", f"{HEAD}x = 1\n")
    assert folder.fingerprint(targets) == first
    write(folder, "other.py", f'{HEAD}x = pa.DataFrameSchema({{}}, name="deals")\n')
    assert folder.fingerprint(targets) != first
    with_policy = ContractFolder(folder.root, {"deals.amount": "warn", "contacts": "block"})
    assert with_policy.fingerprint(targets) != folder.fingerprint(targets)


def test_the_longest_name_of_a_policy_counts():
    """A check's policy is stronger than its column's, a column's than the table's, a connection's than all."""
    names = {"deals": "warn", "crm.deals.amount": "block", "acme.deals.amount": "evolve"}
    policies = Policies({**names, "deals.amount.isin": "quarantine"}, targets_of("acme", "deals"))
    assert policies.of("amount", "isin") == "quarantine"
    assert policies.of("amount", "in_range") == "evolve"
    assert policies.of("name", "nullable") == "warn"


def test_arrow_types_of_the_model_are_known():
    """The types that contracts are compared with are Arrow's."""
    assert TYPES["amount"] == pa.decimal128(24, 6)
