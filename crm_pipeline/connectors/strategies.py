"""Choosing between a vendor's ways of reading a window, by time and by what they cost.

The price of a route is its duration plus what its calls are worth: a tenth of a day for the whole budget
of a day, and more when less is left. So time decides while the budget is wide, and thrift when it is not.
"""

from collections.abc import Sequence
from dataclasses import replace

from crm_pipeline.connectors.base import Plan, ReadStrategy
from crm_pipeline.kernel.errors import BudgetExhausted, ConfigError

_DAY_WORTH_S = 8_640.0


def price_s(route: ReadStrategy, remaining: int | None) -> float:
    """Return what a route costs, as seconds."""
    if not remaining:
        return route.seconds
    return route.seconds + _DAY_WORTH_S * route.cost / remaining


def planned(
    plan: Plan,
    routes: Sequence[ReadStrategy],
    *,
    asked: str,
    remaining: int | None,
    returns: str = "",
) -> Plan:
    """Return a plan with the cheapest route that is possible and fits the remaining budget.

    Args:
        plan: what is to be read.
        routes: the vendor's, possible or not.
        asked: the route of connections.yaml, or `auto`.
        remaining: what is left of the day's budget; None where there is none.
        returns: when more of it is to be had, in sentences.

    Raises:
        ConfigError: the route that is asked for is impossible.
        BudgetExhausted: no possible route fits.
    """
    best = _chosen(plan, routes, asked, remaining, returns)
    unit = plan.unit
    others = [route for route in routes if route.name != best.name]
    if asked != "auto":
        reason = f"connections.yaml says 'route: {asked}'"
    else:
        size = "" if plan.vendor_count is None else f"{plan.vendor_count:,} records: "
        told = [f"{_told(route, unit)}" for route in (best, *others)]
        reason = size + "; ".join(told)
    return replace(
        plan,
        route=best.name,
        reason=reason,
        calls=best.calls,
        cost=best.cost,
        seconds=best.seconds,
        routes=tuple(routes),
        remaining=remaining,
    )


def _chosen(
    plan: Plan, routes: Sequence[ReadStrategy], asked: str, remaining: int | None, returns: str
) -> ReadStrategy:
    if asked != "auto":
        wanted = next((route for route in routes if route.name == asked), None)
        if wanted is None or wanted.impediment:
            why = wanted.impediment if wanted else "there is no such route"
            names = ", ".join(route.name for route in routes if not route.impediment)
            raise ConfigError(
                f"{plan.object} cannot be read by the route '{asked}': {why}.",
                cure=f"Possible now: {names}; or leave 'route' out.",
            )
        return wanted
    possible = [route for route in routes if not route.impediment]
    fitting = [route for route in possible if remaining is None or route.cost <= remaining]
    if not fitting:
        least = min(possible, key=lambda route: route.cost)
        raise BudgetExhausted(
            f"{plan.object}: reading it takes {least.cost:,} {plan.unit} by the route '{least.name}', and "
            f"{remaining or 0:,} are left of our share of the vendor's limit of a day.",
            wait_s=3600,
            cure=f"{returns} Wait, read a shorter range of months, or raise `share` in "
            "connections.yaml.".strip(),
        )
    return min(fitting, key=lambda route: (price_s(route, remaining), route.cost))


def _told(route: ReadStrategy, unit: str) -> str:
    if route.impediment:
        return f"not by {route.name} ({route.impediment})"
    worth = f", {route.cost:,} {unit}" if unit != "calls" else ""
    return f"{route.name} {route.calls:,} calls{worth}, {route.seconds:,.0f} s"
