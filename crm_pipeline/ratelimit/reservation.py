"""A permit whose cost is settled after the reply, and the answer to a request that does not wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crm_pipeline.ratelimit.decision import Amounts, Verdict
from crm_pipeline.ratelimit.limits import MOST_COUNTED, Limit

_SOON_S = 0.05  # another thread took what was free


class Reservation:
    """The permit of one call.

    Attributes:
        waited_s: the seconds that the caller waited for it.
        held: the most that the call may cost under each limit.
        costs: what counts for the call; `held` until it is settled.
    """

    def __init__(self, limits: Sequence[Limit], held: Amounts) -> None:
        self._names = tuple(limit.name for limit in limits)
        self.waited_s = 0.0
        self.held = held
        self.costs = held

    def settle(self, cost: Mapping[str, int]) -> None:
        """Say what the call did cost, by the limit's name; a limit that is not named keeps what was held.

        A cost above what was held counts as well: the vendor has charged it.

        Raises:
            ValueError: a limit is none of the permit's, or its cost cannot be true.
        """
        for name, amount in cost.items():
            if name not in self._names or not 0 <= amount <= MOST_COUNTED:
                raise ValueError(f"a cost of {amount} under '{name}'; limits: {self._names}")
        self.costs = tuple(
            cost.get(name, held) for name, held in zip(self._names, self.held, strict=True)
        )


@dataclass(frozen=True)
class NotNow:
    """What a caller gets that does not wait, where a permit is not free at once.

    Attributes:
        wait_s: the time until it may be worth asking again.
        limit: the limit that is short; "" where another thread was quicker.
        is_spent: whether a daily or monthly limit is spent.
    """

    wait_s: float
    limit: str = ""
    is_spent: bool = False


def not_now(limits: Sequence[Limit], verdict: Verdict) -> NotNow:
    """Return what a verdict without permits means for a caller that does not wait."""
    if verdict.refusal:
        return NotNow(verdict.refusal.wait_s, verdict.refusal.limit, is_spent=True)
    if not verdict.waits:
        return NotNow(_SOON_S)
    index, wait_ms = max(verdict.waits, key=lambda wait: wait[1])
    return NotNow(wait_ms / 1000, limits[index].name)
