"""A fault in a mapping is seen: `make campaign ARGS='--only Meaning'` plants all, this one of them."""

from pathlib import Path

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline_tests.meaning.answers import DEMO
from crm_pipeline_tests.meaning.comparison import Comparison
from crm_pipeline_tests.meaning.faults import FAULTS, caught
from crm_pipeline_tests.meaning.prepared import Prepared


def test_a_planted_fault_is_caught(
    world: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two fields are swapped in a mapping, exactly the wrong column differs."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    found = caught(FAULTS["two fields swapped"], Comparison(world), tmp_path / "spoilt")
    assert [(one.table, one.column, one.count) for one in found] == [
        ("contacts", "email", len(Comparison(world).truth("salesforce_demo")["contacts"]))
    ]
    assert len(found[0].examples) == 3
    assert "the vendor says" in str(found[0])


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_spoils_something(name: str) -> None:
    """Return the present mapping, or the account's facts, with a fault."""
    fault = FAULTS[name]
    mapping = connector(DEMO[fault.connection].vendor).mapping
    assert fault.change(mapping) != mapping or fault.zone
