"""`ops.checks`: what the checks of Dagster's assets say, from the same stored results, for those who ask by SQL."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from crm_pipeline.connectors.upkeep import span
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.drift import Register
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.quarantine import Quarantine
from crm_pipeline.store.tables import TableVersion

_TEXT, _INSTANT = pa.string(), pa.timestamp("us", "UTC")
_SHOWN_RULES = 3
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object; NULL: the check is of a table."),
    "table_name": (_TEXT, "Table of schema crm; NULL: the check is of an object."),
    "check_name": (
        _TEXT,
        (
            "freshness: the object can be read, and was looked at in time; count: the last read agrees with the vendor's "
            "counts; fields: no change of a field waits for a decision; quarantine: no record is set aside; contract: no "
            "rule of the table's contract is broken; held_back: the table is of all that has landed."
        ),
    ),
    "passed": (pa.bool_(), "Whether there is nothing to look at."),
    "severity": (_TEXT, "error: data are missing or old; warning: look at it."),
    "detail": (_TEXT, "What is found, in a sentence."),
    "checked_at": (
        _INSTANT,
        "When the result came about: of the build of the table, of the read, or of this file.",
    ),
}


@dataclass(frozen=True)
class CheckFacts:
    """The stored results.

    Attributes:
        freshness: of all objects.
        versions: current versions of tables, by connection and table.
        windows: `ops.windows`.
        changes: the register of changed fields.
        quarantine: of all stages.
        connections: names of the configured ones.
    """

    freshness: Sequence[Freshness]
    versions: Mapping[tuple[str, str], TableVersion]
    windows: OpsTable
    changes: Register
    quarantine: Quarantine
    connections: Sequence[str]


def is_fresh(fresh: Freshness) -> bool:
    """Say whether an object can be read and was looked at in time."""
    return fresh.state not in ("failing", "unknown") and not fresh.is_late


def freshness_words(fresh: Freshness) -> str:
    """Say how fresh an object is."""
    if fresh.state == "failing":
        since = f" since {_second(fresh.failing_since)}" if fresh.failing_since else ""
        return f"It cannot be had{since}: {fresh.error}"
    if fresh.state == "unknown":
        return f"Whether it can be had is not known: {fresh.error}"
    if fresh.current_at is None:
        return "It has not been read yet."
    at = _second(fresh.current_at)
    if fresh.is_late:
        every = span(fresh.refresh_every_s)
        return f"It is late: what is here is complete up to {at}, and is meant to be every {every}."
    return f"What is here is complete up to {at}."


def checks_table(facts: CheckFacts, at: datetime) -> OpsTable:
    """Return the table of the results of checks; `at` is now."""
    rows = [
        *_of_objects(facts, at),
        *_counts(facts),
        *_fields(facts, at),
        *_quarantine(facts, at),
        *_contracts(facts),
    ]
    about = "What the checks of the assets say now: of objects, and of the newest versions of their tables."
    return OpsTable("checks", about, _COLUMNS, rows)


def _of_objects(facts: CheckFacts, at: datetime) -> Iterator[tuple[Any, ...]]:
    held: dict[tuple[str, str], datetime | None] = {}
    for fresh in facts.freshness:
        fine, words = is_fresh(fresh), freshness_words(fresh)
        yield (fresh.connection, fresh.object, None, "freshness", fine, "error", words, at)
        for table in fresh.tables:
            key = (fresh.connection, table)
            held[key] = held.get(key) or fresh.held_back_since
    for (connection, table), since in held.items():
        detail = (
            f"It keeps its last good version since {_second(since)}."
            if since
            else "It is of all that has landed."
        )
        yield (connection, None, table, "held_back", since is None, "error", detail, since or at)


def _counts(facts: CheckFacts) -> Iterator[tuple[Any, ...]]:
    """Yield the comparison of the last read of each object, where the vendor counts."""
    names = list(facts.windows.columns)
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for row in facts.windows.rows:
        window = dict(zip(names, row, strict=True))
        if window["kind"] == "window":
            key = (window["connection"], window["object"])
            if key not in last or window["committed_at"] >= last[key]["committed_at"]:
                last[key] = window
    for (connection, obj), window in last.items():
        differs = window["differs_by"]
        if differs is None:
            continue
        counted = f"the vendor counts {window['vendor_count']:,}"
        detail = f"{counted}, and the read agrees."
        if differs:
            detail = f"{counted}, and the read differs by {differs:,}."
        at = window["committed_at"]
        yield (connection, obj, None, "count", differs == 0, "error", detail, at)


def _fields(facts: CheckFacts, at: datetime) -> Iterator[tuple[Any, ...]]:
    waiting: dict[tuple[str, str], list[str]] = {
        (fresh.connection, fresh.object): [] for fresh in facts.freshness
    }
    for change in facts.changes.readable():
        key = (change.connection, change.object)
        if change.state == "open" and key in waiting:
            waiting[key].append(change.text)
    for (connection, obj), texts in waiting.items():
        detail = " ".join(texts[:_SHOWN_RULES]) or "No change waits for a decision."
        yield (connection, obj, None, "fields", not texts, "warning", detail, at)


def _quarantine(facts: CheckFacts, at: datetime) -> Iterator[tuple[Any, ...]]:
    missing: dict[tuple[str, str], int] = {
        (fresh.connection, fresh.object): 0 for fresh in facts.freshness
    }
    for connection in facts.connections:
        for each in facts.quarantine.sets(connection):
            key = (connection, each.object)
            if key in missing and not each.is_dropped:
                missing[key] += each.records
    for (connection, obj), records in missing.items():
        detail = f"{records:,} records are set aside." if records else "No record is set aside."
        yield (connection, obj, None, "quarantine", not records, "warning", detail, at)


def _contracts(facts: CheckFacts) -> Iterator[tuple[Any, ...]]:
    for (connection, table), version in facts.versions.items():
        results = version.meta["results"]
        broken = [
            (rule, severity, failures)
            for rule, severity, failures, _ in results
            if failures and severity != "note"
        ]
        named = "; ".join(
            f"{rule}: {failures:,} rows" for rule, _, failures in broken[:_SHOWN_RULES]
        )
        detail = f"{len(broken)} of {len(results)} rules are broken{f': {named}' if named else ''}."
        worst = "error" if any(severity == "error" for _, severity, _ in broken) else "warning"
        at = version.committed_at
        yield (connection, None, table, "contract", not broken, worst, detail, at)


def _second(at: datetime) -> str:
    return format_instant(at.replace(microsecond=0))
