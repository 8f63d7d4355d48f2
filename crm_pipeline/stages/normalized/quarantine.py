"""Keeps landed rows that cannot be normalized, in the shape in which they landed, with the reason."""

from pathlib import Path

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.stages.normalized.fold import quarantine_sql, without_id
from crm_pipeline.stages.normalized.inputs import ObjectInput, inputs_fingerprint
from crm_pipeline.store import files
from crm_pipeline.store.engine import Engine
from crm_pipeline.store.landing import Landing


def keep_unusable(engine: Engine, connection: str, one: ObjectInput, landing: Landing) -> int:
    """Write the rows without an id to the quarantine, once per set of batches; count them."""
    count = without_id(engine, one)
    if not count:
        return 0
    name = f"normalized-{inputs_fingerprint([one])}"
    folder = files.make_folder(_folder(landing.root, connection, one.object))
    for shape in ("csv", "json"):
        sql = quarantine_sql(one, shape)
        path = folder / f"{name}-{shape}.parquet"
        if sql is not None and not path.exists():
            with files.replacing(path, "rejects") as temporary:
                engine.copy_to(sql, temporary)
    record = {
        "connection": connection,
        "object": one.object,
        "records": count,
        "reasons": {"the record carries no id": count},
        "quarantined_at": format_instant(landing.clock.now()),
    }
    files.write_json(folder / f"{name}.json", record, "rejects_manifest")
    return count


def _folder(root: Path, connection: str, obj: str) -> Path:
    return root / "quarantine" / path_name(connection) / path_name(obj) / "normalized"
