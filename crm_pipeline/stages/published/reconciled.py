"""The table `ops.reconciliation`: what audits have compared, month by month, and what they found."""

from collections.abc import Collection

import pyarrow as pa

from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.audits import Audits

_TEXT, _WHOLE = pa.string(), pa.int64()
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
    "month": (_TEXT, "Month of modification that was compared; NULL: the whole object."),
    "audited_at": (pa.timestamp("us", "UTC"), "When it was compared."),
    "compared_by": (
        _TEXT,
        (
            "count: the vendor's count of live records, in which a lost record and a ghost of the same month cancel out; "
            "ids: all ids with their modification times; content: whole records; log: the vendor's log of deletions."
        ),
    ),
    "state": (
        _TEXT,
        (
            "equal; healed: what differed is right in landing, and in the tables with the next refresh; differs: it is not; "
            "unknown: no comparison was possible."
        ),
    ),
    "in_crm": (_WHOLE, "Live records in the CRM; NULL: not counted."),
    "with_us": (_WHOLE, "Live records here, before anything was healed."),
    "missing": (_WHOLE, "Records of the CRM that were not here."),
    "ghosts": (_WHOLE, "Records here that the CRM has no more."),
    "stale": (_WHOLE, "Records of which an older version was here."),
    "kept_apart": (
        _WHOLE,
        "Records of the CRM that are not here for a reason: they are quarantined, or their persons were erased.",
    ),
    "healed": (_WHOLE, "Records among missing, ghosts and stale that are right now."),
    "calls": (_WHOLE, "API calls of the comparison."),
    "verdict": (_TEXT, "All this as a sentence."),
    "is_latest": (pa.bool_(), "Whether it is the last comparison of the month."),
}


def reconciliation_table(audits: Audits, connections: Collection[str]) -> OpsTable:
    """Return the table of the results of audits of some connections."""
    rows = [
        (
            each.connection,
            each.object,
            each.month or None,
            each.audited_at,
            each.by,
            each.state,
            each.in_crm,
            each.with_us,
            each.missing,
            each.ghosts,
            each.stale,
            each.apart,
            each.healed,
            each.calls,
            each.verdict,
            results.audited_at(each.month) == each.audited_at,
        )
        for connection in connections
        for results in audits.at(connection).objects.values()
        for each in results.all
    ]
    about = "Comparisons of the CRMs with what is here: the last one of each month, and those before that found something."
    return OpsTable("reconciliation", about, _COLUMNS, rows)
