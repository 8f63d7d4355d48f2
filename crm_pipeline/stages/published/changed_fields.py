"""The table `ops.schema_changes`: fields that changed, what it is concluded from, and what was decided."""

import json
from collections.abc import Collection

import pyarrow as pa

from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.drift import Register

_TEXT, _INSTANT = pa.string(), pa.timestamp("us", "UTC")
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "number": (pa.int64(), "Number of the change, as `crm-pipeline drift accept` takes it."),
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
    "field": (_TEXT, "The vendor's name of the field."),
    "kind": (
        _TEXT,
        "What happened: added, removed, retyped, emptied, rescaled and so on; docs/operations.md explains each.",
    ),
    "old": (_TEXT, "The fact before: a type, a label, a length; NULL where there is none."),
    "new": (_TEXT, "The fact now; NULL where there is none."),
    "change": (_TEXT, "The change as a sentence."),
    "state": (
        _TEXT,
        "open until somebody accepts or ignores it, or it is undone in the CRM (resolved).",
    ),
    "policy": (
        _TEXT,
        "What it does while it is open: block holds its table back, warn only says so, evolve takes it over.",
    ),
    "table_name": (
        _TEXT,
        "The table whose values showed it; NULL where the vendor's description did.",
    ),
    "successor": (
        _TEXT,
        "The field that has taken the place of a removed one, as the values of records show.",
    ),
    "evidence": (_TEXT, "What it is concluded from, as JSON: numbers by name."),
    "seen_at": (_INSTANT, "When it was first noticed (UTC)."),
    "last_seen_at": (_INSTANT, "When it was last noticed (UTC)."),
    "decided_at": (_INSTANT, "When it was accepted, ignored or resolved (UTC)."),
    "decided_by": (_TEXT, "person, policy or vendor."),
}


def schema_changes(register: Register, connections: Collection[str]) -> OpsTable:
    """Return the table of changed fields of some connections."""
    rows = [
        (
            change.number,
            change.connection,
            change.object,
            change.field,
            change.kind,
            change.old or None,
            change.new or None,
            change.text,
            change.state,
            change.policy,
            change.table or None,
            change.proposal or None,
            json.dumps(dict(change.evidence), ensure_ascii=False) if change.evidence else None,
            change.seen_at,
            change.last_seen_at,
            change.decided_at,
            change.decided_by or None,
        )
        for change in register.readable()
        if change.connection in connections
    ]
    about = "Changes of the vendors' fields and of what they hold, until somebody decides about them and after."
    return OpsTable("schema_changes", about, _COLUMNS, rows)
