import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.store.tables import Tables


@pytest.fixture(scope="module")
def no_flushing() -> Iterator[None]:
    """Flushing matters to power cuts only, which no test here makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Tables in a folder of their own."""
    return Tables(tmp_path)
