from collections.abc import Iterator

import pytest

from crm_pipeline_tests.drill.drill import drill
from crm_pipeline_tests.drill.rehearsal import Rehearsal, rehearsed
from crm_pipeline_tests.servers import database_of_its_own

CONTACTS = 60


@pytest.fixture(scope="package")
def rehearsal(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """One project at the beginning of each stage, on a database of its own."""
    with (
        database_of_its_own(postgres_url) as url,
        drill(tmp_path_factory.mktemp("drill"), url, CONTACTS) as drilled,
    ):
        yield rehearsed(drilled)
