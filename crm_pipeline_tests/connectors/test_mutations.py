"""Whatever is done to an answer: right data, a clear refusal, or rows in quarantine; for each route of each vendor.

A slice of the trials; `make campaign ARGS='--only mutations'` carries out thousands.
"""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from crm_pipeline.store.postgres.database import Database
from crm_pipeline_tests.connectors.conformance import WAYS, Way
from crm_pipeline_tests.connectors.conftest import narrowed
from crm_pipeline_tests.connectors.mutated_reads import ground_of, trials

SLICE = 12
"""So many trials for each route; every second route begins behind them, so that all together go through 24."""


def test_no_mutation_is_taken_for_the_truth(
    way: Way, tmp_path: Path, database: Database, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No raw exception, nothing wrong without a word, no deletion, no watermark beyond what was asked for."""
    narrowed(way.case, monkeypatch)
    with ExitStack() as stack:
        ground = stack.enter_context(ground_of(way, tmp_path, database, fresh_url))
        first = SLICE * (WAYS.index(way) % 2)
        chosen = trials(way, ground.answers, range(first, first + SLICE))
        results = [ground.run(trial) for trial in chosen]
    wrong = [f"{one.trial}: {one.detail}" for one in results if one.outcome == "WRONG"]
    assert wrong == []
    told = Counter(one.outcome for one in results)
    assert told["refused"] > 0
    assert told["right"] > 0
    assert told["not applied"] <= SLICE / 2  # as many as chance may give of twelve
