"""A fault in a mapping is seen: `make campaign ARGS='--only Meaning'` plants all, this one of them."""

from pathlib import Path

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline_tests.meaning.answers import DEMO
from crm_pipeline_tests.meaning.faults import FAULTS, caught
from crm_pipeline_tests.meaning.judged import Judged
from crm_pipeline_tests.meaning.prepared import Prepared


def test_a_planted_fault_is_caught(
    world: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where two fields are swapped in a mapping, exactly the column with the wrong one differs."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    found = caught(FAULTS["two fields swapped"], Judged(world), tmp_path / "spoilt")
    assert [(one.table, one.column, one.count) for one in found] == [
        ("contacts", "email", len(Judged(world).truth("salesforce_demo")["contacts"]))
    ]
    assert len(found[0].examples) == 3
    assert "the vendor says" in str(found[0])


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_spoils_something(name: str) -> None:
    """Each fault changes the mapping of today, or what is known of the account."""
    fault = FAULTS[name]
    mapping = connector(DEMO[fault.connection].vendor).mapping
    assert fault.change(mapping) != mapping or fault.zone
