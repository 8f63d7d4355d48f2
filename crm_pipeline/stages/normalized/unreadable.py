"""Find records whose text cannot be read, such as one with half a surrogate pair, and the reason.

A build looks for them only after one has stopped it: looking each time would make every build 5 % slower.
"""

from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.versions import IS_READABLE, json_records
from crm_pipeline.store.tables.engine import Engine

_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = r"\\u[dD][89a-fA-F]"
REASON = (
    "CASE WHEN record IS NULL THEN 'the record is empty' "
    "WHEN json_valid(record) THEN 'the record is no JSON object' "
    f"WHEN regexp_matches(regexp_replace(record, '{_PAIR}', '', 'g'), '{_HALF}') "
    "THEN 'the record holds half a surrogate pair' "
    "ELSE 'the record is no valid JSON' END"
)
"""SQL for the reason why a record cannot be read."""


def unreadable(engine: Engine, landed: ObjectInput) -> str:
    """Compute `_batch_id`, `_row` and `_source_id` of the records that cannot be read; "" where all can."""
    records = json_records(landed.batches)
    if records is None:
        return ""
    relation = engine.table(
        f"{landed.name} unreadable",
        f"SELECT _batch_id, _row, _source_id FROM {records} WHERE NOT {IS_READABLE}",
    )
    return relation if engine.row(f"SELECT count(*) FROM {relation}")[0] else ""
