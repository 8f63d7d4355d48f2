"""A backfill of four CRMs of 50,000 contacts each as a user runs it, and whether it is the truth.

The sandbox stands in this process, so that its records can be looked at past every API; `crm-pipeline
backfill --all` runs in another, at the ceilings that the vendors publish.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import yaml

from benchmarks.measuring import machine, table
from crm_sandbox.server import SandboxServer

REPOSITORY = Path(__file__).parents[1]
NAMES = ("salesforce_demo", "hubspot_demo", "pipedrive_demo", "zoho_demo")
_ROUND_TRIP_S = 0.05


def report(contacts: int = 50_000) -> str:
    """Run it and return a table in Markdown: each object, landed and published against the truth."""
    with (
        tempfile.TemporaryDirectory(prefix="crm-") as folder,
        SandboxServer(contacts=contacts) as sandbox,
    ):
        sandbox.pace.set({"latency": [_ROUND_TRIP_S, _ROUND_TRIP_S]})
        settings, environ = _project(Path(folder), sandbox.port)
        for name in NAMES:
            # The first question fills an account: that is the sandbox's time, and nobody's.
            sandbox.emulations[settings[name]["vendor"]].rows(settings[name]["objects"][0], limit=1)  # type: ignore[attr-defined]
        started_s = time.perf_counter()
        summaries = _backfilled(Path(folder), environ)
        seconds = time.perf_counter() - started_s
        calls, refused = sandbox.journal.count(), sandbox.journal.count(status=429)
        with closing(_opened(Path(folder))) as published:
            rows = [
                row
                for name, summary in zip(NAMES, summaries, strict=True)
                for row in _compared(sandbox, published, name, settings[name], summary)
            ]
            spent = published.execute(
                "SELECT connection, sum(calls), sum(planned_cost), sum(cost) FROM ops.windows "
                "GROUP BY ALL ORDER BY ALL"
            ).fetchall()
    columns = ("connection", "object", "truth", "landed", "published", "equal")
    wrong = [row for row in rows if row[-1] != "yes"]
    head = (
        f"4 CRMs of {contacts:,} contacts; {machine()}: {sum(row[3] for row in rows):,} records in "
        f"{seconds:.0f} s, {calls:,} calls, {refused} refused with 429, "
        f"{len(wrong)} of {len(rows)} objects differ"
    )
    costs = table(
        ("connection", "calls", "planned cost", "cost"), [[*map(str, row)] for row in spent]
    )
    return f"{head}\n\n{table(columns, [[*map(str, row)] for row in rows])}\n\n{costs}"


def _project(folder: Path, port: int) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Write the shipped connections of four vendors into a folder of their own."""
    shipped = yaml.safe_load((REPOSITORY / "connections.yaml").read_text())["connections"]
    chosen = {name: shipped[name] for name in NAMES}
    (folder / "connections.yaml").write_text(yaml.safe_dump({"connections": chosen}))
    shutil.copy(REPOSITORY / ".env.example", folder / ".env")
    (folder / ".env").chmod(0o600)
    return chosen, {**os.environ, "CRM_SANDBOX_PORT": str(port)}


def _backfilled(folder: Path, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "crm_pipeline", "backfill", *NAMES, "--json"]
    done = subprocess.run(command, cwd=folder, env=environ, stdout=subprocess.PIPE, check=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _opened(folder: Path) -> duckdb.DuckDBPyConnection:
    from crm_pipeline.store.tables.published import open_published

    return open_published(folder / "data")


def _compared(
    sandbox: SandboxServer,
    published: duckdb.DuckDBPyConnection,
    name: str,
    settings: Mapping[str, Any],
    summary: Mapping[str, Any],
) -> Iterator[tuple[Any, ...]]:
    """Compare the ids of every object that the sandbox can show past its API."""
    emulator: Any = sandbox.emulations[settings["vendor"]]
    for obj in settings["objects"]:
        try:
            rows = emulator.rows(obj)
        except ValueError:
            continue  # settings, such as pipelines, are no records
        key = "Id" if rows and "Id" in rows[0] else "id"
        truth = {str(row[key]) for row in rows}
        shown = published.execute(
            "SELECT view_name, view_column FROM ops.fields WHERE connection = ? AND object = ? AND "
            "lower(field) = 'id'",
            [name, obj],
        ).fetchone()
        assert shown is not None, f"{name}.{obj} is not published"
        ids = published.execute(f'SELECT "{shown[1]}"::VARCHAR FROM {shown[0]}').fetchall()
        landed = summary["landed"][obj]
        is_equal = {one for (one,) in ids} == truth and len(ids) == len(truth) <= landed
        yield name, obj, len(truth), landed, len(ids), "yes" if is_equal else "NO"


if __name__ == "__main__":
    print(report(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
