"""Tables of the stage `verified`, made by hand: what publishing reads, without the stage."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.verified_tables import StageTable
from crm_pipeline_tests.stages.conftest import Org

Row = Mapping[str, Any]
_ALWAYS = {"rules_version": "1", "checked_at": datetime(2026, 11, 23, tzinfo=UTC)} | {
    "method": "offline"
}


def point(record_key: str, kind: str, value: str, verdict: str, **more: Any) -> dict[str, Any]:
    """Return a row of `contact_points`, by default of the main address in a contact."""
    usual = {"table_name": "contacts", "label": "main", "position": 1, "is_primary": True}
    normalized = None if verdict in {"undeliverable", "invalid"} else value.strip()
    made = {"record_key": record_key, "kind": kind, "value": value, "verdict": verdict}
    connection = record_key.partition(":")[0]
    return {
        **usual,
        "connection": connection,
        "normalized": normalized,
        "reasons": [],
        **made,
    } | more


def email_verdicts(points: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows of `email_verdicts` that go with contact points, one for each text and address."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for text in dict.fromkeys(row["value"] for row in points if row["kind"] == "email"):
        in_text = {row["normalized"]: row for row in points if row["value"] == text}
        for position, row in enumerate(in_text.values(), 1):
            same = {name: row.get(name) for name in ("value", "verdict", "reasons", "suggestion")}
            more = {"position": position, "email_normalized": row["normalized"]}
            found[text, position] = {**_ALWAYS, **same, **more}
    return list(found.values())


def judge(org: Org, points: Sequence[Row], phones: Sequence[Row] = ()) -> None:
    """Commit the three tables for these contact points."""
    rows = {"email_verdicts": email_verdicts(points), "phone_verdicts": phones}
    for table in VERIFIED.tables:
        stage(org, table, {**rows, "contact_points": points}[table.name])


def stage(org: Org, table: StageTable, rows: Sequence[Row], **meta: Any) -> None:
    """Commit a version of a stage's table with these rows."""
    name = VERIFIED.stored_name(table.name)
    columns = [
        {"name": c.name, "type": c.type, "description": c.description} for c in table.columns
    ]
    with org.tables.stage(name, table.key) as staged:
        write(table, rows, str(staged.path()))
        parent = org.tables.version(name)
        staged.commit(parent, len(rows), {"live": len(rows), "columns": columns, **meta})


def write(table: StageTable, rows: Sequence[Row], path: str) -> None:
    """Write rows of a stage's table to a Parquet file."""
    with duckdb.connect(config={"threads": 1}) as database:
        database.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(f'"{c.name}" {c.type}' for c in table.columns)
        database.execute(f"CREATE TABLE made ({listed})")
        if rows:
            names = [c.name for c in table.columns if any(c.name in row for row in rows)]
            batch = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
            database.register("batch", batch)
            wanted = ", ".join(f'"{name}"' for name in names)
            database.execute(f"INSERT INTO made ({wanted}) SELECT {wanted} FROM batch")
        database.execute(f"COPY made TO '{path}' (FORMAT parquet)")
