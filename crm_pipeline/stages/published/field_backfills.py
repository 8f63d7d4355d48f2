"""The table `ops.field_backfills`: how far the histories of new fields are filled."""

from collections.abc import Collection

import pyarrow as pa

from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.field_backfills import FieldBackfills

_TEXT, _WHOLE, _INSTANT = pa.string(), pa.int64(), pa.timestamp("us", "UTC")
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
    "fields": (_TEXT, "The new fields, by the vendor's names, with commas between them."),
    "state": (
        _TEXT,
        (
            "filling: some records still have NULL in these fields whatever the CRM holds, and the next refreshes go on; "
            "complete: none has; impossible: records of the object cannot be read by their ids, so only those have the "
            "fields that were edited since."
        ),
    ),
    "records": (_WHOLE, "Live records that had been read without the fields when it began."),
    "filled": (_WHOLE, "Those of them that have landed with the fields since, or are deleted."),
    "absent": (
        _WHOLE,
        "Those that did not land: merged, hidden or refused ones, and such that cannot be read.",
    ),
    "records_left": (_WHOLE, "Those that are still to be read."),
    "calls": (_WHOLE, "API calls of the reads."),
    "cost": (_WHOLE, "What they cost, in the vendor's unit."),
    "started_at": (_INSTANT, "When it began."),
    "completed_at": (_INSTANT, "When it ended; NULL: it has not."),
    "reason": (_TEXT, "Why it stopped before its end; NULL: it did not."),
}
_ABOUT = (
    "Fields that came after records had been read: the last backfill of each object. Records that are left have NULL in "
    "the fields until they are read."
)


def field_backfills_table(backfills: FieldBackfills, connections: Collection[str]) -> OpsTable:
    """Return the table of the last backfill of each object of some connections."""
    rows = [
        (
            connection,
            obj,
            ", ".join(each.names),
            each.state,
            each.records,
            each.filled,
            each.absent,
            each.left,
            each.calls,
            each.cost,
            each.started_at,
            each.completed_at,
            each.reason or None,
        )
        for connection in connections
        for obj, each in sorted(backfills.at(connection).objects.items())
        if each.names and each.records
    ]
    return OpsTable("field_backfills", _ABOUT, _COLUMNS, rows)
