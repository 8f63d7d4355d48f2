from datetime import timedelta

import pytest

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.orchestration.activity import Activity
from crm_pipeline.orchestration.sensors import Launch, Skip, before_asking, decide
from crm_pipeline.stages.raw import News, Probe

NOW = parse_instant("2026-11-23T10:00:00Z")
NEWS = News("Contact", NOW - timedelta(minutes=10), 3, 1, NOW)
QUIET = Probe((), ("Contact", "Account"), ())


def test_a_run_under_way_is_waited_for() -> None:
    """While a run of the connection is queued or running, the vendor is not even asked."""
    skip = before_asking(Activity(under_way="acme_refresh is started"), NOW)
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
    skip = before_asking(Activity(failures=failures, ended_at=ended_at), NOW)
    assert (skip is None) is asks


def test_nothing_new_is_said_with_what_was_asked() -> None:
    """A skip tells how many objects were asked about."""
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


def test_what_was_never_read_is_read() -> None:
    """An object without a watermark launches a refresh, which reads it from the beginning."""
    decision = decide(Probe((), (), ("Lead",)), Activity())
    assert isinstance(decision, Launch)
    assert "Lead" in decision.reason
