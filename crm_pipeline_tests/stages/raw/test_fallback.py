"""An object that is read by REST though Bulk was planned."""

import pyarrow.parquet as pq

from crm_pipeline_tests.harness import Harness

REFUSAL = '[{"errorCode":"INVALIDENTITY","message":"Entity is not supported by the Bulk API."}]'


def test_a_second_edit_within_a_second_lands_after_a_fallback(harness: Harness) -> None:
    """Seen versions are those of the shape in which the pages came, not of the planned route."""
    harness.sandbox.faults.order(
        "status", method="POST", path="/jobs/query", status=400, body=REFUSAL, times=99
    )
    harness.extract(route="bulk")
    contact = harness.org.rows("Contact")[0]["Id"]
    harness.advance()
    stamp = harness.clock.now()
    for title in ("one", "two"):
        harness.org.edit("Contact", contact, stamp=stamp, Title=title)
        harness.advance(1)
        done = harness.extract(route="bulk", mode="refresh")
        assert (done.records, done.route) == (1, "rest")
    last = harness.landing.batches("demo", "Contact")[-1]
    [record] = pq.read_table(last.path)["record"].to_pylist()
    assert '"Title":"two"' in record.replace('": "', '":"')
