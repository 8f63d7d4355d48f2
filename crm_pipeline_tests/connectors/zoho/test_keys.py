"""Keys of landed records: pages and landed records go through the same rules."""

import pyarrow as pa
import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.zoho.keys import DELETED, ZohoKeys
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.connectors.rederived import differing
from crm_pipeline_tests.connectors.zoho.conftest import ZohoSceneMaker

OBJECTS = (*connector("zoho").default_objects, "CampaignMembers")
SCHEMA = Schema("X", "X", tuple(Field(name, name, "text") for name in ("id", "Modified_Time")))


def test_keys_follow_from_the_records(make_scene: ZohoSceneMaker) -> None:
    """Every object by every kind of page, deleted records among them: all keys are what they were."""
    with make_scene(contacts=40, objects=OBJECTS, concurrent_calls=100) as scene:
        gone = min(row["id"] for row in scene.twin.rows("Contacts"))
        scene.twin.delete("Contacts", gone)
        scene.advance()
        for obj in OBJECTS:
            scene.extract(obj)
        scene.advance(3600)
        scene.extract("Accounts", route="bulk")
        marks = [row["_source_id"] for row in scene.landed("Contacts") if row["_deleted"]]
        assert gone in marks
        for obj in OBJECTS:
            assert differing(scene, "zoho", obj, with_origin=True) == [], obj
            assert differing(scene, "zoho", obj, with_origin=False) == [], obj


@pytest.mark.parametrize(
    ("text", "origin", "expected"),
    [
        ('{"id":"1","deleted_time":"2026-01-01T00:00:00Z"}', "", ("1", True)),
        ('{"id":"1","deleted_time":"2026-01-01T00:00:00Z"}', DELETED, ("1", True)),
        ('{"id":"1","Modified_Time":"2026-01-01T00:00:00Z","deleted_time":"x"}', "", ("1", False)),
        ('{"id":"1","Modified_Time":"0000-01-01T00:00:00Z"}', "", (None, False)),
        ('{"id":{}}', "", (None, False)),
        ('{"id":"1","Name":"\\ud83d"}', "", (None, False)),
    ],
)
def test_records_that_were_set_aside(
    text: str, origin: str, expected: tuple[str | None, bool]
) -> None:
    """They are deleted ones where they say when they went; what cannot be read has no id."""
    keys = ZohoKeys().of(
        "Contacts",
        SCHEMA,
        pa.record_batch({"record": [text]}),
        shape="json",
        route="",
        origin=origin,
        deleted=None,
    )
    assert (keys.column("_source_id")[0].as_py(), keys.column("_deleted")[0].as_py()) == expected
