from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import (
    FrozenClock,
    Month,
    SystemClock,
    Window,
    format_instant,
    gap_free_edge,
    parse_instant,
)

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)
INSTANTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - zones are drawn apart
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    low, high = sorted((draw(st.integers(0, 12)), draw(st.integers(0, 12))))
    is_open = draw(st.integers(0, 3)) == 0
    start = None if is_open else ORIGIN + timedelta(hours=low)
    return Window(start, ORIGIN + timedelta(hours=high))


def brute_force_edge(spans: list[Window]) -> datetime | None:
    """Walk hour by hour from the beginning of time until an hour that no window holds."""
    if all(span.from_at is not None for span in spans):
        return None
    # Everything before the earliest end of an open window is held by it.
    at = min(span.to_at for span in spans if span.from_at is None)
    while any((s.from_at is None or s.from_at <= at) and at < s.to_at for s in spans):
        at += timedelta(hours=1)
    return at


@given(st.lists(windows(), max_size=8))
def test_the_edge_is_the_end_of_the_gap_free_union(spans: list[Window]) -> None:
    """The watermark is the first hour, counted hour by hour, that was never read."""
    assert gap_free_edge(spans) == brute_force_edge(spans)


@given(st.lists(windows(), max_size=8), st.randoms(use_true_random=False))
def test_the_edge_does_not_depend_on_the_order(spans: list[Window], random: object) -> None:
    """Windows may commit in any order; the watermark is the same."""
    shuffled = list(spans)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert gap_free_edge(shuffled) == gap_free_edge(spans)


@given(st.lists(windows(), min_size=1, max_size=8), windows())
def test_the_edge_never_falls(spans: list[Window], more: Window) -> None:
    """Another committed window can only move the watermark up."""
    before, after = gap_free_edge(spans), gap_free_edge([*spans, more])
    assert before is None or (after is not None and after >= before)


def test_a_window_behind_a_gap_does_not_count() -> None:
    """A window after a gap does not hide that the gap was never read."""
    first = Window(None, ORIGIN)
    second = Window(ORIGIN + timedelta(seconds=1), ORIGIN + timedelta(days=1))
    assert gap_free_edge([first, second]) == ORIGIN
    bridge = Window(ORIGIN, ORIGIN + timedelta(seconds=1))
    assert gap_free_edge([first, second, bridge]) == second.to_at


def test_without_an_open_window_there_is_no_edge() -> None:
    """There is no watermark while no window reaches back for ever, because older records may exist."""
    assert gap_free_edge([]) is None
    assert gap_free_edge([Window(ORIGIN, ORIGIN + timedelta(days=400))]) is None


def test_a_window_cannot_end_before_it_starts() -> None:
    """A window that ends before it starts is refused with both instants in the text."""
    with pytest.raises(ValueError, match=r"\[2026-01-01T00:00:01Z, 2026-01-01T00:00:00Z\)"):
        Window(ORIGIN + timedelta(seconds=1), ORIGIN)


def test_a_window_reads_as_an_interval() -> None:
    """A window prints as a half-open interval."""
    assert str(Window(None, ORIGIN)) == "[-inf, 2026-01-01T00:00:00Z)"


@given(INSTANTS)
def test_instants_survive_writing_and_reading(at: datetime) -> None:
    """An instant written as text is read back as the same instant, in UTC."""
    back = parse_instant(format_instant(at))
    assert back == at
    assert back.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T10:00:00Z",
        "2026-11-23T10:00:00.000Z",
        "2026-11-23T10:00:00.000+0000",
        "2026-11-23T12:00:00+02:00",
        "2026-11-23T10:00Z",
    ],
)
def test_vendors_ways_to_write_an_instant(text: str) -> None:
    """Z, +00:00 and +0000 mean the same."""
    assert parse_instant(text) == datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-23T10:00:00", "2026-11-23", "yesterday", ""])
def test_an_instant_without_zone_is_refused(text: str) -> None:
    """A text without offset is not taken for the machine's local time."""
    with pytest.raises(ValueError, match=r"time zone|isoformat"):
        parse_instant(text)


@given(INSTANTS)
def test_a_month_holds_its_instants(at: datetime) -> None:
    """Each instant lies in the half-open interval of its month."""
    month = Month.of(at)
    assert month.start_at <= at < month.end_at
    assert month.end_at == month.next().start_at
    assert Month.parse(str(month)) == month


def test_months_run_over_the_turn_of_the_year() -> None:
    """From November through February are four months."""
    run = Month(2025, 11).through(Month(2026, 2))
    assert [str(month) for month in run] == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert list(Month(2026, 2).through(Month(2026, 1))) == []


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026", "26-11", "2026-11-01T00:00", "x-y", ""]
)
def test_a_text_that_is_no_month_is_refused(text: str) -> None:
    """A typo in a month is an error where it is read, not later where it is used."""
    with pytest.raises(ValueError, match="is no month"):
        Month.parse(text)


def test_a_frozen_clock_moves_only_when_told() -> None:
    """Sleeping moves a frozen clock forward at once by the time slept."""
    clock = FrozenClock("2026-11-23T10:00Z")
    assert clock.now() == clock.now() == datetime(2026, 11, 23, 10, tzinfo=UTC)
    clock.sleep(90.5)
    clock.advance(9.5)
    assert clock.now() == datetime(2026, 11, 23, 10, 1, 40, tzinfo=UTC)
    assert clock.monotonic() == 100.0
    assert clock.slept == [90.5]


def test_the_system_clock_is_aware() -> None:
    """The machine's clock returns UTC, and its monotonic time does not fall."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()
    clock.sleep(0)
