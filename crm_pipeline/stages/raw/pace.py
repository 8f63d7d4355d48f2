"""Estimate what automation of a connection costs a day, from its connector, its limits and what has landed."""

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.upkeep import DayLimit, Pace, Upkeep, pace_of
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.looks import ConnectionLooks


def pace(settings: Settings, account: Account, landing: Landing, looks: ConnectionLooks) -> Pace:
    """Return how often a connection is probed and read, and what that costs; makes no call.

    Args:
        settings: with the connections that share the limit.
        account: of the connection.
        landing: with the cost of earlier whole reads.
        looks: with the limit that the vendor stated last.
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
    """Return what an object costs where nothing changes; a whole read costs the same each time."""
    least = account.upkeep(obj)
    try:
        commits = landing.object_reads(account.connection.name, obj.name)
    except CorruptFile:  # reported when the object is read
        return least
    if not commits or not commits[-1].complete:
        return least
    last = commits[-1].cost or commits[-1].calls
    return Upkeep(0, max(least.refresh, last))


def _limit(configured: DayLimit | None, stated: int | None) -> DayLimit | None:
    if configured is None or configured.is_stated or stated is None:
        return configured
    return DayLimit(stated, is_stated=True)
