"""Rows of the limiter that somebody else wrote: they neither stop nor block anybody."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import AsIs

from crm_pipeline.ratelimit.decision import Wants, decide
from crm_pipeline.ratelimit.ledger import Ledger
from crm_pipeline.ratelimit.ledger_state import sound_ledger, sound_limit
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.ratelimit.limits import Limit
from crm_pipeline.store.postgres.database import Database

NOW_MS = 1_795_000_000_000
PARTS = ("spent", "leases", "total", "vendor", "claims", "seen")
LIMITS = (
    Limit("day", 900, 86_400.0, "daily"),
    Limit("day", 900, 86_400.0, "daily", resets="Europe/Berlin"),
    Limit("burst", 40, 2.0),
    Limit("places", 8, 1.0, "concurrency"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
HUGE = 10**300
WHOLE: dict[str, Any] = {
    "spent": {"acme": [[NOW_MS - 1000, 5]]},
    "leases": {"one": [3, NOW_MS + 30_000, "acme"]},
    "total": 40,
    "vendor": [12, 1000, NOW_MS - 1000, 40, 4],
    "claims": {"one": ["acme", NOW_MS, 0, 0, 0, 1.5, 20.0]},
    "seen": {"acme": NOW_MS},
}


def test_what_was_written_is_read() -> None:
    """An account comes back as it was."""
    ledger, lost = sound_ledger(WHOLE)
    assert lost == []
    assert sound_ledger(json.loads(json.dumps(ledger.written()))) == (ledger, [])
    assert (ledger.own, ledger.leased, ledger.total) == (5, 3, 40)
    assert ledger.vendor is not None
    assert (ledger.vendor.used, ledger.vendor.foreign) == (12, 4)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("spent", {"acme": [[NOW_MS, HUGE]]}),
        ("spent", {"acme": [[NOW_MS, -5]]}),
        ("spent", {"acme": [[HUGE, 5]]}),
        ("spent", "all"),
        ("leases", {"one": [-3, NOW_MS]}),
        ("leases", {"one": None}),
        ("total", -1),
        ("total", 1.5),
        ("vendor", [HUGE, 1000, NOW_MS, 40]),
        ("vendor", [5, 0, NOW_MS, 40]),
        ("vendor", [5, 1000, NOW_MS, 41]),
        ("vendor", [5]),
        ("claims", [1]),
        ("seen", {"acme": "yesterday"}),
    ],
)
def test_one_part_is_left_out(part: str, value: object) -> None:
    """A part that cannot be true is left out and named; the other parts stay."""
    ledger, lost = sound_ledger({**WHOLE, part: value})
    assert lost == ([part, "vendor"] if part == "total" else [part])
    full = sound_ledger(WHOLE)[0]
    kept = set(PARTS) - {*lost}
    assert {name: ledger.written()[name] for name in kept} == {
        name: full.written()[name] for name in kept
    }


@given(st.dictionaries(st.sampled_from(PARTS), JSON) | JSON)
def test_nothing_stops_a_decision(state: object) -> None:
    """Whatever stands in a row, each kind of limit settles and decides."""
    for limit in LIMITS:
        ledger, _ = sound_ledger(state)
        ledger.settle(limit, NOW_MS)
        decide([(limit, ledger)], Wants((1,), (5,), (1,)), NOW_MS, "acme")
        assert sound_ledger(json.loads(json.dumps(ledger.written())))[1] == []


@pytest.mark.parametrize(
    ("shape", "lost"),
    [
        (("daily", 9, 86_400.0, "Europe/Berlin"), []),
        (("yearly", 9, 86_400.0, ""), ["kind"]),
        (("daily", 0, 86_400.0, ""), ["calls"]),
        (("rolling", 9, float("nan"), ""), ["period_s"]),
        (("rolling", 9, -1.0, ""), ["period_s"]),
        (("rolling", 9, 1e300, ""), ["period_s"]),
        (("daily", 9, 86_400.0, "Mars/Olympus"), ["resets"]),
        (("rolling", 9, 2.0, "UTC"), ["resets"]),
    ],
)
def test_shapes(shape: tuple[str, int, float, str], lost: list[str]) -> None:
    """A limit of no known kind, size, length or zone gets one that can be counted."""
    kind, calls, period_s, resets = shape
    mended, found = sound_limit(
        "x", kind, calls=calls, period_s=period_s, resets=resets, unit="calls"
    )
    assert found == lost
    Ledger().settle(mended, NOW_MS)


def test_a_spoilt_row_is_no_obstacle(
    database: Database, limiter: RateLimiter, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows with nonsense in every column cause one warning, stop no figures or calls, and are then written right."""
    state = {"vendor": [HUGE, HUGE, HUGE, 0], "spent": {"acme": [[HUGE, HUGE]]}, "total": "many"}
    with database.transaction() as cursor:
        for name, text in (("day", json.dumps(state)), ("burst", "[]"), ("gone", "5")):
            cursor.execute(
                "INSERT INTO crm_state.gate (group_name, limit_name, kind, calls, period_s, resets, state)"
                " VALUES ('spoilt', %s, 'never', -5, %s, 'Nowhere', %s)",
                (name, AsIs("'NaN'"), text),
            )
    assert [one.used for one in limiter.usage("spoilt")] == [0, 0, 0]
    limits = [Limit("day", 9, 86_400.0, "daily"), Limit("burst", 40, 0.4)]
    with limiter.permit("spoilt", limits):
        pass
    limiter.flush()
    found = {one.name: (one.kind, one.used, one.ceiling) for one in limiter.usage("spoilt")}
    assert found["day"] == ("daily", 1, 9)
    assert limiter.remaining("spoilt", limits) == 8
    assert capsys.readouterr().out.count("limit=day") == 1
