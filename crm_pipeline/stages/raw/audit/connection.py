"""Audit the objects of a connection, the oldest comparison first, within what audits may cost a day."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from shutil import rmtree
from typing import Literal

from crm_pipeline.connectors.base import Account, Auditable, LogsDeletions, Plan
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.whole_reads import is_read_whole
from crm_pipeline.kernel.clock import Month, Window
from crm_pipeline.kernel.errors import BudgetExhausted, CrmError, Rejected
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.settings import Connection, ObjectSettings
from crm_pipeline.stages.raw.audit.audit import ObjectAudit
from crm_pipeline.stages.raw.audit.setting import AuditSetting, Engines
from crm_pipeline.stages.raw.audit.sweep import cost_of_ids, may_be_cheaper, sweep_plan
from crm_pipeline.stages.raw.permissions import sight_of
from crm_pipeline.stages.raw.present import present_of
from crm_pipeline.store import files
from crm_pipeline.store.audits import Audited, Audits
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables.engine import private_temp
from crm_pipeline.store.tokens.hash_key import HashKey

UNLIMITED = 10_000
"""What audits may cost a day at a vendor without a limit of a day, in its unit."""
_FIRST = frozenset({"content", "log"})
"""What is compared before counts and ids."""
_NEVER = datetime.min.replace(tzinfo=UTC)
Kind = Literal["missing", "ghosts", "stale", "healed"]
OnResult = Callable[[Audited], None]


@dataclass
class AuditRun:
    """What came of an audit of a connection.

    Attributes:
        results: in the order in which they came.
        skipped: objects that were not compared -> why.
        failed: objects whose comparison failed -> the error.
        damage: which file with earlier results is damaged, and what to do; "" where none is.
        stopped: why the audit ended before all was compared; "" where it did not.
        landed: whether something landed, so that tables have to be built.
        calls, cost: of all; `cost` in the vendor's `unit`, of the `allowed` amount.
    """

    connection: str
    results: list[Audited] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    damage: str = ""
    stopped: str = ""
    landed: bool = False
    calls: int = 0
    cost: int = 0
    unit: str = "calls"
    allowed: int = 0

    @property
    def open(self) -> list[Audited]:
        """The results that differ and were not healed."""
        return [result for result in self.results if result.is_open]

    def total(self, kind: Kind) -> int:
        """Return how many records were `missing`, `ghosts`, `stale` or `healed`, each once.

        Comparisons of months and of the whole object may have found the same ones. What whole records and logs of
        deletions showed was healed before.
        """
        total = 0
        for obj in dict.fromkeys(result.object for result in self.results):
            own = [result for result in self.results if result.object == obj]
            before = [result for result in own if result.by in _FIRST]
            months = [result for result in own if result.month and result.by not in _FIRST]
            whole = [result for result in own if not result.month and result.by not in _FIRST]
            counts = (sum(getattr(each, kind) for each in part) for part in (months, whole))
            total += sum(getattr(each, kind) for each in before) + max(counts)
        return total

    @property
    def is_settled(self) -> bool:
        """Whether all objects were compared, and no record differs that was not healed."""
        is_whole = not (self.stopped or self.failed or self.skipped)
        return is_whole and all(
            each.missing + each.ghosts + each.stale <= each.healed
            and each.in_crm in {None, each.with_us + each.apart}
            for each in self.results
        )

    @property
    def is_right(self) -> bool:
        """Whether everything that was compared is right now."""
        return not (self.open or self.failed)


@dataclass(frozen=True)
class AuditPlan:
    """What the audit of one object would cost.

    Attributes:
        months: to compare.
        counts: calls for the counts of all months and of the whole object, and for a log of deletions; None where the
            vendor does not count.
        sweep: the plan for a sweep of the whole object; None where there is none.
        refresh: the cost of a refresh that finds nothing, which comes before a sweep.
        asked: what it cost to find out up to when the object can be compared, and to plan a sweep: an audit does so first.
        log: calls for a log of deletions.
        why: why the object is not audited; "" where it is.
    """

    object: str
    months: int = 0
    counts: int | None = None
    sweep: Plan | None = None
    refresh: int = 0
    asked: int = 0
    log: int = 0
    why: str = ""

    @property
    def by(self) -> Literal["count", "ids", ""]:
        """What is compared: the cheaper of both; "" where the object is not audited."""
        if self.sweep is None:
            return ""
        if self.counts is None or self.sweep.vendor_count is None:
            return "ids"
        counts = self.counts - self.log
        is_cheaper = cost_of_ids(self.sweep, self.refresh, self.asked) <= counts
        return "ids" if may_be_cheaper(self.sweep.vendor_count, counts) and is_cheaper else "count"

    @property
    def cost(self) -> int | None:
        """What an audit spends where nothing differs, in the vendor's unit; None where the object is not audited."""
        if self.sweep is None or not self.by:
            return None
        if self.by == "ids" or self.counts is None:
            return self.asked + cost_of_ids(self.sweep, self.refresh, self.asked) + self.log
        return self.asked + self.counts


def auditable_objects(connection: Connection) -> list[ObjectSettings]:
    """Return the objects of a connection that are read by months; the others are read whole at each refresh."""
    snapshots = connector(connection.vendor).snapshot_objects
    return [obj for obj in connection.objects if not is_read_whole(obj, snapshots)]


def allowed_today(account: Account, audits: Audits) -> int:
    """Return what audits of a connection may still cost today, in the vendor's unit."""
    limit, connection = account.day_limit, account.connection
    whole = UNLIMITED if limit is None else int(limit.amount * connection.audit_percent / 100)
    return max(0, whole - audits.spent_today(connection.name))


def audit_connection(
    account: Account,
    *,
    landing: Landing,
    audits: Audits,
    engine: Engines,
    objects: Sequence[ObjectSettings] = (),
    is_deep: bool = False,
    reads_content: bool = False,
    key: HashKey | None = None,
    on_result: OnResult | None = None,
) -> AuditRun:
    """Compare objects of a connection with the CRM, and heal what differs.

    Args:
        account: the opened account.
        landing: with what has landed.
        audits: the results of earlier audits; the new ones are added as they come.
        engine: opens DuckDB for a comparison.
        objects: to compare; by default all that are read by months.
        is_deep: list the ids of all records, whatever the counts say.
        reads_content: read all records again and compare them.
        key: of hashes, needed where fields are kept out, or persons were erased.
        on_result: called with each result.
    """
    connection = account.connection
    before = audits.at(connection.name)
    run = AuditRun(connection.name, unit=account.usage.unit, damage=before.damage)
    wanted = list(objects) or auditable_objects(connection)
    if not isinstance(account, Auditable):
        run.skipped = {obj.name: _NO_LISTS for obj in wanted}
        return run
    folder = private_temp(files.make_folder(landing.root / "tmp"))
    try:
        files.make_folder(folder)
        started = account.usage
        run.allowed = allowed_today(account, audits)
        with account.spending(run.allowed):
            sight = sight_of(account)
            sees_the_same = not (before.sight or before.damage) or sight == before.sight
            # What the login saw before is in the damaged file: records may be hidden from it now, or gone.
            known = sight if sees_the_same or before.damage else ""
            audits.note(connection.name, (), sight=known, cost=account.usage.cost - started.cost)
            oldest = sorted(wanted, key=lambda obj: _oldest(before.of(obj.name).months))
            for obj in oldest:
                left = run.allowed - (account.usage.cost - started.cost)
                # A list that finds the pages of another object takes them for its own interrupted read.
                own = files.make_folder(folder / path_name(obj.name))
                setting = AuditSetting(account, obj, landing, engine, own, key, sees_the_same, left)
                audit = _Step(setting, audits, run, on_result)
                if not audit.compared(is_deep=is_deep, reads_content=reads_content):
                    break
            # Until then it is not known whether records are gone, or hidden from the login.
            if (
                not sees_the_same
                and run.is_settled
                and len(wanted) >= len(auditable_objects(connection))
            ):
                audits.note(connection.name, (), sight=sight)
        run.calls = account.usage.calls - started.calls
        run.cost = account.usage.cost - started.cost
    finally:
        rmtree(folder, ignore_errors=True)
    return run


def audit_plans(
    account: Account, landing: Landing, objects: Sequence[ObjectSettings] = ()
) -> list[AuditPlan]:
    """Return what an audit of objects would cost: a few calls for each."""
    connection, plans = account.connection, []
    for obj in objects or auditable_objects(connection):
        before = account.usage.cost
        edge = edge_of(account, obj, landing)
        if edge is None:
            plans.append(AuditPlan(obj.name, why=_UNREAD))
            continue
        months = len(list(connection.start.through(max(connection.start, Month.of(edge)))))
        try:
            plan = sweep_plan(account, obj, Window(None, edge))
        except Rejected as error:
            plans.append(AuditPlan(obj.name, months, why=error.message))
            continue
        log = int(isinstance(account, LogsDeletions))
        counts = months + 1 + log if plan.vendor_count is not None else None
        refresh, asked = account.upkeep(obj).refresh, account.usage.cost - before
        plans.append(AuditPlan(obj.name, months, counts, plan, refresh, asked, log))
    return plans


def edge_of(account: Account, obj: ObjectSettings, landing: Landing) -> datetime | None:
    """Return up to when an object can be compared: a look-back before its watermark; None where it has none."""
    connection = account.connection
    present = present_of(account, obj.name, landing).at
    watermark = landing.edge(connection.name, obj.name, present=present).at
    if watermark is None:
        return None
    edge = min(watermark, present) - timedelta(seconds=connection.lookback_s)
    return edge.replace(microsecond=0)


_NO_LISTS = "the connector of its vendor can neither count its records nor list their ids"
_UNREAD = "it has not been read from its beginning to now yet"


@dataclass
class _Step:
    """The audit of one object within that of a connection."""

    setting: AuditSetting
    audits: Audits
    run: AuditRun
    on_result: OnResult | None

    def compared(self, *, is_deep: bool, reads_content: bool) -> bool:
        """Compare the object; say whether the audit of the connection may go on."""
        setting, name = self.setting, self.setting.obj.name
        started, noted = setting.account.usage.cost, 0
        try:
            edge = edge_of(setting.account, setting.obj, setting.landing)
            if edge is None:
                self.run.skipped[name] = _UNREAD
                return True
            before = self.audits.at(setting.connection).of(name)
            audit = ObjectAudit(setting, before, edge, is_deep=is_deep, reads_content=reads_content)
            for result in audit.results():
                self.audits.note(setting.connection, [result], cost=result.cost)
                noted += result.cost
                self.run.results.append(result)
                if self.on_result is not None:
                    self.on_result(result)
        except BudgetExhausted as error:
            self.run.stopped = f"{name}: {error}"
            return False
        except Rejected as error:
            self.run.skipped[name] = error.message
        except CrmError as error:
            self.run.failed[name] = str(error)
        finally:
            self.run.landed |= setting.has_landed
            rest = setting.account.usage.cost - started - noted
            if rest:
                self.audits.note(setting.connection, (), cost=rest)
        return True


def _oldest(months: Mapping[str, Audited]) -> datetime:
    return min((each.audited_at for each in months.values()), default=_NEVER)
