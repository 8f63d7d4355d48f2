"""The sweep of a connection: which objects, in which order, and what it may cost.

A sweep may take a part of the vendor's limit of a day (`sweep_percent`). What does not fit waits for the next one, which
goes on with the same record; objects whose last sweep is the oldest come first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from crm_pipeline.connectors.base import Account
from crm_pipeline.connectors.unstamped import (
    COMPUTED,
    HasUnstamped,
    Unstamped,
    UnstampedFields,
)
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.kernel.errors import AllowanceSpent, BudgetExhausted, CrmError, UnknownName
from crm_pipeline.kernel.secret import redacted
from crm_pipeline.settings import ObjectSettings, Settings
from crm_pipeline.stages.raw.unstamped.field_sweep import FieldSweep
from crm_pipeline.stages.raw.unstamped.landed import folded_records
from crm_pipeline.stages.raw.unstamped.sweep import ObjectSweep, Sweep
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.sweeps import Kind, Progress, SweepResult, Sweeps
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
    """What the sweep of some values of one object would take; nothing was asked.

    Attributes:
        what: the values that are compared; "" where the object has none that move no modification time.
        fields: their names, where they are fields.
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
    fields: tuple[str, ...] = ()


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
    """Return what the sweep of each object of a connection would take, one entry for each kind of its values; makes no call.

    Raises:
        CorruptFile: what has landed is damaged.
    """
    connection = account.connection.name
    plans = []
    for obj in account.connection.objects:
        every = _values(account, landing, obj)
        if not every:
            plans.append(SweepPlan(obj.name, "", unit=account.usage.unit))
            continue
        live = folded_records(engine, landing, account.connection, obj.name)
        records = int(engine.row(f"SELECT count(*) FROM {live}")[0])
        plans += [
            SweepPlan(
                obj.name,
                values.what,
                records,
                values.cost(records),
                account.usage.unit,
                sweeps.at(connection, values.kind).get(obj.name, Progress()),
                values.names if isinstance(values, UnstampedFields) else (),
            )
            for values in every
        ]
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
        One entry for each object and kind of such values, in the order in which they were swept.
    """
    before = account.usage.cost
    results: list[ObjectSweep] = []
    misnamed = [
        ObjectSweep(obj.name, COMPUTED, error=problem, kind="fields")
        for obj in account.connection.objects
        if (problem := _misnamed(account, landing, obj))
    ]
    for obj, values in _due(account, landing, sweeps):
        left = None if allowed is None else allowed - (account.usage.cost - before)
        results.append(
            ObjectSweep(obj.name, values.what, unit=account.usage.unit, kind=values.kind)
        )
        is_spent = False
        place = _place(account, sweeps, obj, values)
        try:
            with open_engine() as engine:
                one = _sweep_of(values)(account, obj, values, landing, sweeps, left, key_of(obj))
                one.run(engine, results)
            if len(results) == 1 and not results[0].is_complete:
                _refuse_standstill(
                    account, obj, allowed, place, _place(account, sweeps, obj, values)
                )
        except AllowanceSpent as error:  # others may cost less
            results[-1] = replace(results[-1], error=f"{error.message} {error.cure}".strip())
        except BudgetExhausted as error:
            results[-1] = replace(results[-1], error=f"{error.message} {error.cure}".strip())
            is_spent = True
        except CrmError as error:
            results[-1] = replace(results[-1], error=f"{error.message} {error.cure}".strip())
        sweeps.add(account.connection.name, [_result(results[-1], landing)])
        if is_spent:
            break
    sweeps.add(account.connection.name, [_result(each, landing) for each in misnamed])
    return [*results, *misnamed]


def _misnamed(account: Account, landing: Landing, obj: ObjectSettings) -> str:
    """Return what is wrong with the names that connections.yaml lists of an object; "" where nothing is."""
    connection = account.connection.name
    schema = landing.latest_schema(connection, obj.name)
    known = {} if schema is None else schema.by_name
    for name in (*obj.sweep_also, *obj.sweep_except):
        if known and name not in known:
            where = f"sweep_also and sweep_except of {connection}.{obj.name}"
            error = UnknownName("field", name, known, where=where)
            lists = f"`crm-pipeline preview {connection} {obj.name}` lists the fields."
            return f"{error.message} {error.cure} {lists}"
    return ""


def _place(account: Account, sweeps: Sweeps, obj: ObjectSettings, values: Unstamped) -> str:
    return sweeps.at(account.connection.name, values.kind).get(obj.name, Progress()).after


def _refuse_standstill(
    account: Account, obj: ObjectSettings, allowed: int | None, before: str, after: str
) -> None:
    """Refuse an allowance that does not pay for any part of the object whose turn it is, so that no sweep goes on.

    Raises:
        AllowanceSpent: it does not.
    """
    if before != after:
        return
    connection = account.connection.name
    raise AllowanceSpent(
        f"{connection}.{obj.name}: a sweep may cost {allowed:,} {account.usage.unit}, and no part of this object can be "
        "compared and read for that.",
        wait_s=0.0,
        cure=f"Set a larger `sweep_percent` of the connection, or run `crm-pipeline sweep {connection} --whole`.",
    )


def _sweep_of(values: Unstamped) -> Callable[..., Sweep | FieldSweep]:
    return FieldSweep if isinstance(values, UnstampedFields) else Sweep


def _result(done: ObjectSweep, landing: Landing) -> SweepResult:
    return SweepResult(
        object=done.object,
        kind=done.kind,
        what=done.what,
        swept_at=landing.clock.now(),
        compared=done.compared,
        differing=done.differing,
        landed=done.landed,
        calls=done.calls,
        cost=done.cost,
        unit=done.unit,
        is_complete=done.is_complete,
        error=redacted(done.error),
    )


def _due(
    account: Account, landing: Landing, sweeps: Sweeps
) -> Iterator[tuple[ObjectSettings, Unstamped]]:
    """Yield the values of all objects, those first whose last whole sweep is the oldest; lists before fields."""
    connection = account.connection
    kinds: tuple[Kind, ...] = ("lists", "fields")
    progress = {kind: sweeps.at(connection.name, kind) for kind in kinds}
    every = [
        (obj, values)
        for kind in kinds
        for obj in connection.objects
        for values in _values(account, landing, obj)
        if values.kind == kind
    ]

    def last(one: tuple[ObjectSettings, Unstamped]) -> datetime:
        obj, values = one
        return progress[values.kind].get(obj.name, Progress()).completed_at or _NEVER

    yield from sorted(every, key=last)


def _values(account: Account, landing: Landing, obj: ObjectSettings) -> tuple[Unstamped, ...]:
    if not isinstance(account, HasUnstamped):
        return ()
    return account.unstamped(obj, landing.latest_schema(account.connection.name, obj.name))
