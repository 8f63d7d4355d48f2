"""One process's lease of permits for one member of a group, shared by its threads.

A pool counts what it took from the limiter (`out`) as unused, under way, or replied and not yet told,
under each of its limits. It talks to nobody: `limiter.py` carries its deltas to the database, where
`decision.py` decides.
"""

import operator
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.ratelimit.decision import Amounts, News, Reading, Wants, pack_most
from crm_pipeline.ratelimit.limits import Limit

_AHEAD_S = 0.05  # a pack lasts about as long; taking one costs a few milliseconds
_UNUSED_S = 0.25  # then what was taken in advance goes back to the others
_MERGED_S = 0.002


@dataclass(frozen=True)
class _Note:
    used: int
    ceiling: int
    at: float


@dataclass(frozen=True)
class Delta:
    """What a pool tells the limiter in one contact.

    Attributes:
        out: costs it holds according to the limiter.
        replied: moment (this process's clock) and costs of calls that ended.
        unused: costs that it gives back.
        notes: the vendor's own counters, by place of the limit.
    """

    out: Amounts
    replied: tuple[tuple[float, Amounts], ...]
    unused: Amounts
    notes: tuple[tuple[int, _Note], ...] = ()

    @property
    def kept(self) -> Amounts:
        """Weights that it goes on holding."""
        left = _less(self.out, self.unused)
        for _, costs in self.replied:
            left = _less(left, costs)
        return left

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to tell."""
        return not any(self.out) and not self.notes

    def news(self, lease: str, member: str, told_at: float) -> News:
        """Return what is told, with times as seconds ago."""
        return News(
            lease,
            member,
            tuple((told_at - moment, costs) for moment, costs in self.replied),
            self.kept,
            tuple(
                Reading(place, note.used, note.ceiling, told_at - note.at)
                for place, note in self.notes
            ),
        )


class PermitPool:
    """The permits of one process for one member, under one set of limits of a group."""

    def __init__(self, group: str, limits: Sequence[Limit], member: str = "") -> None:
        self.group = group
        self.member = member or group
        self.limits = tuple(sorted(limits, key=lambda limit: limit.name))
        self.lease = sortable_id()
        self.contact = (
            threading.Lock()
        )  # one contact at a time, so that `out` is what the limiter has
        lock = threading.RLock()
        self.changed = threading.Condition(lock)
        self._ended = threading.Condition(lock)
        self._contacted_at = 0.0
        self.asking = False
        self._most = tuple(pack_most([limit]) for limit in self.limits)
        self._nothing: Amounts = (0,) * len(self.limits)
        self._out = self._free = self._wanted = self._taken = self._nothing
        self._free_until = 0.0
        self._taken_since = 0.0
        self._replied: deque[tuple[float, Amounts]] = deque()
        self._notes: dict[int, _Note] = {}

    def take(self, costs: Amounts, now: float) -> bool:
        """Use permits that are here; the caller holds `changed`."""
        left = _less(self._free, costs)
        if min(left) < 0 or now > self._free_until:
            return False
        self._free = left
        self._taken = _plus(self._taken, costs)
        return True

    def want(self, costs: Amounts) -> None:
        """Say that a thread waits for so much; holding `changed`."""
        self._wanted = _plus(self._wanted, costs)

    def want_no_more(self, costs: Amounts) -> None:
        """Say that a thread waits no more; holding `changed`."""
        self._wanted = _less(self._wanted, costs)

    def reply(self, costs: Amounts, now: float) -> bool:
        """Enter the end of a call; say whether the limiter has to be told, and was not going to be."""
        with self.changed:
            first = not self._replied
            if not first and now - self._replied[-1][0] < _MERGED_S:
                # The later moment stands for both: a permit may be held too long, never too short.
                costs = _plus(costs, self._replied.pop()[1])
            self._replied.append((now, costs))
            self._ended.notify()
            return first

    def wait_for_reply(self, timeout_s: float) -> None:
        """Wait until a call has ended that the limiter does not know of, or as long as is said."""
        with self.changed:
            self._ended.wait_for(lambda: self._replied, timeout_s)

    def note(self, place: int, used: int, ceiling: int, now: float) -> None:
        """Keep the vendor's own counter of a limit for the next contact."""
        with self.changed:
            before = self._notes.get(place)
            # Replies of parallel calls arrive out of order; between two contacts the highest counts.
            highest = max(used, before.used) if before and before.ceiling == ceiling else used
            self._notes[place] = _Note(highest, ceiling, now)

    def wants(self, need: Amounts, now: float) -> Wants:
        """Return what to ask for: what waits here, and a pack after the pace of late."""
        with self.changed:
            passed = max(now - self._taken_since, 0.001)
            waiting = tuple(map(max, need, self._wanted))
            target = tuple(
                max(waits, (1 + int(taken / passed * _AHEAD_S)) * bool(waits or taken))
                for waits, taken in zip(waiting, self._taken, strict=True)
            )
            self._taken, self._taken_since = self._nothing, now
        most, of = 1, 1
        for wanted, bound in zip(target, self._most, strict=True):
            if bound * of < wanted * most:
                most, of = bound, wanted
        wish = (max(n, wanted * most // of) for n, wanted in zip(need, target, strict=True))
        return Wants(need, tuple(wish), waiting)

    def delta(self, now: float) -> Delta:
        """Hand over what to tell the limiter; `done` or `failed` must follow. Holding `contact`."""
        with self.changed:
            unused = self._free if now > self._free_until else self._nothing
            self._free = _less(self._free, unused)
            delta = Delta(self._out, tuple(self._replied), unused, tuple(self._notes.items()))
            self._replied.clear()
            self._notes.clear()
            return delta

    def done(self, delta: Delta, granted: Amounts, now: float) -> None:
        """Take over what the limiter entered."""
        with self.changed:
            self._out = _plus(delta.kept, granted)
            self._free = _plus(self._free, granted)
            if any(granted):
                self._free_until = now + _UNUSED_S
            self._contacted_at = now

    def failed(self, delta: Delta) -> None:
        """Keep what could not be told for the next time.

        Had it been entered all the same, calls would count twice: too careful, never too little.
        """
        with self.changed:
            self._free = _plus(self._free, delta.unused)
            self._replied.extendleft(reversed(delta.replied))
            self._notes = {**dict(delta.notes), **self._notes}

    def has_news(self, now: float) -> bool:
        """Say whether the limiter should be told something now."""
        return bool(self._replied or self._notes) or (any(self._free) and now > self._free_until)

    def is_due(self, now: float, renewed_after_s: float) -> bool:
        """Say whether its lease has to be renewed."""
        return any(self._out) and now - self._contacted_at > renewed_after_s

    def is_idle(self) -> bool:
        """Say whether the limiter holds nothing for this desk."""
        return not any(self._out)


def _plus(one: Amounts, other: Amounts) -> Amounts:
    return tuple(map(operator.add, one, other))


def _less(one: Amounts, other: Amounts) -> Amounts:
    return tuple(map(operator.sub, one, other))
