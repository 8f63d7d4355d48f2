"""The metadata of a materialisation: counts, cost, window, schema, and a masked preview.

Numbers keep their names over time, so that Dagster plots them. Metadata never hold secrets or personal data;
previews go through `masking`.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import dagster as dg

from crm_pipeline.kernel.clock import Window, format_instant
from crm_pipeline.kernel.text import printable
from crm_pipeline.model.lineage import Origins
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.table import Column
from crm_pipeline.model.tables import DERIVED
from crm_pipeline.orchestration.lineage import LINEAGE, described, is_from_several, words
from crm_pipeline.orchestration.markdown import kept, literally
from crm_pipeline.orchestration.masking import as_table, preview
from crm_pipeline.stages.normalized import Normalized
from crm_pipeline.stages.published import Publication
from crm_pipeline.stages.raw import Extraction, shrink_text
from crm_pipeline.store.field_backfills import FieldBackfill
from crm_pipeline.store.landing.freshness import Freshness, complete_up_to
from crm_pipeline.store.landing.outstanding import Outstanding
from crm_pipeline.store.quarantine import Quarantined

Metadata = dict[str, Any]
COMPLETE = "complete_up_to"
HISTORY = "history_read_from"
FILLED = "field_backfill_read"
MISSING = "records_missing_unreadable"
RETIRED = "landed_versions_removed"
DROPPED = "records_dropped"
CALLS_BESIDE = "api_calls_beside_the_read"
MISSED = "records_missed_by_refreshes"


def extraction(done: Extraction, calls: int | None = None) -> Metadata:
    """Return what one extraction did, in numbers and words.

    Args:
        done: the extraction.
        calls: all calls to the account meanwhile: plans are about those of the read, and it was asked about itself too.
    """
    metadata: Metadata = {
        "changed": done.changed,
        "records_read": done.read,
        "records_landed": done.records,
        "records_already_landed": done.known,
        "records_deleted": done.deleted,
        "records_quarantined": done.quarantined,
        "bytes": done.bytes,
        "api_calls": done.calls,
        "api_calls_planned": done.planned_calls,
        "seconds_planned": round(done.planned_s, 1),
        "window": window(done.window),
        "window_id": done.window_id,
        "route": done.route,
        "route_reason": done.reason,
    }
    if calls is not None:
        metadata[CALLS_BESIDE] = max(0, calls - done.calls)
    if done.unit != "calls":
        metadata[f"api_{done.unit}"] = done.cost
        metadata[f"api_{done.unit}_planned"] = done.planned_cost
    if done.shrink is not None:
        metadata["records_missing"] = done.shrink.rows
        metadata["absence"] = shrink_text(done.shrink)
    if done.missed is not None:
        metadata |= {
            MISSED: done.missed.late,
            f"{MISSED}_new": done.missed.new,
            f"{MISSED}_changed": done.missed.changed,
            f"{MISSED}_deleted": done.missed.deleted,
            "records_changed_without_time_stamp": done.missed.unstamped,
        }
    if done.vendor_count is not None:
        metadata["source_count"] = done.vendor_count
    if done.watermark is not None:
        metadata["watermark"] = format_instant(done.watermark)
    if done.warnings:
        metadata["warnings"] = dg.MetadataValue.md(_bullets(done.warnings))
    if done.schema_changes:
        metadata["schema_changes"] = dg.MetadataValue.md(_bullets(map(str, done.schema_changes)))
    return metadata


def month(records: int, size: int) -> Metadata:
    """Return what one month has of a read of several."""
    return {"dagster/partition_row_count": records, "records_landed": records, "bytes": size}


def history(fresh: Freshness) -> Metadata:
    """Return where the history of an object begins, if it has not been read from its beginning."""
    return {HISTORY: format_instant(fresh.history_from)} if fresh.history_from else {}


def complete(rows: Iterable[Freshness]) -> Metadata:
    """Return up to when all of some objects are complete, by our last looks at them; nothing where none was read."""
    oldest = complete_up_to(rows)
    return {COMPLETE: dg.MetadataValue.timestamp(oldest)} if oldest is not None else {}


def missing(missing: Outstanding) -> Metadata:
    """Return how many records of an object are missing because they could not be read."""
    return {MISSING: missing.records} if missing.records else {}


def dropped(sets: Iterable[Quarantined]) -> Metadata:
    """Return how many records of sets a person has dropped; nothing where there are none."""
    records = sum(each.records for each in sets if each.is_dropped)
    return {DROPPED: records} if records else {}


def field_backfill(backfill: FieldBackfill | None) -> Metadata:
    """Return how far the history of an object's new fields is filled; nothing where there are none."""
    if backfill is None:
        return {}
    reason = {"field_backfill_reason": backfill.reason} if backfill.reason else {}
    return {
        "field_backfill": backfill.state,
        "field_backfill_fields": ", ".join(backfill.names),
        "field_backfill_records": backfill.records,
        "field_backfill_filled": backfill.filled,
        FILLED: backfill.read_last,
        "field_backfill_left": backfill.left,
        **reason,
    }


def gap(fresh: Freshness) -> str:
    """Return a sentence about missing older changes, and how they are read."""
    assert fresh.history_from is not None
    since = format_instant(fresh.history_from)
    return (
        f"{fresh.object}: what was last changed before {since} has not been read. A refresh, or a backfill "
        "from the first month on, reads it."
    )


def extracted(done: Extraction) -> Metadata:
    """Return schema and preview of an extraction that changed something; some 20 KB."""
    if not done.changed:
        return {}
    metadata: Metadata = {"dagster/column_schema": source_columns(done.schema)}
    if shown := preview(done.schema, done.sample):
        metadata["preview"] = dg.MetadataValue.md(shown)
    return metadata


def normalized(
    done: Normalized,
    shown: Sequence[Mapping[str, str | None]] = (),
    origins: Origins | None = None,
    made_of: dg.TableColumnLineage | None = None,
) -> Metadata:
    """Return what one build of a normalized table did.

    Args:
        done: the build.
        shown: masked rows.
        origins: what the columns are made of, and `made_of` the same as Dagster's lineage.
        made_of: see `origins`.
    """
    metadata: Metadata = {
        "dagster/row_count": done.rows,
        "changed": done.changed,
        "rows_live": done.live,
        "rows_deleted": done.rows - done.live,
        "batches": done.batches,
        "rows_landed": done.landed,
        "rows_superseded": done.superseded,
        "rows_quarantined": done.quarantined,
        "values_unconverted": sum(done.unconverted.values()),
    }
    if done.changed:
        metadata["built"] = f"whole: {done.because}" if done.because else "from the version before"
    if done.history is not None:
        metadata["history_rows"] = done.history.rows
    if done.doubts:
        metadata["absence"] = dg.MetadataValue.md(_bullets(map(str, done.doubts)))
    if done.version is not None:
        metadata["version"] = done.version.version
    if done.repaired:
        metadata["repaired"] = done.repaired
    if done.changed and done.unconverted:
        metadata["unconverted"] = dg.MetadataValue.md(
            _bullets(f"{name}: {count:,}" for name, count in done.unconverted.items())
        )
    if done.changed and done.columns:
        metadata["dagster/column_schema"] = _stored_columns(done.columns, origins or {})
        if made_of is not None and made_of.deps_by_column:
            metadata[LINEAGE] = made_of
    if shown:
        metadata["preview"] = dg.MetadataValue.md(as_table(shown))
    return metadata


def published(
    done: Publication,
    table: str,
    rows: Mapping[str, int] = MappingProxyType({}),
    feeding: Iterable[Freshness] = (),
) -> Metadata:
    """Return what a publish did with one table.

    Args:
        done: the publish.
        table: the table.
        rows: its live rows by connection, none for tables that no single connection feeds.
        feeding: how fresh the objects are that feed it.
    """
    metadata: Metadata = {"changed": done.changed, "release": done.release, "file": done.path.name}
    if done.repaired:
        metadata["repaired"] = ", ".join(done.repaired)
    if table in done.rows:
        metadata["dagster/row_count"] = done.rows[table]
        metadata["rows_deleted"] = done.deleted.get(table, 0)
    elif rows and table not in DERIVED:
        # Nothing was written, so the file has the rows of before; the page shows the count of the last event.
        metadata["dagster/row_count"] = sum(rows.values())
    metadata |= {f"rows_of_{connection}": number for connection, number in rows.items()}
    return metadata | complete(feeding)


def window(read: Window) -> str:
    """Return a window as text."""
    start = format_instant(read.from_at) if read.from_at else "the beginning"
    return f"{start} up to {format_instant(read.to_at)}"


def source_columns(schema: Schema) -> dg.TableSchema:
    """Return the vendor's fields as Dagster's table schema."""
    return dg.TableSchema(columns=[_source_column(field) for field in schema.fields])


def model_columns(columns: Iterable[Column]) -> dg.TableSchema:
    """Return the columns of a table of the common model as Dagster's table schema."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name=column.name, type=column.type, description=kept(column.description))
            for column in columns
        ]
    )


def columns_made_of(
    columns: Iterable[Column],
    origins: Origins,
    made_of: dg.TableColumnLineage,
    *,
    by_table: bool = False,
) -> Metadata:
    """Return the schema of a table whose columns say what they are made of, and their lineage.

    Args:
        columns: of the table.
        origins: what they are made of, and `made_of` the same as Dagster's lineage.
        made_of: see `origins`.
        by_table: whether the origins are columns of tables, whose names are always given.
    """
    schema = model_columns(described(columns, origins, by_table=by_table))
    return {"dagster/column_schema": schema, **({LINEAGE: made_of} if origins else {})}


def data_version(done: Normalized) -> dg.DataVersion | None:
    """Return the version of the table as Dagster's version of the data: what did not change makes nothing stale."""
    return dg.DataVersion(done.version.version) if done.version is not None else None


def _source_column(field: Field) -> dg.TableColumn:
    return dg.TableColumn(
        name=printable(field.name),
        type=printable(field.type),
        description=literally(field.label),
        constraints=dg.TableColumnConstraints(nullable=field.nullable),
    )


def _stored_columns(columns: Iterable[Mapping[str, Any]], origins: Origins) -> dg.TableSchema:
    several = is_from_several(origins)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=printable(column["name"]),
                type=column["type"],
                description=_stored_description(column, origins, several=several),
            )
            for column in columns
        ]
    )


def _stored_description(column: Mapping[str, Any], origins: Origins, *, several: bool) -> str:
    """Return a description; only those of a common table, which has origins, are known to be our own text."""
    text = column["description"]
    if not origins:
        return literally(text)
    own = origins.get(column["name"])
    return f"{kept(text)} {words(own, named=several)}" if own else kept(text)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {literally(line)}" for line in lines)
