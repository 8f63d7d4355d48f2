"""The table `ops.sweeps`: what sweeps of values without a modification time have compared and landed."""

from collections.abc import Collection

import pyarrow as pa

from crm_pipeline.stages.published.operations import OpsTable
from crm_pipeline.store.sweeps import MOST_RESULTS, Sweeps

_TEXT, _WHOLE = pa.string(), pa.int64()
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "connection": (_TEXT, "Name of the connection."),
    "object": (_TEXT, "The vendor's name of the object."),
    "kind": (_TEXT, "lists: such as associations; fields: those that the CRM computes."),
    "compared_values": (_TEXT, "The values that were compared, in words."),
    "swept_at": (pa.timestamp("us", "UTC"), "When the sweep ended."),
    "compared": (_WHOLE, "Records whose values were compared."),
    "differing": (_WHOLE, "Records whose values differed; each was read whole."),
    "landed": (_WHOLE, "Versions that landed; what did not differ any more did not."),
    "calls": (_WHOLE, "API calls of the sweep."),
    "cost": (_WHOLE, "What it cost, in the vendor's unit."),
    "unit": (_TEXT, "The vendor's unit: calls, credits or tokens."),
    "is_complete": (
        pa.bool_(),
        "Whether it came to the end of the object; otherwise the next one goes on where it stopped.",
    ),
    "error": (_TEXT, "Why it stopped before the end; NULL where nothing failed."),
    "is_latest": (pa.bool_(), "Whether it is the last sweep of these values of the object."),
}
_ABOUT = (
    "Sweeps of values that change without moving a modification time, such as formulas: the last "
    f"{MOST_RESULTS} of each object and kind."
)


def sweeps_table(sweeps: Sweeps, connections: Collection[str]) -> OpsTable:
    """Return the table of the results of sweeps of some connections."""
    rows = []
    for connection in connections:
        results = sweeps.results(connection)
        last = {(each.object, each.kind): number for number, each in enumerate(results)}
        rows += [
            (
                connection,
                each.object,
                each.kind,
                each.what,
                each.swept_at,
                each.compared,
                each.differing,
                each.landed,
                each.calls,
                each.cost,
                each.unit,
                each.is_complete,
                each.error or None,
                last[each.object, each.kind] == number,
            )
            for number, each in enumerate(results)
        ]
    return OpsTable("sweeps", _ABOUT, _COLUMNS, rows)
