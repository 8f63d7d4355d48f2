"""The decisions of sensors and schedules: plain values in, a decision out.

Belongs here: whether to probe, whether to refresh, and which objects are left out. Does not belong here: the
sensors and schedules themselves.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from crm_pipeline.connectors.upkeep import Pace, span
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.orchestration.activity import Activity
from crm_pipeline.stages.raw import Probe
from crm_pipeline.store.landing.looks import ConnectionLooks

# A tick may come a little early; the next one would be a whole interval later.
_EARLY_S = 5.0
_SHOWN = 200  # characters of an error's text in a list of errors


@dataclass(frozen=True)
class Launch:
    """The decision to refresh.

    Attributes:
        reason: for the log.
        run_key: prevents a second run for the same changes.
        objects: to read.
    """

    reason: str
    run_key: str
    objects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skip:
    """The decision to do nothing, and why."""

    reason: str


Decision = Launch | Skip


def before_probe(activity: Activity, now: datetime) -> Skip | None:
    """Decide from the runs alone whether to skip the probe."""
    if activity.under_way:
        return Skip(f"{activity.under_way}; nothing was asked.")
    pause_s = activity.pause_s(now)
    if pause_s > 0:
        return Skip(
            f"the last {activity.failures} runs failed; asking again in {pause_s:.0f} s. See the runs."
        )
    return None


def not_yet(pace: Pace, looks: ConnectionLooks, now: datetime) -> Skip | None:
    """Decide whether a probe is too early, where probes are stretched."""
    every_s = pace.stretched_probe_every_s
    if every_s is None or looks.probed_at is None:
        return None
    left_s = every_s - (now - looks.probed_at).total_seconds()
    if left_s <= _EARLY_S:
        return None
    return Skip(f"asked again in {span(left_s)}: {pace}.")


def not_due(
    pace: Pace | None, looks: ConnectionLooks, objects: Collection[str], now: datetime
) -> Skip | None:
    """Decide whether a refresh of some objects is too early, where refreshes are stretched."""
    every_s = pace.stretched_refresh_every_s if pace else looks.refresh_every_s
    tried = [looks.of(name).tried_at for name in objects]
    if every_s is None or None in tried:
        return None
    wanted_s = pace.wanted_refresh_every_s if pace else 0.0
    # The schedule has fixed times: the nearest one is taken.
    oldest = min(at for at in tried if at is not None)
    left_s = every_s - wanted_s / 2 - (now - oldest).total_seconds()
    if left_s <= 0:
        return None
    why = str(pace) if pace else f"stretched to {span(every_s)}"
    return Skip(f"due again in {span(left_s)}: {why}.")


def decide(
    seen: Probe,
    activity: Activity,
    objects: Sequence[str] = (),
    *,
    waiting: Collection[str] = (),
    retries: Collection[str] = (),
) -> Decision:
    """Decide from the result of a probe.

    Args:
        seen: the result.
        activity: the runs.
        objects: all objects of the connection.
        waiting: objects that fail and are not due for another try.
        retries: objects whose last read failed and that are due for another try.
    """
    failed = {entry.object for entry in seen.failed}
    again = [name for name in retries if name not in failed]
    skipped = {entry.object for entry in seen.skipped}
    left_out = {*waiting, *failed, *skipped}
    unread = [name for name in seen.unread if name not in again]
    readable = tuple(name for name in objects if name not in left_out)
    news = [f"never read to the present: {', '.join(unread)}"] if unread else []
    news += [str(entry) for entry in seen.news]
    tried = [f"tried again: {', '.join(again)}"] if again else []
    if news:
        return Launch("; ".join([*news, *tried]), _run_key(seen, activity, again), readable)
    if again:
        return Launch(tried[0], _run_key(seen, activity, again), tuple(again))
    words = _skipped_words(seen)
    if seen.failed and not seen.asked:
        return Skip(f"nothing could be asked about.{words}")
    if seen.skipped and not seen.asked:
        return Skip(f"nothing was asked.{words}")
    return Skip(f"asked about {len(seen.asked)} objects; all that changed has landed.{words}")


def _skipped_words(seen: Probe) -> str:
    """Say which objects were not asked about, and why; the reasons are alike, so one is shown."""
    if not seen.skipped:
        return ""
    names = ", ".join(entry.object for entry in seen.skipped)
    return f" Skipped: {names} ({seen.skipped[0].reason[:_SHOWN]})"


def left_out(looks: ConnectionLooks, objects: Sequence[str], now: datetime) -> str:
    """Say which objects are failing, why, and when they are tried again; "" where none is."""
    phrases = []
    for name in objects:
        look = looks.of(name)
        if look.error and look.failing_since and look.next_try_at:
            again_s = max(0.0, (look.next_try_at - now).total_seconds())
            again = f"again in {span(again_s)}" if again_s else "due again"
            since = format_instant(look.failing_since.replace(microsecond=0))
            phrases.append(f"{name} (failing since {since}, {again}: {look.error[:_SHOWN]})")
    return f"Cannot be had: {'; '.join(phrases)}" if phrases else ""


def _run_key(seen: Probe, activity: Activity, again: Sequence[str]) -> str:
    news = [
        (
            news.object,
            format_instant(news.since),
            news.changed,
            news.landed,
            format_instant(news.newest) if news.newest else None,
        )
        for news in seen.news
    ]
    # The last run is part of the key: changes that a failed run did not land are launched again.
    return fingerprint([news, list(seen.unread), list(again), activity.last_run_id])
