"""Answers about deals as they are: money, owners, sources, reasons."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from statistics import fmean, median
from typing import Any

from crm_pipeline_tests.meaning.rows import Row, Rows

Lines = Iterator[tuple[Any, ...]]


def rounded(value: float | Decimal | None, places: int) -> float | None:
    """Round half away from zero, as DuckDB does."""
    if value is None:
        return None
    scaled = abs(float(value)) * 10**places
    whole = int(scaled + 0.5 + 1e-9)
    return (whole if value >= 0 else -whole) / 10**places


def share(part: float, whole: float, places: int = 3) -> float | None:
    """Return a part of a whole, None of nothing."""
    return rounded(part / whole, places) if whole else None


def total(values: Iterable[Any]) -> Any:
    """Return the sum of the values that are not None; None if there are none."""
    numbers = [value for value in values if value is not None]
    return sum(numbers) if numbers else None


def mean(values: Iterable[Any]) -> float | None:
    """Return the mean of the values that are not None."""
    numbers = [float(value) for value in values if value is not None]
    return fmean(numbers) if numbers else None


def middle(values: Iterable[Any]) -> float | None:
    """Return the median of the values that are not None."""
    numbers = [float(value) for value in values if value is not None]
    return median(numbers) if numbers else None


def owner_of(rows: Rows, row: Row) -> tuple[str, bool | None]:
    """Return an owner's name, and whether they left."""
    for table in ("users", "users_deleted"):
        for user in rows.of(table):
            if user["user_key"] == row.get("owner_key"):
                name = user.get("full_name") or user.get("email") or row.get("owner_source_id")
                is_active = user.get("is_active") if table == "users" else False
                return name or "(nobody)", None if is_active is None else not is_active
    return row.get("owner_source_id") or "(nobody)", None


def is_closed(row: Row) -> bool:
    """Say whether a deal is known to be closed."""
    return row.get("is_closed") is True


def is_lost(row: Row) -> bool:
    """Say whether a deal is known to be lost."""
    return is_closed(row) and row.get("is_won") is False


def in_pipeline(row: Row) -> bool:
    """Say whether people see a deal in their pipeline."""
    return row.get("is_closed") is False and row.get("is_archived") is not True


def days_to_close(rows: Rows, deal: Row) -> int | None:
    """Return how many days of its account a deal took."""
    if deal.get("close_date") is None or deal.get("created_at") is None:
        return None
    return (deal["close_date"] - rows.account(deal).day(deal["created_at"])).days


def by_owner(deal: Row) -> tuple[str, Any, Any]:
    """Return a deal's owner; queues are owners, too, but no users."""
    return deal["connection"], deal.get("owner_key"), deal.get("owner_source_id")


def velocity(rows: Rows) -> Lines:
    """01."""

    closed = rows.grouped(
        "deals",
        by_owner,
        lambda deal: (
            is_closed(deal)
            and deal.get("close_date") is not None
            and deal["close_date"] > rows.today(deal) - timedelta(days=365)
        ),
    )
    for key, deals in rows.grouped("deals", by_owner, in_pipeline).items():
        done = closed.get(key, [])
        won = [deal for deal in done if deal["is_won"]]
        unrated = count_unrated(won)
        amount = None if unrated else mean(deal.get("amount_main") for deal in won)
        rate = len(won) / len(done) if done else None
        days = mean(days_to_close(rows, deal) for deal in won)
        daily = None
        if amount is not None and rate is not None and days:
            daily = len(deals) * amount * rate / days
        yield (
            key[0],
            owner_of(rows, deals[0])[0],
            len(deals),
            rows.account(deals[0]).currency,
            rounded(amount, 2),
            rounded(rate, 3),
            rounded(days, 1),
            rounded(daily, 2),
            unrated,
        )


def forecast(rows: Rows) -> Lines:
    """03."""
    stages = rows.by("stages", "pipeline_key", "name")
    pipelines = rows.by("pipelines", "pipeline_key")

    def line(deal: Row) -> tuple[Any, ...]:
        month = f"{deal['close_date']:%Y-%m}" if deal.get("close_date") else "(no day)"
        label = pipelines.get(deal.get("pipeline_key"), {}).get("label")
        stage = stages.get((deal.get("pipeline_key"), deal["stage"]), {})
        # Stages of the same name stand apart if their places in their pipelines do.
        shown = (label, stage.get("label") or deal["stage"])
        return (deal["connection"], month, *shown, deal.get("currency"), stage.get("position"))

    for key, deals in rows.grouped("deals", line, in_pipeline).items():
        weighted = []
        for deal in deals:
            chance = deal.get("probability")
            if chance is None:
                stage = stages.get((deal.get("pipeline_key"), deal["stage"]), {})
                chance = stage.get("probability")
            if chance is not None and deal.get("amount") is not None:
                weighted.append(float(deal["amount"]) * chance / 100)
        overdue = [d for d in deals if d.get("close_date") and d["close_date"] < rows.today(d)]
        amount = rounded(total(deal.get("amount") for deal in deals), 2)
        yield (*key[:-1], len(deals), amount, rounded(total(weighted), 2), len(overdue))


def count_unrated(deals: Iterable[Row]) -> int:
    """Count the deals that have an amount, but none in the main currency."""
    return sum(deal.get("amount") is not None and deal.get("amount_main") is None for deal in deals)


def worth(deals: Iterable[Row]) -> float | None:
    """Add up deals in the main currency, to cents."""
    return rounded(total(deal.get("amount_main") for deal in deals), 2)


def win_rate_by_owner(rows: Rows) -> Lines:
    """06."""
    for key, deals in rows.grouped("deals", by_owner, is_closed).items():
        name, has_left = owner_of(rows, deals[0])
        won = [deal for deal in deals if deal["is_won"]]
        won_amount = total(deal.get("amount_main") for deal in won)
        amount = total(deal.get("amount_main") for deal in deals)
        yield (
            key[0],
            name,
            has_left,
            len(deals),
            len(won),
            share(len(won), len(deals)),
            rows.account(deals[0]).currency,
            rounded(won_amount, 2),
            share(float(won_amount or 0), float(amount)) if amount else None,
            count_unrated(deals),
        )


def by_source(rows: Rows) -> Lines:
    """12."""
    for (connection, source), deals in rows.grouped(
        "deals", lambda d: (d["connection"], d.get("source") or "(unknown)"), is_closed
    ).items():
        won = [deal for deal in deals if deal["is_won"]]
        lost = [deal for deal in deals if is_lost(deal)]
        yield (
            connection,
            source,
            len(won),
            len(lost),
            share(len(won), len(deals)),
            rows.account(deals[0]).currency,
            worth(won),
            worth(lost),
            count_unrated(deals),
            middle(days_to_close(rows, deal) for deal in deals),
        )


def one_currency(rows: Rows) -> Lines:
    """14."""
    for connection, deals in rows.grouped(
        "deals", lambda d: d["connection"], lambda d: d.get("is_won")
    ).items():
        rated = [deal["rate_on"] for deal in deals if deal.get("rate_on")]
        yield (
            connection,
            rows.account(deals[0]).currency,
            len(deals),
            len({deal.get("currency") for deal in deals} - {None}),
            count_unrated(deals),
            worth(deals),
            min(rated, default=None),
            max(rated, default=None),
        )


def win_rate_over_time(rows: Rows) -> Lines:
    """15."""

    def quarter(deal: Row) -> tuple[str, str]:
        day = deal["close_date"]
        return deal["connection"], f"{day.year}-Q{(day.month - 1) // 3 + 1}"

    for key, deals in rows.grouped(
        "deals", quarter, lambda d: is_closed(d) and d.get("close_date")
    ).items():
        won = [deal for deal in deals if deal["is_won"]]
        currency = rows.account(deals[0]).currency
        rate = share(len(won), len(deals))
        yield (*key, len(deals), len(won), rate, currency, worth(won), count_unrated(won))


def loss_reasons(rows: Rows) -> Lines:
    """17."""

    def reason(deal: Row) -> str:
        return (deal.get("lost_reason") or "").strip(" ").lower() or "(none given)"

    lost = [deal for deal in rows.of("deals") if is_lost(deal)]
    of_connection = Counter(deal["connection"] for deal in lost)
    everywhere = Counter(map(reason, lost))
    for (said, connection), deals in rows.grouped(
        "deals", lambda d: (reason(d), d["connection"]), is_lost
    ).items():
        yield (
            said,
            connection,
            len(deals),
            share(len(deals), of_connection[connection]),
            everywhere[said],
            rows.account(deals[0]).currency,
            worth(deals),
            count_unrated(deals),
        )
