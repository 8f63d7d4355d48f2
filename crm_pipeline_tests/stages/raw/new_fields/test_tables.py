"""What a new field costs the tables: one build of all that has landed, and versions from their parents after that."""

from typing import Any

import pytest

from crm_pipeline.connectors.point_batches import PointBatch
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.salesforce.points import PointReader
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.normalized import from_parent, normalize
from crm_pipeline.stages.raw.new_fields import backfill, fill_new_fields
from crm_pipeline.store.drift import Register
from crm_pipeline.store.field_backfills import FieldBackfill
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.harness import Harness


def refreshed(harness: Harness, allowed: int | None = None) -> FieldBackfill | None:
    """Refresh contacts, and fill what they lack."""
    done = harness.extract("Contact", mode="refresh")
    with harness.account() as account:
        return fill_new_fields(
            account,
            ObjectSettings("Contact"),
            harness.landing,
            Register(harness.settings.data, harness.clock),
            schema=done.schema,
            open_engine=lambda: Engine(harness.settings.data / "tmp", threads=1),
            allowed=allowed,
        )


def built(harness: Harness) -> tuple[bool, dict[str, Any]]:
    """Build the table; return whether it was built of all that has landed, and the values of the new field by id."""
    tables = Tables(harness.settings.data)
    with Engine(harness.settings.data / "tmp", memory_limit="512MB", threads=1) as engine:
        done = normalize(
            harness.settings.connection("demo"),
            "contacts",
            harness.landing,
            tables,
            connector("salesforce").mapping,
            engine=engine,
        )
        rows = engine.rows(
            f"SELECT source_id, custom ->> 'Shoe_Size__c' FROM {Tables.relation(done.version)} "
            "WHERE is_deleted IS NOT TRUE"
        )
    return bool(done.version.meta["built"]["whole"]), dict(rows)


def test_tables_are_built_whole_once(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backfill of two days: the first version with the field has the values that were filled, the next one all. Then an edit
    is added to its parent as ever, and the table equals the org."""
    monkeypatch.setattr(from_parent, "FEW_RECORDS", 0)
    monkeypatch.setattr(backfill, "_READ_AT_ONCE", 1)
    monkeypatch.setattr(PointReader, "batch", PointBatch(40))
    harness.extract("Contact")
    built(harness)
    org = harness.org
    org.add_field("Contact", "Shoe_Size__c", value="forty-two")
    harness.advance(86_400)
    first = refreshed(harness, 1)
    assert first is not None
    assert (first.is_open, first.left > 0) == (True, True)
    is_whole, values = built(harness)
    filled = [key for key, value in values.items() if value]
    assert (is_whole, len(filled)) == (True, first.filled)
    harness.advance(86_400)
    done = refreshed(harness)
    assert done is not None
    assert done.state == "complete"
    assert set(built(harness)[1].values()) == {"forty-two"}
    org.edit("Contact", org.rows("Contact")[0]["Id"], Shoe_Size__c="thirty")
    harness.advance()
    assert refreshed(harness) is None
    is_whole, values = built(harness)
    assert not is_whole
    assert values == {row["Id"]: row["Shoe_Size__c"] for row in org.rows("Contact")}
