"""The ledger of purchases: nobody is bought twice, and no budget is exceeded, by any number of processes.

A purchase is recorded before the provider is asked, with the credits that it may cost, and settled by the response.
Subjects are known by keyed hashes of what is asked for, which stay when a person is erased. A process that dies in between leaves
the purchase as `asked`; once its lease is over it is asked for again, which providers that charge a match once answer
for free.
"""

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class, whatever its case
from psycopg2.extras import Json, execute_values

from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.purchases.storable import storable

LEASE = timedelta(minutes=10)
"""How long a response may take before another process takes the purchase over."""
State = Literal["asked", "settled", "waiting", "erased"]

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('crm purchases', 0))"
_NEXT = "(SELECT coalesce(max(revision), 0) + 1 FROM crm_state.purchases)"
"""Changes are made one after the other, so whoever has seen a revision has seen all before it."""
_SPENT = """
SELECT coalesce(sum(credits) FILTER (WHERE run = %(run)s), 0),
    coalesce(sum(credits) FILTER (WHERE asked_at >= %(day)s), 0),
    coalesce(sum(credits) FILTER (WHERE asked_at >= %(month)s), 0)
FROM (
    SELECT run, asked_at, earlier_cost + coalesce(cost, reserved) AS credits
    FROM crm_state.purchases WHERE provider = %(provider)s
) AS counted
"""
_FREE = """
SELECT wanted.subject, coalesce(p.state = 'asked', false) AS was_asked, p.run, p.asked_at, p.reserved
FROM unnest(%(subjects)s::text[]) WITH ORDINALITY AS wanted (subject, place)
LEFT JOIN crm_state.purchases AS p
    ON p.provider = %(provider)s AND p.kind = %(kind)s AND p.subject = wanted.subject
WHERE p.subject IS NULL
    OR (p.state = 'asked' AND p.lease_until <= %(now)s)
    OR (p.state IN ('settled', 'waiting') AND p.retry_at <= %(now)s)
ORDER BY was_asked DESC, wanted.place
"""
_ASK = f"""
INSERT INTO crm_state.purchases
    (provider, kind, subject, asked_for, records, state, run, asked_at, lease_until, reserved, revision)
SELECT provider, kind, subject, asked_for, records, 'asked', run, asked_at, lease_until, reserved,
    {_NEXT}
FROM (VALUES %s) AS asked (provider, kind, subject, asked_for, records, run, asked_at, lease_until, reserved)
ON CONFLICT (provider, kind, subject) DO UPDATE SET
    asked_for = excluded.asked_for, records = excluded.records, state = 'asked', run = excluded.run, asked_at = excluded.asked_at,
    asked_times = purchases.asked_times + 1, earlier_cost = purchases.earlier_cost + coalesce(purchases.cost, 0), lease_until = excluded.lease_until, reserved = excluded.reserved,
    cost = NULL, revision = excluded.revision
"""
_SETTLE = f"""
UPDATE crm_state.purchases AS p SET
    state = s.state, outcome = s.outcome, is_free = s.is_free, answer = s.answer,
    cost = CASE WHEN s.is_free AND p.asked_times > 1 AND p.settled_at IS NULL THEN p.reserved ELSE s.cost END,
    settled_at = CASE WHEN s.state = 'settled' THEN s.at ELSE p.settled_at END,
    retry_at = s.retry_at, lease_until = NULL, revision = {_NEXT}
FROM (VALUES %s) AS s (provider, kind, subject, run, state, outcome, is_free, cost, answer, at, retry_at)
WHERE p.provider = s.provider AND p.kind = s.kind AND p.subject = s.subject AND p.state = 'asked' AND p.run = s.run
"""
_ANSWERS = """
SELECT provider, kind, asked_for, records, outcome, earlier_cost + cost, is_free, answer, settled_at, revision
FROM crm_state.purchases
WHERE state IN ('settled', 'erased') AND settled_at IS NOT NULL AND revision > %s
ORDER BY revision, provider, kind, subject
"""
_CHARGED = """
SELECT coalesce(sum(coalesce(cost, reserved)), 0) FROM crm_state.purchases
WHERE provider = %s AND (revision > %s OR state = 'asked')
"""
_CORRECT = f"""
UPDATE crm_state.purchases AS p SET cost = p.cost + c.added, revision = {_NEXT}
FROM (
    SELECT kind, subject, least(rest, %(credits)s - coalesce(sum(rest) OVER before, 0)) AS added
    FROM (
        SELECT kind, subject, revision, reserved - cost AS rest FROM crm_state.purchases
        WHERE provider = %(provider)s AND run = %(run)s AND revision > %(after)s AND cost < reserved
    ) AS cheaper
    WINDOW before AS (ORDER BY revision, subject ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
) AS c
WHERE p.provider = %(provider)s AND p.kind = c.kind AND p.subject = c.subject AND c.added > 0
RETURNING c.added
"""
_COUNTS = """
SELECT provider, kind, state, coalesce(outcome, ''), count(*), coalesce(sum(earlier_cost + coalesce(cost, reserved)), 0)
FROM crm_state.purchases GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
_ERASE = f"""
UPDATE crm_state.purchases SET state = 'erased', answer = NULL, asked_for = NULL, records = '{{}}', outcome = NULL,
    revision = {_NEXT}
WHERE (subject = ANY(%(subjects)s) OR records && %(records)s) AND state <> 'erased'
"""
_HELD = """
SELECT count(*) FROM crm_state.purchases
WHERE (subject = ANY(%(subjects)s) OR records && %(records)s) AND state <> 'erased'
"""


@dataclass(frozen=True)
class Order:
    """Something to buy.

    Attributes:
        subject: keyed hash of what is asked for.
        asked_for: what is asked for: the normalised address, profile, or name and domain.
        most: the most credits that it may cost.
        records: the keys of the records that it is bought for.
    """

    subject: str
    asked_for: str
    most: int
    records: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """The most credits to spend; None is no bound.

    Attributes:
        renews_on: the day of the month on which a month begins (UTC); the last day where a month is shorter.
    """

    per_run: int | None = None
    per_day: int | None = None
    per_month: int | None = None
    renews_on: int = 1

    def is_exceeded(self, spent: "Spending") -> bool:
        """Say whether more was spent than there may be."""
        return any(bound is not None and used > bound for bound, used in self._pairs(spent))

    def left(self, spent: "Spending") -> int | None:
        """Return the credits that are left; None where there is no bound."""
        rest = [bound - used for bound, used in self._pairs(spent) if bound is not None]
        return max(0, min(rest)) if rest else None

    def less(self, unexplained: int) -> "Budget":
        """Return what is left of the bounds after credits that no purchase accounts for."""
        bounds = (self.per_run, self.per_day, self.per_month)
        left = [None if bound is None else max(0, bound - unexplained) for bound in bounds]
        return replace(self, per_run=left[0], per_day=left[1], per_month=left[2])

    def _pairs(self, spent: "Spending") -> tuple[tuple[int | None, int], ...]:
        return (
            (self.per_run, spent.run),
            (self.per_day, spent.day),
            (self.per_month, spent.month),
        )


@dataclass(frozen=True)
class Spending:
    """Credits spent at a provider, those of open purchases included."""

    run: int
    day: int
    month: int

    def plus(self, most: int, counted: "Spending") -> "Spending":
        """Return the sums with a reservation, of which a part is counted already."""
        return Spending(
            self.run + most - counted.run,
            self.day + most - counted.day,
            self.month + most - counted.month,
        )


@dataclass(frozen=True)
class Reservation:
    """What may be asked for now.

    Attributes:
        orders: recorded as asked; the caller asks for them and settles each.
        repeated: subjects among them that were asked for before by a process that died.
        beyond_budget: number of orders that no budget is left for.
    """

    orders: tuple[Order, ...]
    repeated: frozenset[str]
    beyond_budget: int


@dataclass(frozen=True)
class Settlement:
    """What the response to one order was.

    Attributes:
        outcome: in the words of `providers`.
        answer: the facts that were bought; None for none.
        is_free: whether the provider says that this response cost nothing because the subject was bought before.
        retry_at: when the subject may be asked for again; None for never.
        is_final: False where the provider has not decided: the purchase waits until `retry_at`.
    """

    subject: str
    outcome: str
    cost: int = 0
    is_free: bool = False
    answer: Mapping[str, Any] | None = None
    retry_at: datetime | None = None
    is_final: bool = True


@dataclass(frozen=True)
class Answer:
    """A settled purchase; `answer` is None where nothing was found, or the person was erased."""

    provider: str
    kind: str
    asked_for: str | None
    records: tuple[str, ...]
    outcome: str | None
    cost: int
    is_free: bool
    answer: Mapping[str, Any] | None
    settled_at: datetime
    revision: int


@dataclass(frozen=True)
class Count:
    """Number and credits of purchases of one kind in one state."""

    provider: str
    kind: str
    state: State
    outcome: str
    purchases: int
    credits: int = field(default=0)


class PurchaseLedger:
    """The purchases in a database; safe with threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(  # noqa: PLR0917 - each argument is plain at the call
        self,
        provider: str,
        kind: str,
        run: str,
        orders: Sequence[Order],
        budget: Budget,
        now: datetime,
    ) -> Reservation:
        """Record which orders are asked for now: those that nobody has, in their order, as far as the budget goes.

        What a dead process has asked for comes first: its reservation fills the budget until it is settled. Behind an
        order that cannot be paid, cheaper ones are not preferred.
        """
        by_subject = {order.subject: order for order in reversed(orders)}
        with self._database.transaction() as cursor:
            cursor.execute(_LOCK)
            spent = _spent(cursor, provider, run, now, budget.renews_on)
            subjects = list(dict.fromkeys(order.subject for order in orders))
            wanted = {"subjects": subjects, "provider": provider, "kind": kind, "now": now}
            cursor.execute(_FREE, wanted)
            rows = cursor.fetchall()
            chosen: list[Order] = []
            for subject, was_asked, asked_in, asked_at, reserved in rows:
                order = by_subject[subject]
                held = reserved if was_asked else 0
                # The question that died may have been dearer, and its answer is still to be paid.
                order = replace(order, most=max(order.most, held))
                counted = _counted(held, asked_in == run, asked_at, now, budget.renews_on)
                after = spent.plus(order.most, counted)
                if budget.is_exceeded(after):
                    break
                spent = after
                chosen.append(order)
            if chosen:
                values = [
                    (
                        *(
                            provider,
                            kind,
                            o.subject,
                            storable(o.asked_for),
                            list(o.records),
                            run,
                            now,
                        ),
                        *(now + LEASE, o.most),
                    )
                    for o in chosen
                ]
                template = (
                    "(%s, %s, %s, %s, %s::text[], %s, %s::timestamptz, %s::timestamptz, %s::int)"
                )
                execute_values(cursor, _ASK, values, template, page_size=len(values))
        taken = {order.subject for order in chosen}
        repeated = frozenset(s for s, was_asked, *_ in rows if was_asked and s in taken)
        return Reservation(tuple(chosen), repeated, len(rows) - len(chosen))

    def settle(
        self, provider: str, kind: str, run: str, settlements: Iterable[Settlement], now: datetime
    ) -> int:
        """Record responses; return how many purchases were settled by them.

        A purchase that another process has taken over meanwhile is left to it.
        """
        values = [
            (
                *(
                    provider,
                    kind,
                    s.subject,
                    run,
                    "settled" if s.is_final else "waiting",
                    s.outcome,
                ),
                *(s.is_free, s.cost, None if s.answer is None else Json(storable(s.answer)), now),
                s.retry_at,
            )
            for s in settlements
        ]
        if not values:
            return 0
        template = "(%s, %s, %s, %s, %s, %s, %s::boolean, %s::int, %s::jsonb, %s::timestamptz, %s::timestamptz)"
        with self._database.transaction() as cursor:
            cursor.execute(_LOCK)
            execute_values(cursor, _SETTLE, values, template, page_size=len(values))
            return int(cursor.rowcount)

    def spending(self, provider: str, run: str, now: datetime, renews_on: int = 1) -> Spending:
        """Return the credits spent by a run, today and this month (UTC); see `Budget.renews_on`."""
        with self._database.transaction() as cursor:
            return _spent(cursor, provider, run, now, renews_on)

    def revision(self) -> int:
        """Return the number of the last change; 0 before the first."""
        with self._database.transaction() as cursor:
            cursor.execute("SELECT coalesce(max(revision), 0) FROM crm_state.purchases")
            [revision] = cursor.fetchone() or (0,)
        return int(revision)

    def most_charged(self, provider: str, after: int) -> int:
        """Return the most that a provider can have charged for purchases of all runs after a revision.

        Purchases that are under way count with what they may cost.
        """
        with self._database.transaction() as cursor:
            cursor.execute(_CHARGED, (provider, after))
            [most] = cursor.fetchone() or (0,)
        return int(most)

    def correct(self, provider: str, run: str, after: int, unexplained: int) -> int:
        """Count credits that no answer named with the purchases of a run after a revision; return how many were counted.

        No purchase gets more than was reserved for it: what is beyond that may be of others who use the account.
        """
        wanted = {"provider": provider, "run": run, "after": after, "credits": unexplained}
        with self._database.transaction() as cursor:
            cursor.execute(_LOCK)
            cursor.execute(_CORRECT, wanted)
            return sum(int(added) for [added] in cursor.fetchall())

    def unknown(self, provider: str, kind: str, subjects: Sequence[str], now: datetime) -> int:
        """Return how many of some subjects may be asked for now."""
        wanted = {"subjects": list(subjects), "provider": provider, "kind": kind, "now": now}
        with self._database.transaction() as cursor:
            cursor.execute(_FREE, wanted)
            return len(cursor.fetchall())

    def underway(self, provider: str, kind: str, subjects: Sequence[str], now: datetime) -> int:
        """Return how many of some subjects another process has asked for, or one that died may have; see `LEASE`."""
        with self._database.transaction() as cursor:
            cursor.execute(
                "SELECT count(*) FROM crm_state.purchases WHERE provider = %s AND kind = %s "
                "AND subject = ANY(%s) AND state = 'asked' AND lease_until > %s",
                (provider, kind, list(subjects), now),
            )
            [count] = cursor.fetchone() or (0,)
        return int(count)

    def answers(self, after: int = 0) -> list[Answer]:
        """Return settled and erased purchases after a revision, in the order of their last change."""
        with self._database.transaction() as cursor:
            cursor.execute(_ANSWERS, (after,))
            return [
                Answer(
                    *(provider, kind, asked_for, tuple(records), outcome, cost or 0, bool(is_free)),
                    *(answer, settled_at, revision),
                )
                for provider, kind, asked_for, records, outcome, cost, is_free, answer, settled_at, revision in (
                    cursor.fetchall()
                )
            ]

    def counts(self) -> list[Count]:
        """Return the numbers of purchases by provider, kind, state and outcome."""
        with self._database.transaction() as cursor:
            cursor.execute(_COUNTS)
            return [Count(*row) for row in cursor.fetchall()]

    def erase(self, subjects: Iterable[str], records: Iterable[str], *, apply: bool = False) -> int:
        """Return how many purchases of some subjects or records there are; with `apply`, erase what was bought.

        The rows stay, without values, so that the persons are not bought again.
        """
        wanted = {"subjects": sorted(subjects), "records": sorted(records)}
        with self._database.transaction() as cursor:
            cursor.execute(_LOCK)
            cursor.execute(_HELD, wanted)
            [held] = cursor.fetchone() or (0,)
            if apply and held:
                cursor.execute(_ERASE, wanted)
        return int(held)


def _spent(cursor: Cursor, provider: str, run: str, now: datetime, renews_on: int) -> Spending:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = _month_start(day, renews_on)
    cursor.execute(_SPENT, {"provider": provider, "run": run, "day": day, "month": month})
    [row] = cursor.fetchall()
    return Spending(*map(int, row))


def _counted(
    reserved: int, is_of_run: bool, asked_at: datetime | None, now: datetime, renews_on: int
) -> Spending:
    """Return where the reservation of a dead process is counted: it need not be paid for once more."""
    if not reserved or asked_at is None:
        return Spending(0, 0, 0)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Spending(
        reserved if is_of_run else 0,
        reserved if asked_at >= day else 0,
        reserved if asked_at >= _month_start(day, renews_on) else 0,
    )


def _month_start(day: datetime, renews_on: int) -> datetime:
    """Return the last day on which a month began, at or before a day."""
    this = day.replace(day=min(renews_on, monthrange(day.year, day.month)[1]))
    if this <= day:
        return this
    before = day.replace(day=1) - timedelta(days=1)
    return before.replace(day=min(renews_on, before.day))
