"""The queries of docs/analysts over the demo's accounts, against what the vendors' APIs answer."""

from pathlib import Path
from typing import Any

import pytest

from crm_pipeline_tests.meaning.questions import ANSWERS, OF_VERDICTS, differences
from crm_pipeline_tests.meaning.rows import Rows

FOLDER = Path(__file__).parents[2] / "docs" / "analysts"
ZONES = ("UTC", "America/Los_Angeles", "Asia/Kolkata")
"""Of an analyst's session."""


@pytest.fixture(scope="module")
def plain(world: Any) -> Rows:
    """What the vendors answer about the accounts that are published, as plain rows."""
    rows: Rows = world.plain_rows()
    return rows


@pytest.mark.parametrize("name", sorted([*ANSWERS, *OF_VERDICTS]))
def test_answer_is_that_of_the_vendors(world, plain, name):
    """A documented query returns for all accounts what plain Python computes from the vendors' records, in any session."""
    sql = (FOLDER / name).read_text(encoding="utf-8")
    expected = list({**ANSWERS, **OF_VERDICTS}[name](plain))
    # No deal of a small world has been left alone for long; the drawn world has such.
    assert expected or name == "08_stale_deals.sql"
    for zone in ZONES:
        answer = [tuple(row.values()) for row in world.query(sql, zone=zone)]
        assert differences(answer, expected) == []
