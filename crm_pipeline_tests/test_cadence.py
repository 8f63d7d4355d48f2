"""When a cron expression is due, compared with the scheduler's own computation."""

import random
from datetime import UTC, datetime

import pytest
from dagster._utils.schedules import is_valid_cron_schedule
from dagster._vendored.croniter import croniter  # type: ignore[attr-defined]

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.settings.cadence import Cadence, cron_problem

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
def test_when_it_is_due(expression: str, a_day: float, last: str, before: str) -> None:
    """The last two times, and how many there are on a day on average."""
    cadence = Cadence.parse(expression)
    assert cadence.a_day == pytest.approx(a_day, rel=0.01)
    assert cadence.every_s == pytest.approx(86_400 / a_day, rel=0.01)
    assert cadence.before(NOW) == parse_instant(last)
    assert cadence.before(NOW, 2) == parse_instant(before)


@pytest.mark.parametrize(
    "expression",
    [
        *("0 0 30 2 *", "0 0 31 2 *", "0 0 30,31 2 *", "0 0 31/99 11 */1"),
        *("0 0 31 4,6,9,11 *", "0 0 30 2 1", "0 0 30 2 0-7"),
    ],
)
def test_a_day_that_never_comes(expression: str) -> None:
    """The 30th of February is refused, whatever weekdays are given beside it."""
    assert "which never comes in the month" in (cron_problem(expression) or "")


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "0 0 29 2 *",
            "0 0 */30 2/12 *",
            "0 0 31 1,2 *",
            "0 0 30 2,4 *",
            "0 0 28-31 2 *",
            "0 0 31 */2 *",
        ),
        *("00 07 01 01 00", "59 23 31 12 7", "0-59/59 0-0 1-31/30 12/12 0-7", "*/99 */99 1 1 *"),
        *("5/70 * * * *", "0,0,0 0 * * 7,0", "7-7 7-7 7-7 7-7 7-7", "*,1 *,2/3 *,3 *,4 *,*/7"),
        *("  0\t0  *\u00a0* * ", "*/1 */1 */1 */1 */1"),
    ],
)
def test_the_scheduler_accepts_what_is_accepted_here(expression: str) -> None:
    """The scheduler accepts every expression that is accepted here: a refused one would stop all connections."""
    assert cron_problem(expression) is None
    assert is_valid_cron_schedule(" ".join(expression.split()))
    assert Cadence.parse(expression).a_day > 0


@pytest.mark.parametrize(
    "expression", ["\u0663 * * * *", "* * * * \u0967", "0 0 * * MON", "@daily"]
)
def test_other_ways_to_write_it(expression: str) -> None:
    """Digits of other scripts, names and short forms are refused."""
    assert cron_problem(expression) is not None


def test_it_agrees_with_the_scheduler() -> None:
    """It holds for any expression with values in each field."""
    draw = random.Random(7)

    def field(low: int, high: int) -> str:
        first, last = sorted(draw.sample(range(low, high), 2))
        return draw.choice(["*", str(first), f"{first}-{last}", f"{first},{last}"])

    for _ in range(300):
        spans = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
        expression = " ".join(field(*numbers) for numbers in spans)
        at = datetime(2026, draw.randint(1, 12), draw.randint(1, 28), 11, 30, 30, tzinfo=UTC)
        expected = croniter(expression, at).get_prev(datetime)
        assert Cadence.parse(expression).before(at) == expected, (expression, at)
