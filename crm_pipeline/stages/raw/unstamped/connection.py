"""The sweep of a connection: which objects, in which order, and what it may cost.

A sweep may take a part of the vendor's limit of a day (`sweep_percent`). What does not fit waits for the next one, which
goes on with the same record; objects whose last sweep is the oldest come first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.unstamped import HasUnstamped, UnstampedList
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.kernel.errors import BudgetExhausted, CrmError
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.stages.raw.unstamped.landed import live_records
from crm_pipeline.stages.raw.unstamped.sweep import ObjectSweep, Sweep
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.sweeps import Progress, Sweeps
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.store.tokens.hash_key import HashKey

_NEVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Allowance:
    """What a sweep may cost.

    Attributes:
        amount: in the vendor's unit; None where it has no limit of a day.
        percent: of the limit of a day.
    """

    amount: int | None
    percent: float


@dataclass(frozen=True)
class SweepPlan:
    """What the sweep of one object would take; nothing was asked.

    Attributes:
        what: the values that are compared; "" where the object has none that move no modification time.
        records: live records that have landed.
        cost: of comparing all of them, in the vendor's `unit`, without reading those that differ.
        progress: of the sweeps so far.
    """

    object: str
    what: str
    records: int = 0
    cost: int = 0
    unit: str = "calls"
    progress: Progress = field(default_factory=Progress)


def allowance(settings: Settings, account: Account) -> Allowance:
    """Return what a sweep of a connection may cost, its part of a shared limit; makes no call."""
    connection = account.connection
    limit: DayLimit | None = account.day_limit
    if limit is None:
        return Allowance(None, connection.sweep_percent)
    group = connection.limit_group
    members = sum(each.limit_group == group for each in settings.connections.values())
    return Allowance(
        int(limit.amount * connection.sweep_percent / 100 / max(1, members)),
        connection.sweep_percent,
    )


def plan_sweep(
    account: Account, landing: Landing, sweeps: Sweeps, engine: Engine
) -> list[SweepPlan]:
    """Return what the sweep of each object of a connection would take; makes no call.

    Raises:
        CorruptFile: what has landed is damaged.
    """
    connection = account.connection.name
    progress = sweeps.at(connection)
    plans = []
    for obj in account.connection.objects:
        values = _values(account, obj)
        plan = SweepPlan(obj.name, values.what if values else "", unit=account.usage.unit)
        if values is not None:
            live = live_records(engine, landing.batches(connection, obj.name))
            records = int(engine.row(f"SELECT count(*) FROM {live}")[0])
            plan = replace(plan, records=records, cost=values.cost(records))
        plans.append(replace(plan, progress=progress.get(obj.name, Progress())))
    return plans


def sweep(
    account: Account,
    landing: Landing,
    sweeps: Sweeps,
    *,
    open_engine: Callable[[], Engine],
    allowed: int | None,
    key_of: Callable[[ObjectSettings], HashKey | None],
) -> list[ObjectSweep]:
    """Compare the values without a modification time of all objects of a connection, and land the records that differ.

    An object that fails does not stop the others; its entry has the error.

    Args:
        account: the opened account.
        landing: where to.
        sweeps: where the progress is kept.
        open_engine: opens a DuckDB for one object.
        allowed: what all of it may cost, in the vendor's unit; None for anything.
        key_of: returns the key of hashes where an object needs it.

    Returns:
        One entry for each object that has such values, in the order in which they were swept.
    """
    before = account.usage.cost
    results: list[ObjectSweep] = []
    for obj, values in _due(account, sweeps):
        left = None if allowed is None else allowed - (account.usage.cost - before)
        results.append(ObjectSweep(obj.name, values.what, unit=account.usage.unit))
        try:
            with open_engine() as engine:
                Sweep(account, obj, values, landing, sweeps, left, key_of(obj)).run(engine, results)
        except BudgetExhausted as error:
            results[-1] = replace(results[-1], error=f"{error.message} {error.cure}".strip())
            break
        except CrmError as error:
            results[-1] = replace(results[-1], error=f"{error.message} {error.cure}".strip())
    return results


def _due(account: Account, sweeps: Sweeps) -> Iterator[tuple[ObjectSettings, UnstampedList]]:
    progress = sweeps.at(account.connection.name)

    def last(obj: ObjectSettings) -> datetime:
        return progress.get(obj.name, Progress()).completed_at or _NEVER

    chosen: Sequence[ObjectSettings] = sorted(account.connection.objects, key=last)
    for obj in chosen:
        if (values := _values(account, obj)) is not None:
            yield obj, values


def _values(account: Account, obj: ObjectSettings) -> UnstampedList | None:
    return account.unstamped(obj) if isinstance(account, HasUnstamped) else None
