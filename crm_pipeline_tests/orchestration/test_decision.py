from dataclasses import replace
from datetime import timedelta

import pytest

from crm_pipeline.connectors.upkeep import DayLimit, Pace
from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.orchestration.activity import Activity
from crm_pipeline.orchestration.decision import (
    Launch,
    Skip,
    before_probe,
    decide,
    left_out,
    not_due,
    not_yet,
)
from crm_pipeline.stages.raw import Failed, News, Probe
from crm_pipeline.store.landing.looks import ConnectionLooks, Look

NOW = parse_instant("2026-11-23T10:00:00Z")
NEWS = News("Contact", NOW - timedelta(minutes=10), 3, 1, NOW)
QUIET = Probe((), ("Contact", "Account"), ())


def test_a_run_under_way_is_waited_for() -> None:
    """While a run of the connection is queued or running, the vendor is not probed."""
    skip = before_probe(Activity(under_way="acme_refresh is started"), NOW)
    assert skip == Skip("acme_refresh is started; nothing was asked.")


@pytest.mark.parametrize(
    ("failures", "ended_s_ago", "asks"),
    [(0, 1, True), (1, 30, False), (1, 61, True), (3, 200, False), (3, 241, True), (9, 3601, True)],
)
def test_a_failing_connection_is_asked_less_often(
    failures: int, ended_s_ago: int, asks: bool
) -> None:
    """A minute after the first failure, doubling up to an hour."""
    ended_at = NOW - timedelta(seconds=ended_s_ago)
    skip = before_probe(Activity(failures=failures, ended_at=ended_at), NOW)
    assert (skip is None) is asks


def test_nothing_new_is_a_skip_with_the_number_of_objects() -> None:
    """The reason of a skip says how many objects were probed."""
    assert decide(QUIET, Activity()) == Skip("asked about 2 objects; all that changed has landed.")


def test_news_launch_a_refresh() -> None:
    """The reason names the object and the numbers."""
    decision = decide(Probe((NEWS,), ("Contact",), ()), Activity())
    assert isinstance(decision, Launch)
    assert "Contact: 3 changed" in decision.reason


def test_the_same_news_are_launched_once() -> None:
    """The run key is the same for the same news, and another one after the next run has ended."""
    probe = Probe((NEWS,), ("Contact",), ())
    keys = [decide(probe, Activity(last_run_id=run)) for run in ("a", "a", "b")]
    assert keys[0] == keys[1] != keys[2]


def test_an_unread_object_is_read() -> None:
    """An object without a watermark launches a refresh, which reads it from the beginning."""
    decision = decide(Probe((), (), ("Lead",)), Activity())
    assert isinstance(decision, Launch)
    assert "Lead" in decision.reason


OBJECTS = ("Account", "Contact", "Lead", "User")
HIDDEN = Failed("Lead", "hidden")


def test_a_failed_probe_leaves_its_object_out() -> None:
    """News of some objects launch a refresh of all readable ones, without those that fail or wait."""
    probe = Probe((NEWS,), ("Contact",), (), (HIDDEN,))
    decision = decide(probe, Activity(), OBJECTS, waiting=["Account"])
    assert isinstance(decision, Launch)
    assert decision.objects == ("Contact", "User")


@pytest.mark.parametrize("news", [(), (NEWS,)])
def test_a_failed_read_is_due_again(news: tuple[News, ...]) -> None:
    """A retry is read with the news of others, or alone; not if its probe fails."""
    probe = Probe(news, ("Contact",), ("Lead",) if not news else ())
    decision = decide(probe, Activity(), OBJECTS, retries=["Lead", "User"])
    assert isinstance(decision, Launch)
    assert decision.objects == (OBJECTS if news else ("Lead", "User"))
    assert "tried again: Lead, User" in decision.reason
    hidden = decide(Probe(news, ("Contact",), (), (HIDDEN,)), Activity(), OBJECTS, retries=["Lead"])
    assert (hidden.objects if isinstance(hidden, Launch) else ()) == (
        ("Account", "Contact", "User") if news else ()
    )


def paced(limit: int) -> Pace:
    """A round of 10 calls every minute and a refresh of 50 every quarter: 19,200 a day as configured."""
    return Pace(
        "calls",
        10,
        50,
        600,
        9_000,
        60,
        900,
        frozenset(),
        DayLimit(limit, is_stated=True),
        limit // 10,
    )


@pytest.mark.parametrize(("ago_s", "asks"), [(594, False), (595, True), (None, True)])
def test_a_stretched_probe_is_waited_for(ago_s: int | None, asks: bool) -> None:
    """The reason says when, and why."""
    looks = ConnectionLooks(probed_at=NOW - timedelta(seconds=ago_s) if ago_s else None)
    skip = not_yet(paced(19_200), looks, NOW)
    assert (skip is None) is asks
    if skip is not None:
        assert "asked again in 6 s: about 1,920 calls a day" in skip.reason
    assert not_yet(replace(paced(19_200), probe_every_s=60), looks, NOW) is None


@pytest.mark.parametrize(("ago_s", "is_due"), [(8_549, False), (8_551, True)])
def test_a_stretched_refresh_comes_with_the_nearest_tick(ago_s: int, is_due: bool) -> None:
    """The time counts from the object that was tried longest ago; an object that never was is due."""
    tried = {"Contact": NOW, "Lead": NOW - timedelta(seconds=ago_s)}
    looks = ConnectionLooks({name: Look(tried_at=at) for name, at in tried.items()})
    assert (not_due(paced(19_200), looks, list(tried), NOW) is None) is is_due
    assert not_due(paced(19_200), looks, [*tried, "User"], NOW) is None
    # Where the account cannot be opened, what was stretched last is kept to.
    recorded = replace(looks, refresh_every_s=9_000.0)
    assert (not_due(None, recorded, list(tried), NOW) is None) is False


def test_what_fails_is_named_with_its_next_try() -> None:
    """Since when, why, and when it is tried again; nothing where nothing fails."""
    lead = Look(error="hidden", failing_since=NOW, failed_at=NOW, during="probe")
    looks = ConnectionLooks({"Lead": lead, "Contact": Look(looked_at=NOW)})
    assert left_out(looks, OBJECTS, NOW + timedelta(seconds=20)) == (
        "Cannot be had: Lead (failing since 2026-11-23T10:00:00Z, again in 40 s: hidden)"
    )
    assert left_out(ConnectionLooks(), OBJECTS, NOW) == ""
