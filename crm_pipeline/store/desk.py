"""One process's lease of permits, shared by its threads.

A desk counts what it took from the gate (`out`) as unused, under way, or replied and not yet told.
It talks to nobody: `gate.py` carries its deltas to the database, where `budget.py` decides.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from crm_pipeline.kernel.identity import sortable_id
from crm_pipeline.store.budget import LimitShape, pack_most

_AHEAD_S = 0.05  # a pack lasts about as long; taking one costs a few milliseconds
_UNUSED_S = 0.25  # then what was taken in advance goes back to the others
_MERGED_S = 0.002


@dataclass(frozen=True)
class Delta:
    """What a desk tells the gate in one contact.

    Attributes:
        out: weight it holds according to the gate.
        replied: moment (this process's clock) and weight of calls that ended.
        unused: weight that it gives back.
    """

    out: int
    replied: tuple[tuple[float, int], ...]
    unused: int

    @property
    def kept(self) -> int:
        """Weight that it goes on holding."""
        return self.out - self.unused - sum(weight for _, weight in self.replied)


class Desk:
    """The permits of one process under one set of limits of a group."""

    def __init__(self, group: str, limits: Sequence[LimitShape]) -> None:
        self.group = group
        self.limits = tuple(sorted(limits, key=lambda limit: limit.name))
        self.lease = sortable_id()
        self.contact = threading.Lock()  # one contact at a time, so that `out` is what the gate has
        self.changed = threading.Condition()
        self._contacted_at = 0.0
        self.asking = False
        self._most = pack_most(self.limits)
        self._out = 0
        self._free = 0
        self._free_until = 0.0
        self._under_way = 0
        self._wanted = 0
        self._taken = 0
        self._taken_since = 0.0
        self._replied: deque[tuple[float, int]] = deque()

    def take(self, weight: int, now: float) -> bool:
        """Use permits that are here; the caller holds `changed`."""
        if self._free < weight or now > self._free_until:
            return False
        self._free -= weight
        self._under_way += weight
        self._taken += weight
        return True

    def want(self, weight: int) -> None:
        """Say that a thread waits for so much, or, negative, does no more; holding `changed`."""
        self._wanted += weight

    def reply(self, weight: int, now: float) -> bool:
        """Enter the end of a call; say whether the gate has to be told, and was not going to be."""
        with self.changed:
            self._under_way -= weight
            first = not self._replied
            if not first and now - self._replied[-1][0] < _MERGED_S:
                # The later moment stands for both: a permit may be held too long, never too short.
                weight += self._replied.pop()[1]
            self._replied.append((now, weight))
            return first

    def wish(self, need: int, now: float) -> int:
        """Return what to ask for: what waits here, and a pack after the pace of late."""
        with self.changed:
            pace = self._taken / max(now - self._taken_since, 0.001)
            self._taken, self._taken_since = 0, now
            return max(need, min(max(self._wanted, 1 + int(pace * _AHEAD_S)), self._most))

    def delta(self, now: float) -> Delta:
        """Hand over what to tell the gate; `done` or `failed` must follow. Holding `contact`."""
        with self.changed:
            unused = self._free if now > self._free_until else 0
            self._free -= unused
            delta = Delta(self._out, tuple(self._replied), unused)
            self._replied.clear()
            return delta

    def done(self, delta: Delta, granted: int, now: float) -> None:
        """Take over what the gate entered."""
        with self.changed:
            self._out = delta.kept + granted
            self._free += granted
            if granted:
                self._free_until = now + _UNUSED_S
            self._contacted_at = now

    def failed(self, delta: Delta) -> None:
        """Keep what could not be told for the next time.

        Had it been entered all the same, calls would count twice: too careful, never too little.
        """
        with self.changed:
            self._free += delta.unused
            self._replied.extendleft(reversed(delta.replied))

    def has_news(self, now: float) -> bool:
        """Say whether the gate should be told something now."""
        return bool(self._replied) or (self._free > 0 and now > self._free_until)

    def is_due(self, now: float, renewed_after_s: float) -> bool:
        """Say whether its lease has to be renewed."""
        return self._out > 0 and now - self._contacted_at > renewed_after_s

    def is_idle(self) -> bool:
        """Say whether the gate holds nothing for this desk."""
        return self._out == 0
