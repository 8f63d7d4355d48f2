"""The choice between a vendor's read strategies for a window, by duration and by cost.

The price of a strategy is its duration plus the worth of its calls: a tenth of a day for the whole budget of a day,
and more when less of the budget is left. So duration decides while much is left, and cost when little is.
"""

from collections.abc import Sequence
from dataclasses import replace

from crm_pipeline.connectors.base import Plan, ReadStrategy
from crm_pipeline.kernel.errors import BudgetExhausted, ConfigError

_BUDGET_WORTH_S = 8_640.0


def price_s(strategy: ReadStrategy, remaining: int | None) -> float:
    """Return the price of a strategy in seconds."""
    if not remaining:
        return strategy.seconds
    return strategy.seconds + _BUDGET_WORTH_S * strategy.cost / remaining


def planned(
    plan: Plan,
    strategies: Sequence[ReadStrategy],
    *,
    asked: str,
    remaining: int | None,
    returns: str = "",
) -> Plan:
    """Return a plan with the cheapest strategy that is possible and fits the remaining budget.

    Args:
        plan: what is to be read.
        strategies: of the vendor, possible or not.
        asked: `route` of connections.yaml: the name of a strategy, or `auto`.
        remaining: what is left of the day's budget; None where there is none.
        returns: when more of the budget becomes available, in sentences.

    Raises:
        ConfigError: the strategy of connections.yaml is impossible.
        BudgetExhausted: no possible strategy fits the budget.
    """
    best = _chosen(plan, strategies, asked, remaining, returns)
    others = [strategy for strategy in strategies if strategy.name != best.name]
    if asked != "auto":
        reason = f"connections.yaml says 'route: {asked}'"
    else:
        size = "" if plan.vendor_count is None else f"{plan.vendor_count:,} records: "
        reason = size + "; ".join(_summary(strategy, plan.unit) for strategy in (best, *others))
    return replace(
        plan,
        route=best.name,
        reason=reason,
        calls=best.calls,
        cost=best.cost,
        seconds=best.seconds,
        strategies=tuple(strategies),
        remaining=remaining,
    )


def _chosen(
    plan: Plan,
    strategies: Sequence[ReadStrategy],
    asked: str,
    remaining: int | None,
    returns: str,
) -> ReadStrategy:
    if asked != "auto":
        wanted = next((strategy for strategy in strategies if strategy.name == asked), None)
        if wanted is None or wanted.impediment:
            why = wanted.impediment if wanted else "there is no such route"
            names = ", ".join(strategy.name for strategy in strategies if not strategy.impediment)
            raise ConfigError(
                f"{plan.object} cannot be read by the route '{asked}': {why}.",
                cure=f"Possible now: {names}; or leave 'route' out.",
            )
        return wanted
    possible = [strategy for strategy in strategies if not strategy.impediment]
    affordable = [
        strategy for strategy in possible if remaining is None or strategy.cost <= remaining
    ]
    if not affordable:
        least = min(possible, key=lambda strategy: strategy.cost)
        raise BudgetExhausted(
            f"{plan.object}: reading it takes {least.cost:,} {plan.unit} by the route '{least.name}', and "
            f"{remaining or 0:,} are left of our share of the vendor's limit of a day.",
            wait_s=3600,
            cure=f"{returns} Wait, read a shorter range of months, or raise `share` in "
            "connections.yaml.".strip(),
        )
    return min(affordable, key=lambda strategy: (price_s(strategy, remaining), strategy.cost))


def _summary(strategy: ReadStrategy, unit: str) -> str:
    if strategy.impediment:
        return f"not by {strategy.name} ({strategy.impediment})"
    cost = f", {strategy.cost:,} {unit}" if unit != "calls" else ""
    return f"{strategy.name} {strategy.calls:,} calls{cost}, {strategy.seconds:,.0f} s"
