"""A slice of `benchmarks/crashes.py`."""

from pathlib import Path

from crm_pipeline_tests.drill.backfill import backfills, killed, moments
from crm_pipeline_tests.drill.rehearsal import DOWNLOADS
from crm_pipeline_tests.servers import database_of_its_own

CONTACTS = 240
_A_RUN_S = 2.0  # or more; a kill that comes too late is one more run


def test_backfills_that_were_killed_are_finished_by_the_next(
    postgres_url: str, tmp_path: Path
) -> None:
    """Killed anywhere: no row lost or doubled, no ghost run, no place held, hardly a page twice."""
    with (
        database_of_its_own(postgres_url) as url,
        backfills(tmp_path, url, CONTACTS) as drilled,
    ):
        for number, after_s in enumerate(moments(2, _A_RUN_S, seed=5)):
            outcome = killed(drilled, f"killed-{number}", after_s)
            assert outcome.again <= DOWNLOADS
