"""What automation of a connection costs a day, reckoned from its connector, its limits and what has landed."""

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.upkeep import DayLimit, Pace, Upkeep, pace_of
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.looks import ConnectionLooks


def pace(settings: Settings, account: Account, landing: Landing, looks: ConnectionLooks) -> Pace:
    """Return how often a connection is asked and read, and what that costs; asks nothing of the vendor.

    Args:
        settings: name the connections that share the limit.
        account: of the connection.
        landing: knows what a read of a whole object has cost.
        looks: remember the vendor's limit.
    """
    connection = account.connection
    group = connection.limit_group
    return pace_of(
        connection,
        [upkeep(account, obj, landing) for obj in connection.objects],
        unit=account.usage.unit,
        round_cost=connector(connection.vendor).abilities.round_cost,
        limit=_limit(account.day_limit, looks.day_ceiling),
        members=sum(other.limit_group == group for other in settings.connections.values()),
    )


def upkeep(account: Account, obj: ObjectSettings, landing: Landing) -> Upkeep:
    """Return what an object costs where nothing changes; what is read whole costs that each time."""
    least = account.upkeep(obj)
    try:
        commits = landing.windows(account.connection.name, obj.name)
    except CorruptFile:  # whoever reads the object says so
        return least
    if not commits or not commits[-1].complete:
        return least
    last = commits[-1].cost or commits[-1].calls
    return Upkeep(0, max(least.refresh, last))


def _limit(known: DayLimit | None, remembered: int | None) -> DayLimit | None:
    if known is None or known.is_stated or remembered is None:
        return known
    return DayLimit(remembered, is_stated=True)
