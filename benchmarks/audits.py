"""An audit of 800,000 records with 50 planted differences: `python -m benchmarks.audits [RECORDS]`.

The CRM is one in memory, so that what is measured is the audit: counts, sweep, comparison, reads by ids, marks. The
landed records are folded afterwards by the code of the normalized tables, and compared with the CRM's.
"""

import json
import random
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from benchmarks.measuring import Figures, alone, measured, table
from crm_pipeline_tests.stages.raw.crm import NOW, Crm, ids_of
from crm_pipeline_tests.stages.raw.test_audit import Pipeline

RECORDS = 800_000
_BEHIND = NOW - timedelta(days=1)
_KINDS = ("missing", "ghosts", "stale", "healed")


def report(records: int = RECORDS) -> str:
    """Return one row for each way of auditing."""
    rows = []
    for way in ("equal counts", "counts", "ids", "content"):
        run = alone("benchmarks.audits", str(records), way)
        found = (f"{run[kind]:,.0f}" for kind in _KINDS)
        costs = (f"{run['calls']:,.0f}", f"{run['seconds']:.1f}", f"{run['peak_mb']:,.0f}")
        rows.append((way, *found, "yes" if run["is_right"] else "no", *costs))
    columns = ("by", *_KINDS, "equals the CRM", "calls", "seconds", "peak MB above idle")
    return f"{records:,} records, 50 planted differences\n\n{table(columns, rows)}"


def _plant(crm: Crm) -> None:
    """Plant 16 lost records, 17 stale versions and 17 ghosts, at random places behind the watermark."""
    chosen = random.Random(17).sample(range(len(crm.records)), 34)
    crm.put([f"lost {n}" for n in range(16)], _BEHIND, "lost")
    crm.put(ids_of(chosen[:17]), _BEHIND + timedelta(seconds=1), "stale")
    crm.remove(ids_of(chosen[17:]))


def _audited(records: int, way: str) -> Figures:
    with tempfile.TemporaryDirectory(prefix="crm-") as folder:
        pipeline = Pipeline(Crm.of(records), Path(folder))
        pipeline.refresh()
        pipeline.refresh()
        if way != "equal counts":
            _plant(pipeline.crm)
        runs = []

        def run() -> int:
            runs.append(pipeline.audit(is_deep=way == "ids", reads_content=way == "content"))
            return records

        figures = measured(run)
        [done] = runs
        found = {kind: done.total(kind) for kind in _KINDS}
        return {**figures, **found, "calls": done.calls, "is_right": float(pipeline.is_right())}


if __name__ == "__main__":
    size = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    show: Callable[[], str] = (
        (lambda: json.dumps(_audited(size, sys.argv[2])))
        if len(sys.argv) > 2
        else (lambda: report(size))
    )
    print(show())
