"""The table `ops.quarantine`: records that could not be used, by object and reason; there are no values in it."""

from collections.abc import Collection

import pyarrow as pa

from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.quarantine import Quarantine

_TEXT, _INSTANT = pa.string(), pa.timestamp("us", "UTC")
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (_TEXT, "Id of the set, as `crm-pipeline quarantine explain` takes it."),
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
    "table_name": (
        _TEXT,
        "Table of schema crm that is built without them; NULL: they could not be landed.",
    ),
    "stage": (
        _TEXT,
        (
            "landing: they could not be read when they came; normalized: their table could not be built with them; "
            "contract: they break a rule of a contract."
        ),
    ),
    "reason": (_TEXT, "What is wrong with them."),
    "records": (pa.int64(), "Their number."),
    "since": (_INSTANT, "When the first of them came from the CRM."),
    "last_seen": (_INSTANT, "When one of them was last set aside."),
    "is_dropped": (pa.bool_(), "Whether a person has decided that nobody needs them."),
}


def quarantine_table(store: Quarantine, connections: Collection[str]) -> OpsTable:
    """Return the table of the quarantined records of some connections."""
    rows = [
        (
            each.id,
            each.connection,
            each.object,
            each.table or None,
            each.stage,
            each.reason,
            each.records,
            each.since,
            each.last_seen_at,
            each.is_dropped,
        )
        for each in store.sets()
        if each.connection in connections
    ]
    about = "Records that could not be used, by reason, until they can be, or somebody drops them."
    return OpsTable("quarantine", about, _COLUMNS, rows)
