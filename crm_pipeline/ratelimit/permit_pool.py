"""One process's lease of permits for one member of a group, shared by the process's threads.

A pool counts the permits that it took from the limiter (`out`) as unused, under way, or replied and not yet
reported, under each of its limits. It does no I/O: `limiter.py` takes its deltas to the database, where
`decision.py` decides.
"""

import operator
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.ratelimit.decision import Amounts, Reading, Report, Wants, pack_most
from crm_pipeline.ratelimit.limits import Limit

# Permits for about so long are taken in advance; a contact costs a few milliseconds.
_AHEAD_S = 0.05
_UNUSED_S = 0.25  # then permits taken in advance go back to the others
_MERGED_S = 0.002


@dataclass(frozen=True)
class _Counter:
    used: int
    allowed: int
    at: float


@dataclass(frozen=True)
class Delta:
    """What a pool reports to the limiter in one contact.

    Attributes:
        out: costs that it holds according to the limiter.
        replied: `(moment of this process's clock, costs as they turned out, costs that were held)` of calls
            that ended.
        unused: costs that it gives back.
        counters: the vendor's own counters, by index of the limit.
    """

    out: Amounts
    replied: tuple[tuple[float, Amounts, Amounts], ...]
    unused: Amounts
    counters: tuple[tuple[int, _Counter], ...] = ()

    @property
    def kept(self) -> Amounts:
        """Costs that it still holds."""
        left = _less(self.out, self.unused)
        for _, _, held in self.replied:
            left = _less(left, held)
        return left

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to report."""
        return not any(self.out) and not self.counters

    def report(self, lease: str, member: str, reported_at: float) -> Report:
        """Return the report, with times as seconds ago."""
        return Report(
            lease,
            member,
            tuple((reported_at - moment, costs) for moment, costs, _ in self.replied),
            self.kept,
            tuple(
                Reading(index, counter.used, counter.allowed, reported_at - counter.at)
                for index, counter in self.counters
            ),
        )


class PermitPool:
    """The permits of one process for one member, under one set of limits of a group."""

    def __init__(self, group: str, limits: Sequence[Limit], member: str = "") -> None:
        self.group = group
        self.member = member or group
        self.limits = tuple(sorted(limits, key=lambda limit: limit.name))
        self.lease = sortable_id()
        # One contact at a time, so that `out` is what the limiter has.
        self.contact = threading.Lock()
        lock = threading.RLock()
        self.changed = threading.Condition(lock)
        self._ended = threading.Condition(lock)
        self._contacted_at = 0.0
        self.is_contacting = False
        self._most = tuple(pack_most([limit]) for limit in self.limits)
        self._nothing: Amounts = (0,) * len(self.limits)
        self._out = self._free = self._wanted = self._taken = self._nothing
        self._free_until = 0.0
        self._taken_since = 0.0
        self._replied: deque[tuple[float, Amounts, Amounts]] = deque()
        self._counters: dict[int, _Counter] = {}

    def take(self, costs: Amounts, now: float) -> bool:
        """Use permits of this pool, if there are enough; the caller holds `changed`."""
        left = _less(self._free, costs)
        if min(left) < 0 or now > self._free_until:
            return False
        self._free = left
        self._taken = _plus(self._taken, costs)
        return True

    def want(self, costs: Amounts) -> None:
        """Note that a thread waits for so much; the caller holds `changed`."""
        self._wanted = _plus(self._wanted, costs)

    def want_no_more(self, costs: Amounts) -> None:
        """Note that a thread no longer waits; the caller holds `changed`."""
        self._wanted = _less(self._wanted, costs)

    def reply(self, held: Amounts, now: float, costs: Amounts | None = None) -> bool:
        """Enter the end of a call; say whether it is the first that is not reported.

        Args:
            held: the permits that it held.
            now: the moment, of this process's clock.
            costs: what it cost; by default what it held. The rest goes back, and more is counted as well.
        """
        costs = held if costs is None else costs
        with self.changed:
            is_first = not self._replied
            if not is_first and now - self._replied[-1][0] < _MERGED_S:
                # The later moment stands for both: a permit may be held too long, never too short.
                _, costs_before, held_before = self._replied.pop()
                costs, held = _plus(costs, costs_before), _plus(held, held_before)
            self._replied.append((now, costs, held))
            self._ended.notify()
            return is_first

    def wait_for_reply(self, timeout_s: float) -> None:
        """Wait until a call has ended that is not reported, or until the time is over."""
        with self.changed:
            self._ended.wait_for(lambda: self._replied, timeout_s)

    def observe(self, index: int, used: int, allowed: int, now: float) -> None:
        """Keep the vendor's own counter of a limit for the next contact."""
        with self.changed:
            before = self._counters.get(index)
            # Responses of parallel calls arrive out of order; between two contacts the highest counts.
            highest = max(used, before.used) if before and before.allowed == allowed else used
            self._counters[index] = _Counter(highest, allowed, now)

    def wants(self, need: Amounts, now: float, *, is_patient: bool = True) -> Wants:
        """Return what to request: what threads wait for, and some in advance at the recent pace."""
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
        return Wants(need, tuple(wish), waiting, is_patient)

    def delta(self, now: float) -> Delta:
        """Return what to report to the limiter; `done` or `failed` must follow. The caller holds `contact`."""
        with self.changed:
            unused = self._free if now > self._free_until else self._nothing
            self._free = _less(self._free, unused)
            delta = Delta(self._out, tuple(self._replied), unused, tuple(self._counters.items()))
            self._replied.clear()
            self._counters.clear()
            return delta

    def done(self, delta: Delta, granted: Amounts, now: float) -> None:
        """Take over what the limiter has entered."""
        with self.changed:
            self._out = _plus(delta.kept, granted)
            self._free = _plus(self._free, granted)
            if any(granted):
                self._free_until = now + _UNUSED_S
            self._contacted_at = now

    def failed(self, delta: Delta) -> None:
        """Keep a delta that could not be reported for the next time.

        If it was entered nevertheless, calls count twice: too many, never too few.
        """
        with self.changed:
            self._free = _plus(self._free, delta.unused)
            self._replied.extendleft(reversed(delta.replied))
            self._counters = {**dict(delta.counters), **self._counters}

    def has_report(self, now: float) -> bool:
        """Say whether something has to be reported now."""
        return bool(self._replied or self._counters) or (any(self._free) and now > self._free_until)

    def is_due(self, now: float, renewed_after_s: float) -> bool:
        """Say whether its lease has to be renewed."""
        return any(self._out) and now - self._contacted_at > renewed_after_s

    def is_idle(self) -> bool:
        """Say whether the limiter holds nothing for this pool."""
        return not any(self._out)


def _plus(left: Amounts, right: Amounts) -> Amounts:
    return tuple(map(operator.add, left, right))


def _less(left: Amounts, right: Amounts) -> Amounts:
    return tuple(map(operator.sub, left, right))
