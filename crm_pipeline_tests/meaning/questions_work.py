"""Answers about the course of deals: stages, stays, activities, the past."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from crm_pipeline_tests.meaning.questions_deals import (
    Lines,
    in_pipeline,
    mean,
    middle,
    owner_of,
    rounded,
    share,
    total,
)
from crm_pipeline_tests.meaning.rows import Row, Rows, stays

_DAY = timedelta(days=1)
_CAME_TO_NOTHING = {"scheduled", "canceled", "rescheduled", "no_show", "failed", "bounced"}


def text_of(activity: Row, name: str) -> str:
    """Return a text of an activity, in lower case."""
    return (activity.get(name) or "").lower()


def happened(rows: Rows) -> Iterator[tuple[Row, datetime]]:
    """Yield the activities that took place until now, and when."""
    for activity in rows.of("activities"):
        if activity.get("is_closed") is False or text_of(activity, "status") in _CAME_TO_NOTHING:
            continue
        for name in ("completed_at", "starts_at", "created_at"):
            if activity.get(name) is not None:
                if activity[name] <= rows.published_at:
                    yield activity, activity[name]
                break


def _histories(rows: Rows) -> dict[str, list[Row]]:
    return rows.grouped("deal_stage_history", lambda row: row["deal_key"])


def stage_conversion(rows: Rows) -> Lines:
    """02."""
    stages = rows.by("stages", "pipeline_key", "name")
    histories = _histories(rows)
    reached: dict[tuple[str, str], float] = {}
    for deal in rows.of("deals"):
        own = deal.get("pipeline_key")
        steps = [
            (step.get("pipeline_key") or own, step["stage"])
            for step in histories.get(deal["deal_key"], ())
        ]
        for step in [*steps, (own, deal["stage"])]:
            stage = stages.get(step)
            if stage is not None and not stage["is_closed"]:
                stay_key = deal["deal_key"], step[0]
                reached[stay_key] = max(reached.get(stay_key, -1), stage["position"])
        if deal.get("is_won"):
            reached[deal["deal_key"], own] = float("inf")
    pipelines = rows.by("pipelines", "pipeline_key")
    for stage in rows.of("stages"):
        pipeline = pipelines.get(stage["pipeline_key"], {})
        if stage["is_closed"] or pipeline.get("for_table") != "deals":
            continue
        ends = [end for (_, key), end in reached.items() if key == stage["pipeline_key"]]
        came = sum(end >= stage["position"] for end in ends)
        went_on = sum(end > stage["position"] for end in ends)
        label = pipeline["label"]
        yield (
            stage["connection"],
            label,
            stage["label"],
            came,
            went_on,
            share(went_on, came),
        )


def stale_deals(rows: Rows) -> Lines:
    """08."""
    worked: dict[str, datetime] = {}
    for activity, moment in happened(rows):
        for deal in activity.get("deals") or ():
            worked[deal] = max(worked.get(deal, moment), moment)
    stages = rows.by("stages", "pipeline_key", "name")
    for deal in filter(in_pipeline, rows.of("deals")):
        moments = (
            worked.get(deal["deal_key"]),
            deal.get("created_at"),
            deal.get("stage_changed_at"),
        )
        last = max((moment for moment in moments if moment), default=None)
        if last is None or rows.published_at - last < 30 * _DAY:
            continue
        stage = stages.get((deal.get("pipeline_key"), deal["stage"]), {})
        yield (
            deal["connection"],
            deal["name"],
            stage.get("label") or deal["stage"],
            owner_of(rows, deal)[0],
            deal.get("amount"),
            deal.get("currency"),
            rows.account(deal).day(last),
            (rows.published_at - last) // _DAY,
        )


def activity_per_deal(rows: Rows) -> Lines:
    """10."""
    work: dict[str, list[str]] = {}
    for activity in rows.of("activities"):
        for deal in set(activity.get("deals") or ()):
            work.setdefault(deal, []).append(activity["activity_type"])

    def outcome(deal: Row) -> tuple[str, str | None]:
        if deal.get("is_won"):
            return deal["connection"], "won"
        closed = deal.get("is_closed")
        return deal["connection"], None if closed is None else "lost" if closed else "open"

    for key, deals in rows.grouped("deals", outcome).items():
        done = [work.get(deal["deal_key"], []) for deal in deals]
        yield (
            *key,
            len(deals),
            rounded(mean(map(len, done)), 2),
            *(
                rounded(mean(kinds.count(kind) for kinds in done), 2)
                for kind in ("call", "email", "meeting")
            ),
            sum(not kinds for kinds in done),
        )


def time_in_stage(rows: Rows) -> Lines:
    """11."""
    deals = rows.by("deals", "deal_key")
    stages = rows.by("stages", "pipeline_key", "name")
    pipelines = rows.by("pipelines", "pipeline_key")
    spent: dict[tuple[Any, ...], list[float | None]] = {}
    for key, history in _histories(rows).items():
        deal = deals.get(key)
        if deal is None:
            continue
        for stay in stays(history):
            pipeline = stay.get("pipeline_key") or deal.get("pipeline_key")
            stage = stages.get((pipeline, stay["stage"]), {})
            if stage.get("is_closed"):
                continue
            left = stay["left_at"]
            if left is None and deal.get("is_closed"):
                left = deal.get("closed_at")
            label = stage.get("label") or stay["stage"]
            line = (deal["connection"], pipeline, label, stage.get("position"))
            days = (left - stay["entered_at"]) / _DAY if left else None
            spent.setdefault(line, []).append(days)
    for (connection, pipeline, stage_label, _), waits in spent.items():
        yield (
            connection,
            pipelines.get(pipeline, {}).get("label"),
            stage_label,
            len(waits),
            sum(days is not None for days in waits),
            rounded(middle(waits), 1),
        )


def _then(deal: Row, history: list[Row], ended: datetime) -> tuple[Any, str | None, Row]:
    """Return pipeline and stage of a deal at a moment, and the row of the history with them."""
    last: Row = max(
        (row for row in history if row["changed_at"] < ended),
        key=lambda row: (row["changed_at"], len(row["source_id"]), row["source_id"]),
        default={},
    )
    stage = last.get("stage")
    if not last and (deal.get("stage_changed_at") or deal["created_at"]) < ended:
        stage = deal["stage"]
    return last.get("pipeline_key") or deal.get("pipeline_key"), stage, last


def _worth(deal: Row, last: Row) -> tuple[Any, Any, bool]:
    """Return amount and currency of that time, else the present ones, and whether they are the present ones."""
    if last.get("amount") is not None:
        return last["amount"], last.get("currency") or deal.get("currency"), False
    return deal.get("amount"), deal.get("currency"), deal.get("amount") is not None


def past_pipeline(rows: Rows) -> Lines:
    """19."""
    histories = _histories(rows)
    stages = rows.by("stages", "pipeline_key", "name")
    pipelines = rows.by("pipelines", "pipeline_key")
    closing = {stage["pipeline_key"] for stage in rows.of("stages") if stage["is_closed"]}
    lines: dict[tuple[Any, ...], list[tuple[Any, bool]]] = {}
    for deal in rows.of("deals"):
        day = rows.today(deal) - 90 * _DAY
        ended = datetime.combine(day + _DAY, time(), ZoneInfo(rows.account(deal).zone))
        if deal["created_at"] >= ended:
            continue
        pipeline, name, last = _then(deal, histories.get(deal["deal_key"], []), ended)
        stage = stages.get((pipeline, name), {})
        closed = deal.get("closed_at")
        is_open = deal["is_closed"] is False or bool(closed and closed >= ended)
        if name and pipeline in closing:
            is_open = not stage.get("is_closed")
        if is_open:
            amount, currency, is_of_today = _worth(deal, last)
            label = pipelines.get(pipeline, {}).get("label")
            shown = stage.get("label") or name or "(unknown)"
            head = (deal["connection"], day, label, shown, currency)
            line = (head, pipeline, stage.get("position"))
            lines.setdefault(line, []).append((amount, is_of_today))
    for (head, _, _), amounts in lines.items():
        known = rounded(total(amount for amount, _ in amounts), 2)
        yield (*head, len(amounts), known, sum(is_of_today for _, is_of_today in amounts))
