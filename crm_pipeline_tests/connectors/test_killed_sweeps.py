"""A process that is killed in the middle of a sweep: the next one is right."""

import json
import os
import signal
import subprocess
import sys

import pytest

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline_tests.connectors.conformance import case_of
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_pipeline_tests.connectors.test_conformance_audit import audit, planted, read_once, right
from crm_pipeline_tests.connectors.test_conformance_sweep import (
    more,
    recalculated,
    shown,
    swept,
    versions,
)

CASE = case_of("salesforce")
SPAN_RECORDS = 6


def killed(harness: ConformanceHarness, kind: str) -> None:
    """Sweep in a process of its own, which is killed at its second commit."""
    order = {
        "root": str(harness.settings.root),
        "environ": dict(harness.settings.environ),
        "now": format_instant(harness.clock.now()),
        "object": harness.object,
        "kind": kind,
        "span_records": SPAN_RECORDS,
    }
    program = [sys.executable, "-m", "crm_pipeline_tests.connectors.dying_sweep", json.dumps(order)]
    environ = {**os.environ, "CRM_FAILPOINT": "commit.named:2:kill"}
    done = subprocess.run(program, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2_000:]


def test_a_sweep_of_ids(alone: HarnessOf) -> None:
    """Killed when the records that it asked for have landed, and no mark of a ghost: lost rows, stale versions and ghosts
    are all right after the next audit, and nothing else is touched."""
    harness = alone(CASE, contacts=20)
    read_once(harness)
    before = versions(harness)
    lost, stale, ghosts = planted(harness)
    killed(harness, "ids")
    assert more(before, versions(harness)).keys() == lost | stale
    assert not right(harness)
    assert audit(harness, is_deep=True).is_right
    assert right(harness)
    assert more(before, versions(harness)).keys() == lost | stale | ghosts
    assert {one.state for one in audit(harness, is_deep=True).results} == {"equal"}


def test_a_sweep_of_computed_fields(alone: HarnessOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the records of its second span have landed, and that is not noted: the next sweep lands the others, each
    once."""
    monkeypatch.setattr("crm_pipeline.connectors.unstamped.SPAN_RECORDS", SPAN_RECORDS)
    harness = alone(CASE, contacts=20)
    read_once(harness)
    before = versions(harness)
    changed = recalculated(harness, len(harness.live()))
    killed(harness, "fields")
    landed = more(before, versions(harness))
    assert 0 < len(landed) < len(changed)
    assert swept(harness).is_complete
    assert more(before, versions(harness)) == dict.fromkeys(changed, 1)
    assert set(shown(harness).values()) == {"XX-Other"}
