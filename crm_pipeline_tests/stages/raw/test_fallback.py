"""An object that was to be read by Bulk and is read by REST."""

import pyarrow.parquet as pq

from crm_pipeline_tests.scenes import Scene

REFUSAL = '[{"errorCode":"INVALIDENTITY","message":"Entity is not supported by the Bulk API."}]'


def test_a_second_edit_within_a_second_lands_after_a_fallback(scene: Scene) -> None:
    """Seen versions are those of the shape in which the pages came, not of the planned route."""
    scene.sandbox.faults.order(
        "status", method="POST", path="/jobs/query", status=400, body=REFUSAL, times=99
    )
    scene.extract(route="bulk")
    contact = scene.org.rows("Contact")[0]["Id"]
    scene.advance()
    stamp = scene.clock.now()
    for title in ("one", "two"):
        scene.org.edit("Contact", contact, stamp=stamp, Title=title)
        scene.advance(1)
        done = scene.extract(route="bulk", mode="refresh")
        assert (done.records, done.route) == (1, "rest")
    last = scene.landing.batches("demo", "Contact")[-1]
    [record] = pq.read_table(last.path)["record"].to_pylist()
    assert '"Title":"two"' in record.replace('": "', '":"')
