"""Schema `ops`: what was read, what it cost, what changed and how good it is, as tables."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from crm_pipeline.model.schema import Field, changes
from crm_pipeline.stages.published.consistency import Finding
from crm_pipeline.stages.published.relations import PublishedTable, connection_of
from crm_pipeline.stages.published.views import View
from crm_pipeline.store.landing import Landing

_TEXT = pa.string()
_WHOLE = pa.int64()
_INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class OpsTable:
    """One table of schema `ops`: `columns` maps a name to its type and description."""

    name: str
    description: str
    columns: dict[str, tuple[pa.DataType, str]]
    rows: Sequence[tuple[Any, ...]]

    @property
    def arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        arrays = [
            pa.array([row[index] for row in self.rows], kind)
            for index, (kind, _) in enumerate(self.columns.values())
        ]
        return pa.table(dict(zip(self.columns, arrays, strict=True)))


_OBJECT = {
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
}
_SPAN = {
    "from_at": (_INSTANT, "Start of the span, included; NULL is the beginning of time."),
    "to_at": (_INSTANT, "End of the span, not included."),
}


def windows(landing: Landing, connections: Iterable[str]) -> OpsTable:
    """List the committed windows."""
    rows = [
        (
            connection,
            obj,
            one.window_id,
            one.kind,
            one.window.from_at,
            one.window.to_at,
            one.records,
            one.known,
            one.quarantined,
            one.vendor_count_before,
            one.vendor_count,
            one.uncounted,
            one.differs_by,
            one.calls,
            one.cost or one.calls,
            one.planned_cost,
            one.reads,
            one.route,
            one.reason,
            one.proves_absence,
            one.committed_at,
        )
        for connection in connections
        for obj in landing.objects(connection)
        for one in landing.windows(connection, obj)
    ]
    columns = {
        **_OBJECT,
        "window_id": (_TEXT, "Id of the window."),
        "kind": (_TEXT, "window: all changes of the span; point: single records; sweep: all ids."),
        **_SPAN,
        "records": (_WHOLE, "Records landed."),
        "known": (_WHOLE, "Records read that had landed before."),
        "quarantined": (_WHOLE, "Records read that could not be landed."),
        "vendor_count_before": (_WHOLE, "The same as vendor_count, before reading."),
        "vendor_count": (
            _WHOLE,
            "The vendor's own count of the span, after reading; NULL if it offers none.",
        ),
        "uncounted": (
            _WHOLE,
            "Of those read, what these counts leave out: deleted ones of some CRMs.",
        ),
        "differs_by": (
            _WHOLE,
            (
                "By how many records - known and quarantined ones as well, less uncounted - what was read lies outside "
                "the counts before and after; 0: reconciled. NULL if there is no count."
            ),
        ),
        "calls": (_WHOLE, "API calls spent."),
        "cost": (_WHOLE, "The same in the vendor's unit: calls, credits or tokens."),
        "planned_cost": (_WHOLE, "What the plan said it would cost; NULL if that is not known."),
        "reads": (_WHOLE, "Reads that this stands for; old ones that found nothing are merged."),
        "route": (_TEXT, "How it was read."),
        "reason": (_TEXT, "Why that way."),
        "is_complete": (
            pa.bool_(),
            "Whether every live record was read and that is believed, so absence is deletion.",
        ),
        "committed_at": (_INSTANT, "When the window was finished."),
    }
    return OpsTable("windows", "Spans of time that were read to their end.", columns, rows)


def batches(landing: Landing, connections: Iterable[str]) -> OpsTable:
    """List the committed batches."""
    rows = [
        (
            connection,
            obj,
            one.batch_id,
            one.window_id,
            one.route,
            one.records,
            one.bytes,
            one.calls,
            one.schema_fingerprint,
            one.sha256,
            one.started_at,
            one.finished_at,
        )
        for connection in connections
        for obj in landing.objects(connection)
        for one in landing.batches(connection, obj)
    ]
    columns = {
        **_OBJECT,
        "batch_id": (_TEXT, "Id of the batch; rows of schema crm carry it."),
        "window_id": (_TEXT, "The window that the batch belongs to."),
        "route": (_TEXT, "How it was read."),
        "records": (_WHOLE, "Records in the batch."),
        "bytes": (_WHOLE, "Size of the landed file."),
        "calls": (_WHOLE, "API calls spent."),
        "schema_fingerprint": (_TEXT, "Stands for the fields as they were."),
        "sha256": (_TEXT, "Checksum of the landed file."),
        "started_at": (_INSTANT, "When reading began."),
        "finished_at": (_INSTANT, "When the file was whole."),
    }
    return OpsTable("batches", "Landed files.", columns, rows)


def table_versions(published: Iterable[PublishedTable]) -> OpsTable:
    """List the versions that the publication is made of."""
    rows = [
        (
            connection_of(version),
            table.name,
            version.version,
            version.rows,
            version.meta["live"],
            version.meta["batches"],
            version.meta["quarantined"],
            version.committed_at,
        )
        for table in published
        for version in table.versions
    ]
    columns = {
        "connection": _OBJECT["connection"],
        "table_name": (_TEXT, "Table of schema crm."),
        "version": (_TEXT, "Version of the connection's part."),
        "rows": (_WHOLE, "Records, deleted ones included."),
        "live": (_WHOLE, "Records that are not deleted."),
        "batches": (_WHOLE, "Landed batches that it is made of."),
        "quarantined": (
            _WHOLE,
            "Landed rows that could not be used; what never landed is in ops.freshness.remarks.",
        ),
        "committed_at": (_INSTANT, "When the version was made."),
    }
    return OpsTable("tables", "Versions that this file is made of.", columns, rows)


CONTRACT, CONSISTENCY = "contract", "consistency"
_FINDINGS = f"""
SELECT connection, table_name, rule, severity, failures, rows, examples
FROM ops.quality WHERE kind = '{CONSISTENCY}'
"""


def quality(published: Iterable[PublishedTable], findings: Iterable[Finding] = ()) -> OpsTable:
    """List how every rule fared: of contracts on every version, and between tables."""
    of_contracts = [
        (
            connection_of(version),
            table.name,
            rule,
            CONTRACT,
            severity,
            failures,
            version.meta["live"],
            examples,
        )
        for table in published
        for version in table.versions
        for rule, severity, failures, examples in version.meta["results"]
    ]
    between_tables = [
        (
            one.connection,
            one.table,
            one.rule,
            CONSISTENCY,
            one.severity,
            one.failures,
            one.rows,
            list(one.examples),
        )
        for one in findings
    ]
    columns = {
        "connection": _OBJECT["connection"],
        "table_name": (_TEXT, "Table of schema crm."),
        "rule": (
            _TEXT,
            "contract: what is wrong with rows that break it; consistency: what is asked of every live row.",
        ),
        "kind": (_TEXT, "contract: of one table by itself; consistency: of tables together."),
        "severity": (
            _TEXT,
            "error: such a version is never published; warning: look at it; note: no fault, but good to know.",
        ),
        "failures": (_WHOLE, "Live rows that break the rule."),
        "rows": (_WHOLE, "Live rows that were looked at."),
        "examples": (pa.list_(_TEXT), "Keys of a few such rows."),
    }
    about = "Rules for the live rows, and the rows that break them."
    return OpsTable("quality", about, columns, [*of_contracts, *between_tables])


def published_findings(snapshot: Path) -> tuple[Finding, ...]:
    """Return how the rules between tables fared in a published file; nothing where it does not tell."""
    try:
        with closing(duckdb.connect(str(snapshot), read_only=True)) as file:
            found = file.execute(_FINDINGS).fetchall()
    except duckdb.Error:
        return ()
    return tuple(
        Finding(connection, table, rule, severity, failures, rows, tuple(examples))
        for connection, table, rule, severity, failures, rows, examples in found
    )


def schema_changes(landing: Landing, connections: Iterable[str]) -> OpsTable:
    """List how the vendors' fields changed between reads."""
    rows: list[tuple[Any, ...]] = []
    for connection in connections:
        for obj in landing.objects(connection):
            last = ""
            for window in landing.windows(connection, obj):
                found = window.schema_fingerprint
                if last and found != last:
                    old = landing.schema(connection, obj, last)
                    new = landing.schema(connection, obj, found)
                    rows.extend(
                        (connection, obj, window.committed_at, said) for said in changes(old, new)
                    )
                last = found
    columns = {
        **_OBJECT,
        "seen_at": (_INSTANT, "When the first read with the new fields was finished."),
        "change": (_TEXT, "What changed, in words."),
    }
    return OpsTable("schema_changes", "Changes of the vendors' fields.", columns, rows)


def fields(views: Iterable[tuple[str, str, str, View]], landing: Landing) -> OpsTable:
    """List every source field and where analysts find it; rows are (connection, object, table, view)."""
    views = list(views)
    rows: list[tuple[str | None, ...]] = [
        (
            connection,
            obj,
            column.field,
            column.label,
            column.type,
            table,
            column.column,
            f"{view.schema}.{view.name}",
            column.name,
            None,
        )
        for connection, obj, table, view in views
        for column in view.columns
    ]
    rows += [
        (connection, obj, one.name, one.label, one.type, table, None, None, None, _NOT_READ)
        for connection, obj, table, _ in views
        for one in _left_out(landing, connection, obj)
    ]
    columns = {
        **_OBJECT,
        "field": (_TEXT, "The field's API name."),
        "label": (_TEXT, "The field's human name."),
        "type": (_TEXT, "The vendor's type."),
        "table_name": (_TEXT, "Table of schema crm."),
        "column_name": (_TEXT, "Column there; NULL: the value stands in custom, by API name."),
        "view_name": (_TEXT, "View with one column per field."),
        "view_column": (_TEXT, "Column of that view."),
        "note": (_TEXT, "Why the field's values are nowhere; NULL: they are here."),
    }
    return OpsTable("fields", "Where to find each source field.", columns, rows)


_NOT_READ = "Not read: bodies of files and the like take a call for each record."


def _left_out(landing: Landing, connection: str, obj: str) -> Sequence[Field]:
    """Return the fields that the vendor describes and the connector does not read, where the schema tells them."""
    schema = landing.latest_schema(connection, obj)
    told: Sequence[Field] = schema.left_out if schema is not None else ()
    return told


def publication(release: int, layout: int, at: datetime) -> OpsTable:
    """Describe the published file itself."""
    columns = {
        "release": (_WHOLE, "Number of the release that the file shows."),
        "layout": (_WHOLE, "Version of the file's layout."),
        "published_at": (_INSTANT, "When it was built."),
    }
    return OpsTable("publication", "What this file is.", columns, [(release, layout, at)])
