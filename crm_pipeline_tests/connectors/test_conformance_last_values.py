"""Deleted records keep the values that landed last, for each vendor: read with pandas from the files of the tables."""

import json
from typing import Any

import pandas as pd

from crm_pipeline.store.tables import Tables
from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.test_conformance_audit import audit, is_older, read_once

OF_DELETIONS = {"is_deleted", "modified_at", "batch_id", "custom"}


def test_deleted_records_keep_their_values(case: Case, alone: HarnessOf) -> None:
    """One is deleted in the CRM, one is gone without a trace and found by an audit: the table has the values of before
    of both, and the history shows no other change."""
    harness = alone(case, contacts=20)
    read_once(harness)
    deleted, purged, *_ = sorted(key for key, old in harness.emulated().items() if is_older(old))
    before = built(harness)
    harness.emulator.delete(case.object, deleted)
    harness.emulator.hard_delete(case.object, purged)
    harness.extract(mode="refresh", whole=harness.reads_snapshots)
    assert audit(harness, is_deep=True).is_right
    after = built(harness)
    history = stored(harness, "history")
    for key in (deleted, purged):
        now, then = row(after, key), row(before, key)
        assert now["is_deleted"]
        assert not then["is_deleted"]
        kept = now.keys() - OF_DELETIONS
        assert {name: plain(now[name]) for name in kept} == {n: plain(then[n]) for n in kept}
        assert json.loads(now["custom"]).items() >= {
            name: value for name, value in json.loads(then["custom"]).items() if value is not None
        }.items() - own_marks(now, then)
        last = row(history[history["valid_to"].isna() & history["_is_version"]], key)
        assert set(last["changed_fields"]) <= OF_DELETIONS
        shown = now.keys() - {"batch_id"}
        assert {name: plain(last[name]) for name in shown} == {n: plain(now[n]) for n in shown}


def own_marks(now: dict[str, Any], then: dict[str, Any]) -> set[Any]:
    """Return what a deletion changes in the vendor's own fields, such as who edited last."""
    new, old = json.loads(now["custom"]), json.loads(then["custom"])
    return {(name, value) for name, value in old.items() if new.get(name) not in {None, value}}


def row(table: pd.DataFrame, key: str) -> dict[str, Any]:
    [found] = table[table["source_id"] == key].to_dict("records")
    return {str(name): value for name, value in found.items()}


def plain(value: Any) -> str:
    return "" if value is None or value is pd.NaT or str(value) == "nan" else str(value)


def built(harness: ConformanceHarness) -> pd.DataFrame:
    """Build the table, and return all of its rows."""
    harness.normalize()
    return stored(harness, "normalized")


def stored(harness: ConformanceHarness, stage: str) -> pd.DataFrame:
    """Return the rows of a version that is one base."""
    version = Tables(harness.settings.data).version(f"{stage}/demo/{harness.case.table}")
    assert version is not None
    assert not version.delta
    return pd.concat(pd.read_parquet(path) for path in version.base)
