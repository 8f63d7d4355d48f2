from pathlib import Path

import pytest

from crm_pipeline.store.tables import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Tables in a folder of their own."""
    return Tables(tmp_path)
