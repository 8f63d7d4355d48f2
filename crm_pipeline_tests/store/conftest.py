from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.kernel.clock import SystemClock
from crm_pipeline.store.database import Database
from crm_pipeline.store.gate import Gate
from crm_pipeline.store.tables import Tables


@pytest.fixture
def gate(database: Database) -> Iterator[Gate]:
    """A gate of this process."""
    with Gate(database, SystemClock()) as gate:
        yield gate


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Tables in a folder of their own."""
    return Tables(tmp_path)
