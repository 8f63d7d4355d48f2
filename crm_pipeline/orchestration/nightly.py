"""The nightly schedule of a connection: read the running month again, and land what refreshes have missed.

It starts about two o'clock in the account's own time zone; connections start one after the other within two hours. In the
first week of a month the month before is read as well, until that was done once. It stays within a part of the vendor's
limit of a day: the cheapest objects are read first, and those that do not fit are named.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import BudgetExhausted, CorruptFile, CrmError
from crm_pipeline.orchestration.activity import is_under_way
from crm_pipeline.orchestration.daily import daily_schedule, times_of_day
from crm_pipeline.orchestration.decision import left_out
from crm_pipeline.orchestration.jobs import Job, monthly_objects, nightly_request
from crm_pipeline.orchestration.names import PLAIN, Names
from crm_pipeline.orchestration.resources import Workspace, workspace_of
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw import pace, planned

OFF = "off"
_HOUR, _SPREAD_MIN = 2, 120
_SECOND = timedelta(seconds=1)
_FIRST_DAYS = 7  # of a month, in which the month before is read until that was done


@dataclass(frozen=True)
class Price:
    """What reading some months of each object again would cost, and what may be spent.

    Attributes:
        costs: by object, in the vendor's unit.
        allowed: for all of them; None where the vendor has no limit of a day.
        unit: of both.
    """

    costs: Mapping[str, int]
    allowed: int | None
    unit: str

    @property
    def fitting(self) -> tuple[str, ...]:
        """The objects that can be read, the cheapest first."""
        chosen, spent = [], 0
        for name, cost in sorted(self.costs.items(), key=lambda item: item[1]):
            spent += cost
            if self.allowed is None or spent <= self.allowed:
                chosen.append(name)
        return tuple(chosen)

    @property
    def is_within(self) -> bool:
        """Whether all objects can be read."""
        return len(self.fitting) == len(self.costs)

    def __str__(self) -> str:
        return (
            f"{sum(self.costs.values()):,} {self.unit} for {len(self.costs)} objects, where a night may take "
            f"{self.allowed or 0:,} of the day"
        )


def nightly_schedules(
    settings: Settings, jobs: Mapping[str, Job], names: Names = PLAIN
) -> Iterator[dg.ScheduleDefinition]:
    """Yield the schedules of the jobs that have one."""
    reading = [
        connection
        for connection in settings.connections.values()
        if connection.nightly != OFF and monthly_objects(connection)
    ]
    times = times_of_day(reading, lambda one: one.nightly, hour=_HOUR, spread_min=_SPREAD_MIN)
    for connection, at in times:
        if (job := jobs.get(names.nightly(connection.name))) is not None:
            yield _schedule(settings, connection, job, at, names)


def _schedule(
    settings: Settings, connection: Connection, job: Job, at: str, names: Names
) -> dg.ScheduleDefinition:
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        crm = workspace_of(context.resources, names)
        return requested(crm, connection, context.instance, names)

    return daily_schedule(
        settings,
        connection,
        job,
        names,
        at=at,
        description=lambda when: (
            f"Read the running month of {connection.name} again each night at {when}, and land what "
            "refreshes have missed."
        ),
        requested=due,
    )


def requested(
    crm: Workspace, connection: Connection, instance: dg.DagsterInstance, names: Names = PLAIN
) -> dg.RunRequest | dg.SkipReason:
    """Return the request for the read that is due, or why there is none."""
    now, looks = crm.clock.now(), crm.looks.at(connection.name)
    if is_under_way(instance, names.nightly(connection.name)):
        return dg.SkipReason("the read of the night before is not done yet.")
    objects = monthly_objects(connection)
    waiting = looks.waiting(objects, now)
    chosen = [name for name in objects if name not in waiting and _is_read(crm, connection, name)]
    if not chosen:
        failing = left_out(looks, objects, now)
        return dg.SkipReason(failing or "no object has been read from its beginning to now yet.")
    price = None
    for months in _months(crm, connection, chosen, now):
        try:
            price = _price(crm, connection, chosen, months)
        except BudgetExhausted as error:
            return dg.SkipReason(f"the running month is not read again: {error}")
        if price is None or price.is_within:
            return nightly_request(crm.settings, connection, months, chosen, names)
    assert price is not None  # there is always the running month
    if not price.fitting:
        return dg.SkipReason(f"the running month is not read again: that would cost {price}.")
    current = Month.of(now)
    return nightly_request(crm.settings, connection, (current, current), price.fitting, names)


def _is_read(crm: Workspace, connection: Connection, name: str) -> bool:
    """Say whether there is a watermark that can be wrong; a damaged commit stops the object's own step, which says so."""
    with suppress(CorruptFile):
        return crm.landing.watermark(connection.name, name) is not None
    return True


def _months(
    crm: Workspace, connection: Connection, names: Sequence[str], now: datetime
) -> Iterator[tuple[Month, Month]]:
    """Yield the months to read, first and last; the first choice that can be paid for is taken."""
    current = Month.of(now)
    before = Month.of(current.start_at - _SECOND)
    is_new = now.day <= _FIRST_DAYS and before >= connection.start
    if is_new and not all(_was_read_again(crm, connection.name, n, before) for n in names):
        yield before, current
    yield current, current


def _was_read_again(crm: Workspace, connection: str, name: str, month: Month) -> bool:
    """Say whether such a run has read a month again since its end."""
    with suppress(CorruptFile):
        commits = crm.landing.windows(connection, name)
        return any(c.missed is not None and c.missed.month >= str(month) for c in commits)
    return False


def _price(
    crm: Workspace, connection: Connection, names: Sequence[str], months: tuple[Month, Month]
) -> Price | None:
    """Return what reading some months again would cost; None where the account cannot be opened: the run says why.

    Raises:
        BudgetExhausted: nothing is left of today's calls.
    """
    window = Window(months[0].start_at, months[1].end_at)
    try:
        with crm.account(connection.name) as account:
            plans = [
                planned(
                    account,
                    obj,
                    window,
                    mode="recheck",
                    landing=crm.landing,
                    key=crm.hash_key if obj.keeps_out else None,
                )
                for obj in map(connection.object, names)
            ]
            # Afterwards: the vendor may have stated its limit in an answer.
            in_force = pace(crm.settings, account, crm.landing, crm.looks.at(connection.name))
    except BudgetExhausted:
        raise
    except CrmError:
        return None
    left = [plan.remaining for plan in plans if plan.remaining is not None]
    bounds = [
        amount for amount in (in_force.allowed, min(left, default=None)) if amount is not None
    ]
    costs = {plan.object: max(plan.cost, plan.calls) for plan in plans}
    return Price(costs, min(bounds, default=None), in_force.unit)
