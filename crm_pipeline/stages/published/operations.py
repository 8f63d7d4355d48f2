"""Tables of schema `ops`: windows, batches, versions, quality, changes of schemas, fields."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.model.schema import Field
from crm_pipeline.stages.published.carried import Finding
from crm_pipeline.stages.published.relations import PublishedTable, connection_of
from crm_pipeline.stages.published.stage_tables import StageRows
from crm_pipeline.stages.published.views import View
from crm_pipeline.store.landing import Landing

_TEXT = pa.string()
_WHOLE = pa.int64()
_INSTANT = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class OpsTable:
    """One table of schema `ops`: `columns` maps a name to its type and description.

    Rows that are many are Arrow tables in `more`, with these columns.
    """

    name: str
    description: str
    columns: dict[str, tuple[pa.DataType, str]]
    rows: Sequence[tuple[Any, ...]]
    more: Sequence[pa.Table] = ()

    @property
    def arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        arrays = [
            pa.array([row[index] for row in self.rows], kind)
            for index, (kind, _) in enumerate(self.columns.values())
        ]
        table = pa.table(dict(zip(self.columns, arrays, strict=True)))
        return pa.concat_tables([table, *(more.select(table.column_names) for more in self.more)])


_OBJECT = {
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
}
_RANGE = {
    "from_at": (_INSTANT, "Start of the window, included; NULL is the beginning of time."),
    "to_at": (_INSTANT, "End of the window, not included."),
}


def windows(landing: Landing, connections: Iterable[str]) -> OpsTable:
    """Return the table of committed windows."""
    rows = [
        (
            connection,
            obj,
            commit.window_id,
            commit.kind,
            commit.window.from_at,
            commit.window.to_at,
            commit.records,
            commit.known,
            commit.quarantined,
            commit.vendor_count_before,
            commit.vendor_count,
            commit.uncounted,
            commit.differs_by,
            commit.calls,
            commit.cost or commit.calls,
            commit.planned_cost,
            commit.reads,
            commit.route,
            commit.reason,
            commit.proves_absence,
            None if commit.missed is None else commit.missed.late,
            commit.committed_at,
        )
        for connection in connections
        for obj in landing.objects(connection)
        for commit in landing.windows(connection, obj)
    ]
    columns = {
        **_OBJECT,
        "window_id": (_TEXT, "Id of the window."),
        "kind": (
            _TEXT,
            (
                "window: all changes in it; point: single records, read by their ids, which says nothing about a time; "
                "sweep: all ids."
            ),
        ),
        **_RANGE,
        "records": (_WHOLE, "Records landed."),
        "known": (_WHOLE, "Records read that had landed before."),
        "quarantined": (_WHOLE, "Records read that could not be landed."),
        "vendor_count_before": (_WHOLE, "The same as vendor_count, before reading."),
        "vendor_count": (
            _WHOLE,
            "The vendor's own count for the window, after reading; NULL if it offers none.",
        ),
        "uncounted": (
            _WHOLE,
            "Records read that these counts leave out: deleted ones of some CRMs.",
        ),
        "differs_by": (
            _WHOLE,
            (
                "By how many records the read lies outside the counts before and after; known and quarantined ones are "
                "included, uncounted ones are not. 0: reconciled; NULL if there is no count."
            ),
        ),
        "calls": (_WHOLE, "API calls spent."),
        "cost": (_WHOLE, "The same in the vendor's unit: calls, credits or tokens."),
        "planned_cost": (_WHOLE, "Cost that was planned; NULL if that is not known."),
        "reads": (
            _WHOLE,
            "Number of reads in this row; old reads are merged, and the counts added up.",
        ),
        "route": (_TEXT, "How it was read."),
        "reason": (_TEXT, "Why that way."),
        "is_complete": (
            pa.bool_(),
            "Whether all live records were read and believed, so that absence means deletion; reads of changes are not.",
        ),
        "missed": (
            _WHOLE,
            "Records that refreshes should have read before and had not; NULL: the read was no nightly one.",
        ),
        "committed_at": (_INSTANT, "When the window was finished."),
    }
    return OpsTable("windows", "Time windows that were read to their end.", columns, rows)


def batches(landing: Landing, connections: Iterable[str], *, merged: bool = True) -> OpsTable:
    """Return the table of committed batches; with `merged` False without those of merged windows."""
    rows: list[tuple[Any, ...]] = []
    more: list[pa.Table] = []
    for connection, obj in ((c, o) for c in connections for o in landing.objects(c)):
        for commit in landing.windows(connection, obj):
            if commit.origins is not None:
                if merged:
                    facts = landing.merged_facts(connection, obj, commit)
                    more.append(_of_merged(facts, connection, obj, commit.window_id))
                continue
            rows += [
                (
                    connection,
                    obj,
                    batch.batch_id,
                    commit.window_id,
                    batch.route,
                    batch.records,
                    batch.bytes,
                    batch.calls,
                    batch.schema_fingerprint,
                    batch.sha256,
                    batch.started_at,
                    batch.finished_at,
                    None,
                )
                for batch in commit.batches
            ]
    columns = {
        **_OBJECT,
        "batch_id": (_TEXT, "Id of the batch; rows of schema crm carry it."),
        "window_id": (_TEXT, "The row of ops.windows that the batch belongs to."),
        "route": (_TEXT, "How it was read."),
        "records": (_WHOLE, "Records in the batch."),
        "bytes": (_WHOLE, "Size of the landed file."),
        "calls": (_WHOLE, "API calls spent."),
        "schema_fingerprint": (_TEXT, "Fingerprint of the object's fields at that time."),
        "sha256": (_TEXT, "Checksum of the landed file."),
        "started_at": (_INSTANT, "When reading started."),
        "finished_at": (_INSTANT, "When the file was complete."),
        "merged_into": (
            _TEXT,
            "The file that has its rows since old small files were merged; NULL: they are in a file of its own.",
        ),
    }
    return OpsTable("batches", "Landed files, as they were landed.", columns, rows, more)


def _of_merged(facts: pa.Table, connection: str, obj: str, window_id: str) -> pa.Table:
    """Return the rows of the batches that were merged into a commit."""
    ids, into = facts.column("batch_id"), facts.column("merged_into")
    own = facts.schema.get_field_index("merged_into")
    facts = facts.set_column(own, "merged_into", pc.if_else(pc.equal(ids, into), None, into))
    for name, value in (("connection", connection), ("object", obj), ("window_id", window_id)):
        facts = facts.append_column(name, pa.repeat(pa.scalar(value, _TEXT), facts.num_rows))
    return facts


def table_versions(
    published: Iterable[PublishedTable], of_stages: Iterable[StageRows] = ()
) -> OpsTable:
    """Return the table of the versions that the published file is made of."""
    rows: list[tuple[Any, ...]] = [
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
    rows += [
        (None, made.name, v.version, v.rows, v.meta["live"], None, None, v.committed_at)
        for made in of_stages
        for v in made.versions
    ]
    columns = {
        "connection": (_TEXT, "Name of the connection. NULL: the table is made of all of them."),
        "table_name": (_TEXT, "Table of schema crm."),
        "version": (_TEXT, "Version of the connection's part, or of the whole table."),
        "rows": (_WHOLE, "Records, deleted ones included."),
        "live": (_WHOLE, "Records that are not deleted."),
        "batches": (_WHOLE, "Landed batches that it is made of, where it is made of such."),
        "quarantined": (
            _WHOLE,
            "Landed rows that could not be used; what never landed is in ops.freshness.remarks.",
        ),
        "committed_at": (_INSTANT, "When the version was made."),
    }
    return OpsTable("tables", "Versions that this file is made of.", columns, rows)


CONTRACT, CONSISTENCY = "contract", "consistency"
FINDINGS = f"""
SELECT connection, table_name, rule, severity, failures, rows, examples
FROM {{ops}}.quality WHERE kind = '{CONSISTENCY}'
"""
"""The results of the rules between tables; `ops` is SQL for the file's schema."""


def quality(
    published: Iterable[PublishedTable],
    findings: Iterable[Finding] = (),
    yesterday: Mapping[tuple[str, str, str, str], float] | None = None,
) -> OpsTable:
    """Return the table of the results of all rules: of contracts on every version, and between tables.

    Args:
        published: the tables with the results of their contracts.
        findings: the results of the rules between tables.
        yesterday: the share of rows that broke each rule, by connection, table, kind and rule.
    """
    of_contracts: list[tuple[Any, ...]] = [
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
    between_tables: list[tuple[Any, ...]] = [
        (
            finding.connection,
            finding.table,
            finding.rule,
            CONSISTENCY,
            finding.severity,
            finding.failures,
            finding.rows,
            list(finding.examples),
        )
        for finding in findings
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
        "rows": (_WHOLE, "Live rows that were checked."),
        "examples": (pa.list_(_TEXT), "Keys of a few such rows."),
        "share": (pa.float64(), "failures / rows. NULL: no row was checked."),
        "share_yesterday": (
            pa.float64(),
            "The same in the last publish before today, UTC. NULL: there was none, or it did not check the rule.",
        ),
    }
    before = yesterday or {}
    rows = [
        (*row, _share(row[5], row[6]), before.get((row[0], row[1], row[3], row[2])))
        for row in (*of_contracts, *between_tables)
    ]
    about = "Rules for the live rows, the rows that break them, and how their share moved."
    return OpsTable("quality", about, columns, rows)


def _share(failures: int, rows: int) -> float | None:
    return failures / rows if rows else None


def published_findings(snapshot: Path) -> tuple[Finding, ...]:
    """Return the results of the rules between tables in a published file; none where it cannot be read."""
    try:
        with closing(duckdb.connect(str(snapshot), read_only=True)) as file:
            return findings_of(file.execute(FINDINGS.format(ops="ops")).fetchall())
    except duckdb.Error:
        return ()


def findings_of(rows_found: Iterable[Sequence[Any]]) -> tuple[Finding, ...]:
    """Return the findings in rows that `FINDINGS` selects."""
    return tuple(
        Finding(connection, table, rule, severity, failures, rows, tuple(examples))
        for connection, table, rule, severity, failures, rows, examples in rows_found
    )


def fields(views: Iterable[tuple[str, str, str, View]], landing: Landing) -> OpsTable:
    """Return the table of every source field and where analysts find it.

    Args:
        views: connection, object, table and view.
        landing: with the fields that are not read.
    """
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
        (
            *(connection, obj, field.name, field.label, field.type, table, None, None, None),
            _EXCLUDED if field.kept_out else _NOT_READ,
        )
        for connection, obj, table, _ in views
        for field in _left_out(landing, connection, obj)
    ]
    columns = {
        **_OBJECT,
        "field": (_TEXT, "The field's API name."),
        "label": (_TEXT, "The field's human name."),
        "type": (_TEXT, "The vendor's type."),
        "table_name": (_TEXT, "Table of schema crm."),
        "column_name": (_TEXT, "Column there; NULL: the value is in custom, by API name."),
        "view_name": (_TEXT, "View with one column per field."),
        "view_column": (_TEXT, "Column of that view."),
        "note": (_TEXT, "Why the field's values are not read; NULL: they are read."),
    }
    return OpsTable("fields", "Where to find each source field.", columns, rows)


_NOT_READ = "Not read: contents of files and the like take a call for each record."
_EXCLUDED = "Not read: connections.yaml excludes it."


def _left_out(landing: Landing, connection: str, obj: str) -> Sequence[Field]:
    """Return the fields that the vendor describes and the connector does not read, as far as the schema has them."""
    schema = landing.latest_schema(connection, obj)
    left_out: Sequence[Field] = schema.left_out if schema is not None else ()
    return left_out


def publication(release: int, layout: int, at: datetime) -> OpsTable:
    """Return the table that describes the published file itself."""
    columns = {
        "release": (_WHOLE, "Number of the release that the file shows."),
        "layout": (_WHOLE, "Version of the file's layout."),
        "published_at": (_INSTANT, "When it was built."),
    }
    return OpsTable("publication", "What this file is.", columns, [(release, layout, at)])
