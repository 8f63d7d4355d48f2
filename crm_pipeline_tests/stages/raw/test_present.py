"""The present at the vendor, from three sources of which any may be wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import NotPermitted
from crm_pipeline.stages.raw import present
from crm_pipeline.stages.raw.present import choose, present_of
from crm_pipeline.store.landing import Landing

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SECOND, MINUTES = timedelta(seconds=1), timedelta(minutes=10)
WRONG = st.timedeltas(timedelta(days=-4_000), timedelta(days=4_000))
LATE = st.timedeltas(timedelta(days=-400), timedelta(0))


def chosen(own: timedelta, vendor: timedelta, newest: timedelta | None) -> timedelta:
    """Return the end that is chosen, as its distance from the vendor's true present."""
    stamp = None if newest is None else NOW + newest
    return choose(NOW + own, NOW + vendor, MINUTES, lambda: stamp).at - NOW


@given(wrong=WRONG, which=st.integers(0, 2), newest=LATE)
def test_one_wrong_witness_loses_nothing(wrong: timedelta, which: int, newest: timedelta) -> None:
    """Whichever of the three is wrong, and however much: no window ends behind the vendor's present, nor before
    the newest record that it had then."""
    witnesses: list[timedelta] = [timedelta(0), timedelta(0), newest]
    witnesses[which] = wrong
    end = chosen(*witnesses)
    assert end <= SECOND
    # A wrong stamp leaves two clocks that are right.
    assert end >= (timedelta(0) if which == 2 else newest - timedelta(seconds=5))


@given(own=WRONG, vendor=WRONG, newest=st.none() | WRONG)
def test_the_end_is_one_that_somebody_says(
    own: timedelta, vendor: timedelta, newest: timedelta | None
) -> None:
    """It is never later than the later clock, and later than the earlier one only up to a record's stamp."""
    end = chosen(own, vendor, newest)
    earlier, later = sorted((own, vendor))
    assert earlier - SECOND <= end <= later
    if end > earlier:
        assert newest is not None
        assert end <= newest + SECOND


@pytest.mark.parametrize(
    ("own", "vendor", "newest", "end", "cure"),
    [
        (0, 0, None, 0, None),
        (0, 300, None, 0, None),
        (300, 0, None, 0, None),
        (0, -300, -60, -59, None),
        (-300, 0, -60, -59, None),
        (0, 5, 3, 0, None),
        (0, 3600, -60, 0, "report the dates"),
        (0, 3600, None, 0, "report the dates"),
        (0, -3600, -60, -59, "a proxy or a cache"),
        (0, -3600, -7200, -3600, "report the dates"),
        (-86_400, 0, -60, -59, "set right|clock right"),
        (-86_400, 0, -90_000, -86_400, "report the dates"),
        # A record from the far future proves nothing.
        (0, 3600, 10**8, 0, "report the dates"),
        (0, 3600, 5, 6, "Set this machine's clock right"),
    ],
)
def test_which_end_and_what_to_do(
    own: int, vendor: int, newest: int | None, end: int, cure: str | None
) -> None:
    """The earlier clock counts, or the newest record if the clocks differ too much, with a warning."""
    asked = []

    def stamp() -> datetime | None:
        asked.append(1)
        return None if newest is None else NOW + newest * SECOND

    found = choose(NOW + own * SECOND, NOW + vendor * SECOND, MINUTES, stamp)
    assert found.at == NOW + end * SECOND
    assert (found.is_doubtful, bool(asked)) == (cure is not None, abs(own - vendor) > 5)
    if cure is not None:
        assert any(words in found.cure for words in cure.split("|"))
        assert "windows end at 2026-11-2" in str(found)


def test_a_connection_is_warned_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Differing clocks are logged once per connection, not once per object."""

    def describe(obj: str) -> None:
        raise NotPermitted(f"{obj} is hidden.")

    def account(name: str) -> Any:
        connection = SimpleNamespace(name=name, lookback_s=600)
        later = NOW + timedelta(hours=2)
        return cast(
            "Any",
            SimpleNamespace(connection=connection, vendor_now=lambda: later, describe=describe),
        )

    monkeypatch.setattr(present, "_warned", set())
    landing = Landing(tmp_path, FrozenClock("2026-11-23T10:00Z"))
    with structlog.testing.capture_logs() as logs:
        found = [
            present_of(account(name), obj, landing) for name in ("a", "b") for obj in ("X", "Y")
        ]
    assert all(one.is_doubtful for one in found)
    warnings = [log for log in logs if log["log_level"] == "warning"]
    assert [log["connection"] for log in warnings] == ["a", "b"]
    assert all("NTP" in log["cure"] and "report" in log["cure"] for log in warnings)
