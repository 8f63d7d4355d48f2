"""When a cron expression comes round, compared with the scheduler's own reckoning."""

import random
from datetime import UTC, datetime

import pytest
from dagster._vendored.croniter import croniter

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.settings.cadence import Cadence

NOW = parse_instant("2026-11-23T10:07:00Z")  # a Monday


@pytest.mark.parametrize(
    ("expression", "a_day", "last", "before"),
    [
        ("*/15 * * * *", 96, "2026-11-23T10:00:00Z", "2026-11-23T09:45:00Z"),
        ("5 * * * *", 24, "2026-11-23T10:05:00Z", "2026-11-23T09:05:00Z"),
        ("0 2 * * *", 1, "2026-11-23T02:00:00Z", "2026-11-22T02:00:00Z"),
        ("0 8-18/5 * * 1-5", 3 * 5 / 7, "2026-11-23T08:00:00Z", "2026-11-20T18:00:00Z"),
        ("0 0 1,15 * *", 24 / 365.25, "2026-11-15T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("30 4 29 2 *", 1 / 1461, "2024-02-29T04:30:00Z", "2020-02-29T04:30:00Z"),
        # Either the first of a month or a Sunday, which is both 0 and 7.
        ("0 0 1 * 0", 0.17, "2026-11-22T00:00:00Z", "2026-11-15T00:00:00Z"),
        ("0 0 * * 7", 1 / 7, "2026-11-22T00:00:00Z", "2026-11-15T00:00:00Z"),
    ],
)
def test_when_it_comes_round(expression: str, a_day: float, last: str, before: str) -> None:
    """The last two times, and how many there are on a day on average."""
    cadence = Cadence.parse(expression)
    assert cadence.a_day == pytest.approx(a_day, rel=0.01)
    assert cadence.every_s == pytest.approx(86_400 / a_day, rel=0.01)
    assert cadence.before(NOW) == parse_instant(last)
    assert cadence.before(NOW, 2) == parse_instant(before)


def test_a_day_that_never_comes() -> None:
    """The 30th of February is not waited for."""
    cadence = Cadence.parse("0 0 30 2 *")
    assert (cadence.before(NOW), cadence.a_day, cadence.every_s) == (None, 0, float("inf"))


def test_it_agrees_with_the_scheduler() -> None:
    """For any expression that names some of each field."""
    draw = random.Random(7)

    def field(low: int, high: int) -> str:
        first, last = sorted(draw.sample(range(low, high), 2))
        return draw.choice(["*", str(first), f"{first}-{last}", f"{first},{last}"])

    for _ in range(300):
        spans = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
        expression = " ".join(field(*one) for one in spans)
        at = datetime(2026, draw.randint(1, 12), draw.randint(1, 28), 11, 30, 30, tzinfo=UTC)
        expected = croniter(expression, at).get_prev(datetime)
        assert Cadence.parse(expression).before(at) == expected, (expression, at)
