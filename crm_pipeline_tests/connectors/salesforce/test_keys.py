"""Keys of landed records: pages and landed records go through the same rules."""

import pyarrow as pa

from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.salesforce.keys import SalesforceKeys
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.connectors.rederived import differing
from crm_pipeline_tests.harness import HarnessMaker

OBJECTS = (*connector("salesforce").default_objects, "Invoice__c")
SCHEMA = Schema(
    "X", "X", tuple(Field(name, name, "string") for name in ("Id", "IsDeleted", "SystemModstamp"))
)


def test_keys_follow_from_the_records(make_harness: HarnessMaker) -> None:
    """Every object, by REST and by Bulk, with deleted records: derived again, all keys are what they were."""
    with make_harness(contacts=40, objects=OBJECTS) as harness:
        harness.org.delete("Contact", harness.org.rows("Contact", limit=1)[0]["Id"])
        for obj in OBJECTS:
            harness.extract(obj, route="rest")
            assert harness.landing.batches("demo", obj), obj
        for obj in ("Contact", "User"):
            harness.advance(3600)
            harness.extract(obj, route="bulk")
        for obj in OBJECTS:
            assert differing(harness, "salesforce", obj, with_origin=True) == [], obj


def test_records_that_cannot_be_read_have_no_id() -> None:
    """Of both shapes: without an id, with an invalid modification time, and not JSON at all."""

    def ids(shape: str, raw: pa.RecordBatch) -> list[str | None]:
        keys = SalesforceKeys().of(
            "X",
            SCHEMA,
            raw,
            shape=shape,
            route="",
            origin=None,
            deleted=None,  # type: ignore[arg-type]
        )
        found: list[str | None] = keys.column("_source_id").to_pylist()
        return found

    stamp = "2026-01-01T00:00:00.000Z"
    texts = [
        f'{{"Id":"1","IsDeleted":true,"SystemModstamp":"{stamp}"}}',
        '{"Id":"2","SystemModstamp":"99999-01-01T00:00:00Z"}',
        '{"Id":"3","Name":"\\ud83d"}',
        f'{{"SystemModstamp":"{stamp}"}}',
    ]
    assert ids("json", pa.record_batch({"record": texts})) == ["1", None, None, None]
    cells = pa.record_batch(
        {
            "Id": ["1", "2", "", "4"],
            "IsDeleted": ["true", "false", "false", "a\0b"],
            "SystemModstamp": [stamp, "0000-01-01T00:00:00Z", stamp, stamp],
        }
    )
    assert ids("csv", cells) == ["1", None, None, None]
