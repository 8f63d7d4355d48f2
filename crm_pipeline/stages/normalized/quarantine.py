"""Keep landed rows that cannot be normalized in quarantine, as they landed, with the reason.

They are determined at every build: rows that a newer reader or mapping can use leave the quarantine.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.errors import ContractError
from crm_pipeline.kernel.identity import path_name
from crm_pipeline.model.names import literal
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
_UNUSABLE, _CONTRACT = "normalized", "contract"


def keep_unusable(
    engine: Engine, connection: str, landed: ObjectInput, landing: Landing, ranking: Ranking
) -> Counter[str]:
    """Write unusable rows to the quarantine, and return their number by reason.

    Quarantine files of earlier builds are removed; `landing` still has the rows.
    """
    parts = _parts(engine, landed, ranking)
    reasons = Counter[str]()
    for sql in parts.values():
        reasons.update(dict(engine.rows(f"SELECT _reason, count(*) FROM ({sql}) GROUP BY ALL")))
    _write(engine, connection, landed, landing, parts, reasons, _UNUSABLE)
    return reasons


def keep_failing(
    engine: Engine, connection: str, inputs: Sequence[ObjectInput], landing: Landing, failing: str
) -> Counter[str]:
    """Write the landed rows of rows that break a contract to the quarantine, and return their number by reason.

    Args:
        engine: runs the SQL.
        connection: the connection.
        inputs: the objects of the table.
        landing: where they landed.
        failing: SQL for the rows: `object`, `source_id`, `batch_id` and `_reason`.
    """
    reasons = Counter[str]()
    for landed in inputs:
        own = f"(SELECT * FROM ({failing}) WHERE object = {literal(landed.object)})"
        parts: dict[str, str] = {}
        for shape in ("csv", "json"):
            paths = [batch.path for batch in landed.batches if batch.shape == shape]
            if paths:
                parts[shape] = (
                    f"SELECT f._reason, r.* FROM {parquet_files(paths)} r JOIN {own} f "
                    "ON r._source_id = f.source_id AND r._batch_id = f.batch_id"
                )
        found = Counter(dict(engine.rows(f"SELECT _reason, count(*) FROM {own} GROUP BY ALL")))
        _write(engine, connection, landed, landing, parts if found else {}, found, _CONTRACT)
        reasons.update(found)
    return reasons


def forget_failing(connection: str, inputs: Sequence[ObjectInput], landing: Landing) -> None:
    """Remove the quarantined rows of contracts that earlier builds wrote; no row breaks one now."""
    for landed in inputs:
        folder = landing.quarantine(connection, landed.object) / "normalized"
        _forget(folder, f"{_CONTRACT}-{path_name(landed.entry.table)}-", set())


def forget_all(connection: str, inputs: Sequence[ObjectInput], landing: Landing) -> None:
    """Remove all quarantined rows that earlier builds of a table wrote; every record can be used now."""
    forget_failing(connection, inputs, landing)
    for landed in inputs:
        folder = landing.quarantine(connection, landed.object) / "normalized"
        _forget(folder, f"{_UNUSABLE}-{path_name(landed.entry.table)}-", set())


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


def _write(  # noqa: PLR0917 - each argument is plain at the call
    engine: Engine,
    connection: str,
    landed: ObjectInput,
    landing: Landing,
    parts: Mapping[str, str],
    reasons: Counter[str],
    kind: str,
) -> None:
    """Write rows to keep in quarantine, and remove those of earlier builds."""
    folder = landing.quarantine(connection, landed.object) / "normalized"
    prefix = f"{kind}-{path_name(landed.entry.table)}-"
    name = f"{prefix}{inputs_fingerprint([landed])}"
    written: dict[str, FileSum] = {}
    for part, sql in parts.items():
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
    _forget(folder, prefix, kept)


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
