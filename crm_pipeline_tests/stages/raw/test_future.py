"""Watermarks in the future, as older versions wrote them: they are reported and set back, and nothing is lost."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from crm_pipeline.kernel.clock import Window
from crm_pipeline.stages.raw import remarks_of
from crm_pipeline.stages.raw.task import Task
from crm_pipeline.store.landing.recovery import Interrupted
from crm_pipeline.store.landing.window import Counts
from crm_pipeline_tests.harness import Harness
from crm_pipeline_tests.stages.raw.test_extract import landed

HOUR = timedelta(hours=1)


def commit_ahead(harness: Harness) -> None:
    """Commit what a refresh of an older version does when every Date is an hour ahead."""
    landing, now = harness.landing, harness.clock.now()
    schema, edge = (
        landing.latest_schema("demo", "Contact"),
        landing.watermark("demo", "Contact"),
    )
    assert schema is not None
    assert edge is not None
    window = Window(edge - timedelta(minutes=10), now + HOUR)
    with landing.begin("demo", "Contact", window, schema) as writer:
        writer.commit(Counts())


def test_a_future_that_is_still_ahead(harness: Harness) -> None:
    """Status and check say how much is read again, the next refresh reads it, and then the remark is gone."""
    harness.extract()
    harness.advance(900)
    commit_ahead(harness)
    [remark] = remarks_of(harness.landing, "demo", "Contact")
    assert "the watermark is set back to 2026-11-23T10:15:00Z, 60.0 minutes are read again" in str(
        remark
    )
    first = harness.org.rows("Contact")[0]["Id"]
    harness.advance(900)
    harness.org.edit("Contact", first, Title="In between")
    harness.advance(900)
    done = harness.extract(mode="refresh")
    assert done.warnings == (remark.text,)
    assert landed(harness)[first]["Title"] == "In between"
    assert done.watermark == harness.clock.now()
    assert remarks_of(harness.landing, "demo", "Contact") == []


def test_a_future_that_has_passed(harness: Harness) -> None:
    """Changes that were not read while the watermark was ahead are read now, even after days."""
    harness.extract()
    harness.advance(900)
    commit_ahead(harness)
    first = harness.org.rows("Contact")[0]["Id"]
    harness.advance(900)
    harness.org.edit("Contact", first, Title="Never read")
    schema = harness.landing.latest_schema("demo", "Contact")
    assert schema is not None
    edge = harness.clock.now() + timedelta(minutes=45)
    for _ in range(5):
        harness.advance(3600)
        window = Window(edge - timedelta(minutes=10), harness.clock.now())
        with harness.landing.begin("demo", "Contact", window, schema) as writer:
            writer.commit(Counts())
        edge = harness.clock.now()
    assert remarks_of(harness.landing, "demo", "Contact")
    done = harness.extract(mode="refresh")
    assert landed(harness)[first]["Title"] == "Never read"
    assert (done.records, done.watermark) == (1, harness.clock.now())


def test_a_machine_whose_clock_is_set_back(harness: Harness) -> None:
    """A watermark in the future by this machine's clock is reported with a cure."""
    harness.extract()
    harness.clock.advance(-86_400)
    [remark] = remarks_of(harness.landing, "demo", "Contact")
    assert "24.0 hours in the future" in remark.text
    assert "clock right" in remark.cure


def test_a_read_that_was_begun_in_the_future(harness: Harness) -> None:
    """An interrupted window of an older version is not resumed: its end may lie in the future."""
    with harness.account() as account:
        obj = harness.settings.connection("demo").object("Contact")
        task = Task.start(account, obj, "range", harness.landing)
    span = Window(None, harness.clock.now())

    def left(purpose: Mapping[str, Any]) -> Interrupted:
        return Interrupted(
            window_id="x",
            window=span,
            kind="window",
            schema_fingerprint="f",
            purpose=purpose,
            same_boot=True,
            marker=harness.settings.data / "x.open",
        )

    assert not task.fits(left({"mode": "range", "vendor_count": 1}), span)
    interrupted = left(task.purpose(1))
    assert task.fits(interrupted, span)
    assert task.resumed(interrupted).present.at == task.present.at
