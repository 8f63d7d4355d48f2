"""The vendor's clock is a claim: whatever its `Date` headers say, no edit is lost, and who lies is told of."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import format_datetime
from itertools import cycle

import pytest

from crm_pipeline_tests.connectors.conformance import Case
from crm_pipeline_tests.connectors.conformance_harness import ConformanceHarness
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_sandbox.connection import Connection

Tell = Callable[[datetime], str | None]
HOUR = timedelta(hours=1)
CADENCE_S = 900


def off_by(skew: timedelta) -> Tell:
    return lambda at: format_datetime(at + skew, usegmt=True)


def jumping() -> Tell:
    skews = cycle([HOUR, timedelta(days=400), -HOUR])
    return lambda at: format_datetime(at + next(skews), usegmt=True)


# What the answers of one refresh say of the time, and whether somebody has to be told. What else a header may
# hold stands in `wire/test_dates.py`.
LIES: dict[str, tuple[Tell, bool]] = {
    "an hour ahead": (off_by(HOUR), True),
    "an hour behind": (off_by(-HOUR), True),
    "jumping": (jumping(), True),
    "missing": (lambda _: None, False),
    "no date": (lambda _: f"Mon, 41 Foo {'9' * 30} 99:99:99 GMT", False),
}


@contextmanager
def dated(tell: Tell) -> Iterator[None]:
    """Let every answer of the sandbox carry another date, or none."""
    head = Connection._head

    def changed(self: Connection, *given: object) -> bytes:
        told = tell(self.server.sandbox.clock.now())
        line = b"" if told is None else f"Date: {told}\r\n".encode()
        return re.sub(rb"Date: [^\r]*\r\n", line, head(self, *given), count=1)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_head", changed)
        yield


def edited(harness: ConformanceHarness, nth: int) -> dict[str, str | None]:
    """Edit a record a minute before the next refresh, and return the texts of all that there are."""
    harness.advance(CADENCE_S)
    key = sorted(harness.emulated())[nth]
    harness.emulator.edit(harness.object, key, **{harness.case.text: f"edit {nth}"})
    harness.advance(60)
    return {key: one.text for key, one in harness.emulated().items()}


def landed(harness: ConformanceHarness) -> dict[str, str | None]:
    return {key: harness.case.text_of(one.record) for key, one in harness.live().items()}


def test_no_date_loses_an_edit(case: Case, alone: HarnessOf) -> None:
    """One refresh after the other meets another lie, each after an edit: all have landed, the watermark is never
    ahead of the vendor, and what was edited behind a lie lands with the next refresh. A skew that cannot be
    explained is told of."""
    harness = alone(case)
    harness.extract()
    for nth, (name, (tell, is_told)) in enumerate(LIES.items()):
        expected = edited(harness, 2 * nth)
        with dated(tell):
            done = harness.extract(mode="refresh")
        assert done.watermark is not None
        assert done.watermark <= harness.sandbox.clock.now() + timedelta(seconds=1), name
        assert any("clock" in text for text in done.warnings) == is_told, name
        assert landed(harness) == expected, name
        expected = edited(harness, 2 * nth + 1)  # within the hour that the lie was ahead
        honest = harness.extract(mode="refresh")
        assert honest.warnings == (), name
        assert honest.watermark == harness.sandbox.clock.now(), name
        assert landed(harness) == expected, name


@pytest.mark.parametrize("lie", ["an hour ahead", "an hour behind", "jumping", "missing"])
def test_the_check_up_tells_of_it(case: Case, quiet: HarnessOf, lie: str) -> None:
    """`check` says by how much the clocks differ and what to do; a vendor without dates is no fault."""
    harness = quiet(case)
    with dated(LIES[lie][0]), harness.account() as account:
        [found] = [one for one in account.check().findings if one.topic == "clock"]
    assert found.level == ("ok" if lie == "missing" else "warn")
    assert bool(found.cure) == (found.level == "warn")
    assert ("vendor" in found.cure) == (found.level == "warn")
