"""Small steps from what a vendor writes to what people mean by it: instants, days, stays in stages.

Plain Python over texts of JSON; the zone rules are those of `zoneinfo`. Every fact is keyed by
`<object>:<id>`, as the vendor names both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
Table = dict[str, Row]
Tables = dict[str, Table]


def instant(text: str | None) -> datetime | None:
    """Read an instant; one without an offset is Pipedrive's UTC."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)


def day(at: str | datetime | None, zone: str) -> date | None:
    """Return the day of an instant in a zone; a day without a time is that day everywhere."""
    if not at:
        return None
    if isinstance(at, str) and len(at) == len("2026-01-01"):
        return date.fromisoformat(at)
    moment = instant(at) if isinstance(at, str) else at
    return moment.astimezone(ZoneInfo(zone)).date() if moment else None


def minutes(starts: datetime | None, ends: datetime | None) -> int | None:
    """Return the whole minutes from one instant to another."""
    return int((ends - starts).total_seconds() // 60) if starts and ends else None


def number(value: Any) -> Decimal | None:
    """Read a number of JSON or text exactly."""
    return None if value in (None, "") else Decimal(str(value))


def divided(amount: Decimal, rate: Any) -> Decimal | None:
    """Return an amount in the main currency, by units of its own currency for one of that."""
    if not rate:
        return None
    exact = amount / Decimal(str(rate))
    return exact.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP)


def yes(value: Any) -> bool | None:
    """Read a truth value of JSON or text; nothing is unknown."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).lower())


def joined(*names: str | None) -> str | None:
    """Compose a name of its parts."""
    return " ".join(name for name in names if name) or None


@dataclass(frozen=True)
class Stay:
    """A deal's stay in a stage, with start and end; no end while it is in the stage."""

    stage: str
    entered_at: datetime | None
    left_at: datetime | None


def stays_of(moves: Sequence[tuple[datetime, str]]) -> list[Stay]:
    """Return the stays of moves in order; other changes than of the stage start no new one."""
    entered = [one for at, one in enumerate(moves) if at == 0 or moves[at - 1][1] != one[1]]
    ends = [*(later[0] for _, later in pairwise(entered)), None]
    return [Stay(stage, at, end) for (at, stage), end in zip(entered, ends, strict=True)]


def history(stays: Mapping[str, Sequence[Stay]], zone: str) -> Tables:
    """Return each stay, and where each deal stood at the end of three past days of the account."""
    entered = sorted(one.entered_at for many in stays.values() for one in many if one.entered_at)
    listed: Table = {}
    past: Table = {}
    for deal, many in stays.items():
        order = sorted(many, key=lambda one: (one.entered_at, one.left_at or _END))
        for place, stay in enumerate(order, 1):
            listed[f"{deal}#{place}"] = vars(stay) | {}
        for end in past_ends(entered, zone):
            there = [s for s in many if s.entered_at and s.entered_at < end <= (s.left_at or _END)]
            if there:
                past[f"{deal}@{end.isoformat()}"] = {"stage": there[-1].stage}
    return {"stage_stays": listed, "stage_on_day": past}


_END = datetime(9999, 1, 1, tzinfo=UTC)


def past_ends(entered: Sequence[datetime], zone: str) -> list[datetime]:
    """Return the ends of three days of an account: after a quarter, half, three quarters of all moves."""
    if not entered:
        return []
    ends = set()
    for part in (1, 2, 3):
        local = entered[len(entered) * part // 4].astimezone(ZoneInfo(zone)).date()
        midnight = datetime.combine(local + timedelta(days=1), time(), ZoneInfo(zone))
        ends.add(midnight.astimezone(UTC))
    return sorted(ends)


def deal_activity(activities: Table) -> Table:
    """Return the first and the last day of the activities of each deal."""
    days: dict[str, list[date]] = {}
    for row in activities.values():
        if row["deal"] and row["day"]:
            days.setdefault(row["deal"], []).append(row["day"])
    return {
        deal: {"first_on": min(many), "last_on": max(many), "activities": len(many)}
        for deal, many in days.items()
    }


def by_id(records: Iterable[Mapping[str, Any]], key: str = "id") -> dict[str, Mapping[str, Any]]:
    """Return records by their ids as text."""
    return {str(record[key]): record for record in records}


def absent(obj: str, ids: Iterable[Any]) -> Table:
    """Return the expected rows of deleted records: none among the live ones."""
    return {f"{obj}:{one}": {"is_live": False} for one in ids}
