"""Look up the cost of a call under each limit, and refuse limits that cannot be counted."""

from collections.abc import Mapping, Sequence

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.account import is_time_zone
from crm_pipeline.ratelimit.decision import Amounts
from crm_pipeline.ratelimit.limits import Limit


def costs_of(group: str, limits: Sequence[Limit], cost: int | Mapping[str, int]) -> Amounts:
    """Return the costs of a call in the order of the limits.

    Raises:
        ConfigError: a cost is negative, larger than its limit, or for a limit that is not in `limits`.
    """
    if isinstance(cost, int):
        costs = (cost,) * len(limits)
    else:
        names = [limit.name for limit in limits]
        unknown = sorted(cost.keys() - set(names))
        if unknown:
            raise ConfigError(
                f"a call of group '{group}' has a cost for '{unknown[0]}', which is none of its"
                f" limits: {', '.join(names)}.",
                cure="Name the limits in `cost` as in `limits`.",
            )
        costs = tuple(cost.get(name, 1) for name in names)
    least = 1 if isinstance(cost, int) else 0
    for limit, amount in zip(limits, costs, strict=True):
        if not least <= amount <= limit.calls:
            raise ConfigError(
                f"a call that costs {amount} can never pass the limit '{limit.name}' of group"
                f" '{group}', which allows {limit.calls}.",
                cure=f"Raise {limit.raised_by}.",
            )
    return costs


def require_countable(group: str, limits: Sequence[Limit]) -> None:
    """Refuse limits that cannot be counted.

    Raises:
        ConfigError: a limit is not positive, shares its name with another, or resets in an unknown zone.
    """
    names = [limit.name for limit in limits]
    for limit in limits:
        if limit.calls < 1 or limit.period_s <= 0 or names.count(limit.name) > 1:
            raise ConfigError(
                f"the limit '{limit.name}' of group '{group}' allows {limit.calls} {limit.unit} in"
                f" {limit.period_s} s; both must be positive, and its name unique.",
                cure=f"Correct {limit.raised_by}.",
            )
        if limit.resets and not is_time_zone(limit.resets):
            raise ConfigError(
                f"the limit '{limit.name}' of group '{group}' resets at midnight in"
                f" '{limit.resets}', which is no time zone.",
                cure="Name it as the IANA does, for instance Europe/Berlin or UTC.",
            )
        if limit.resets and not limit.refuses:
            raise ConfigError(
                f"the limit '{limit.name}' of group '{group}' is {limit.kind} and resets at"
                " midnight; only daily and monthly limits do.",
                cure="Make its kind 'daily', or leave `resets` empty.",
            )
        if limit.kind == "monthly" and not (limit.resets and 1 <= limit.renews_on <= 31):
            raise ConfigError(
                f"the limit '{limit.name}' of group '{group}' is monthly, and renews on day"
                f" {limit.renews_on} in the zone '{limit.resets}'; a day from 1 to 31 and a zone are needed.",
                cure="Name the day and the zone in which the amount is whole again.",
            )
