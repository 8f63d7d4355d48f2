"""Limits of a provider: our budgets in its unit, and the part of its own limits that we use."""

from collections.abc import Mapping

from crm_pipeline.ratelimit.limits import MOST_COUNTED, Limit, monthly, rolling
from crm_pipeline.settings import Provider
from crm_pipeline.wire.figures import whole

CREDITS_DAY, CREDITS_MONTH = "credits_day", "credits_month"
BUDGETS = frozenset({CREDITS_DAY, CREDITS_MONTH})
_DAY_S = 86_400.0
_PERIODS = {"second": 1.0, "minute": 60.0}
# A plan's limit may be far above the one that is assumed, and never far below.
_LEAST_PART, _MOST_TIMES = 1_000, 100_000


def group_of(provider: Provider) -> str:
    """Return the limit group of a provider; connections cannot have such a name."""
    return f"provider:{provider.name}"


def budget_limits(provider: Provider) -> tuple[Limit, ...]:
    """Return the budgets of a day (UTC) and a month; that of a run is the caller's."""
    limits = []
    of = f"providers.{provider.name}.budget"
    if provider.budget.day is not None:
        limits.append(
            Limit(
                CREDITS_DAY,
                provider.budget.day,
                _DAY_S,
                "daily",
                resets="UTC",
                unit=provider.unit,
                raised_by=f"{of}.day in connections.yaml",
            )
        )
    if provider.budget.month is not None:
        month = monthly(
            CREDITS_MONTH,
            provider.budget.month,
            renews_on=provider.renews_on,
            unit=provider.unit,
        )
        limits.append(
            Limit(**{**vars(month), "raised_by": f"{of}.month in connections.yaml"}),
        )
    return tuple(limits)


class Rates:
    """The provider's limits of calls, as its headers last stated them, else as configured or published.

    Args:
        provider: its limits are named `<class>_second`, `_minute` or `_day`.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._stated: dict[str, int] = {}

    def limits(self, kind: str) -> tuple[Limit, ...]:
        """Return our share of the limits of a class of endpoints."""
        return tuple(
            self._limit(name) for name in self._provider.limits if name.startswith(f"{kind}_")
        )

    def records_at_once(self, kind: str) -> int:
        """Return how many records one call may hold, so that it fits into each window however it is counted."""
        shares = [limit.calls for limit in self.limits(kind)]
        return max(1, min([self._provider.bulk_records, *shares]))

    def state(self, name: str, allowed: int) -> None:
        """Take over a limit that the provider states."""
        if name in self._provider.limits:
            self._stated[name] = allowed

    def _limit(self, name: str) -> Limit:
        calls = self._provider.limits[name]
        if name in self._stated:
            # What somebody wrote into connections.yaml is never exceeded; what is published may be.
            is_own = name in self._provider.own_limits
            calls = min(calls, self._stated[name]) if is_own else self._stated[name]
        share = self._provider.share
        period = name.rpartition("_")[2]
        raised_by = f"providers.{self._provider.name}.limits.{name} in connections.yaml"
        if period == "day":
            ours = max(1, int(calls * share))
            return Limit(name, ours, _DAY_S, "daily", raised_by=raised_by)
        limit = rolling(name, calls, _PERIODS[period], share)
        return Limit(**{**vars(limit), "raised_by": raised_by})


def counter(
    headers: Mapping[str, str], total: str, left: str, usual: int
) -> tuple[int, int] | None:
    """Return `(used, allowed)` of two headers; None where they are missing or cannot be true.

    Args:
        headers: of a response.
        total: the name of the header with the limit.
        left: the name of the header with what is left of it.
        usual: the limit as configured or published.
    """
    allowed = whole(headers.get(total, ""), MOST_COUNTED)
    rest = whole(headers.get(left, ""), MOST_COUNTED)
    if not allowed or rest is None or rest > allowed:
        return None
    if not usual / _LEAST_PART <= allowed <= usual * _MOST_TIMES:
        return None
    return allowed - rest, allowed
