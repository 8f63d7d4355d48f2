"""The connector's schemas and mapping fit the common model."""

import json
from pathlib import Path
from typing import Any

from crm_pipeline_tests.connectors.modelled import assert_fits, rows
from crm_pipeline_tests.connectors.pipedrive.conftest import HarnessMaker

OBJECTS = (
    "deals",
    "persons",
    "organizations",
    "activities",
    "notes",
    "leads",
    "products",
    "deal_products",
    "deal_changes",
    "deal_participants",
    "users",
    "pipelines",
    "stages",
)


def test_everything_that_is_read_fits_the_model(make_harness: HarnessMaker, tmp_path: Path) -> None:
    """Each object becomes its table, every value is converted, and references point to rows."""
    with make_harness(contacts=60, objects=json.dumps(OBJECTS)) as harness:
        assert_fits(harness, OBJECTS, tmp_path / "engine")
        people = rows(harness, "contacts", "email, emails, phone, phones")
        assert any(len(emails) > 1 for _, emails, _, _ in people)
        for email, emails, phone, phones in people:
            assert (email, phone) == (_first(emails), _first(phones))


def _first(points: list[dict[str, Any]]) -> str | None:
    return points[0]["value"] if points else None
