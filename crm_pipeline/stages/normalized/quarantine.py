"""Keep landed rows that cannot be normalized in quarantine, as they landed, with the reason.

They are determined at every build: rows that a newer reader or mapping can use leave the quarantine.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.settings import QuarantineLimit
from crm_pipeline.stages.normalized.inputs import ObjectInput, inputs_fingerprint
from crm_pipeline.stages.normalized.ranking import Ranking
from crm_pipeline.stages.normalized.unreadable import REASON
from crm_pipeline.stages.normalized.versions import HAS_ID, all_keys, json_records
from crm_pipeline.store import files
from crm_pipeline.store.files.checksums import FileSum
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables.engine import Engine, parquet_files

_NO_ID = "the record has no id"


def keep_unusable(
    engine: Engine, connection: str, landed: ObjectInput, landing: Landing, ranking: Ranking
) -> Counter[str]:
    """Write unusable rows to the quarantine, and return their number by reason.

    Quarantine files of earlier builds are removed; `landing` still has the rows.
    """
    folder = landing.quarantine(connection, landed.object) / "normalized"
    name = f"normalized-{path_name(landed.entry.table)}-{inputs_fingerprint([landed])}"
    parts = _parts(engine, landed, ranking)
    reasons = Counter[str]()
    written: dict[str, FileSum] = {}
    for part, sql in parts.items():
        reasons.update(dict(engine.rows(f"SELECT _reason, count(*) FROM ({sql}) GROUP BY ALL")))
        # Written again each time: a newer reader may use more rows of the same batches.
        path = folder / f"{name}-{part}.parquet"
        with files.replacing(path, "rejects") as temporary:
            engine.copy_to(sql, temporary)
            written[path.name] = FileSum.of(temporary)
    if reasons:
        record = {
            "connection": connection,
            "object": landed.object,
            "records": reasons.total(),
            "files": {file: file_sum.to_dict() for file, file_sum in written.items()},
            "reasons": dict(reasons),
            "quarantined_at": format_instant(landing.clock.now()),
        }
        files.write_json(folder / f"{name}.json", record, "rejects_manifest")
    kept = {*written, f"{name}.json"} if reasons else set()
    _forget(folder, f"normalized-{path_name(landed.entry.table)}-", kept)
    return reasons


def refuse_many(name: str, reasons: Mapping[str, int], rows: int, limit: QuarantineLimit) -> None:
    """Refuse a version that leaves out more records than the limit allows: then the fault is not with the records.

    Raises:
        ContractError: it leaves out too many.
    """
    count = sum(reasons.values())
    if not limit.is_exceeded(count, rows + count):
        return
    listed = "; ".join(f"{reason}: {number:,}" for reason, number in reasons.items())
    raise ContractError(
        f"{name}: {count:,} records cannot be used ({listed}), {rows:,} can. The table keeps its "
        "current version.",
        failures=[(reason, number, []) for reason, number in reasons.items()],
        cure="They are in data/quarantine, as landed; `crm-pipeline quarantine` lists and explains them. If they have been "
        "corrected in the CRM or on the way, read them again with a backfill; to go on without them, `quarantine drop` "
        f"them, or set CRM_QUARANTINE_PERCENT higher than {limit.percent}.",
    )


def _parts(engine: Engine, landed: ObjectInput, ranking: Ranking) -> dict[str, str]:
    """Return SQL for the rows to keep, as landed, by the suffix of their file's name."""
    parts: dict[str, str] = {}
    if landed.batches and _without_id(engine, landed):
        for shape in ("csv", "json"):
            paths = [batch.path for batch in landed.batches if batch.shape == shape]
            if paths:
                parts[shape] = (
                    f"SELECT '{_NO_ID}' AS _reason, * FROM {parquet_files(paths)} "
                    f"WHERE NOT ({HAS_ID})"
                )
    records = json_records(landed.batches)
    if records and ranking.set_aside:
        aside = f"SELECT _batch_id, _row FROM {ranking.set_aside}"
        parts["unreadable"] = (
            f"SELECT {REASON} AS _reason, * EXCLUDE (_row) FROM {records} "
            f"SEMI JOIN ({aside}) USING (_batch_id, _row)"
        )
    return parts


def _without_id(engine: Engine, landed: ObjectInput) -> int:
    keys = all_keys(landed.batches)
    return int(engine.row(f"SELECT count(*) FROM {keys} WHERE NOT ({HAS_ID})")[0])


def _forget(folder: Path, prefix: str, kept: set[str]) -> None:
    for path in folder.glob(f"{prefix}*") if folder.is_dir() else ():
        if path.name not in kept:
            with files.explained(path):
                path.unlink(missing_ok=True)
