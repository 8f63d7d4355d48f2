"""What a refresh costs where nothing changed: calls by the vendor's journal, CPU of the process, and what it writes.

`python -m benchmarks.quiet_refresh [--contacts 200] [--only CONNECTION...]`. The sandbox stands in this process; each refresh is timed in another,
from inside, without the start of the interpreter and of PostgreSQL. `whole` refreshes read every object, as they did before
probes stood for reads; `quiet` ones ask. Objects that are read whole (users, pipelines) are no part of it: they have no
probe.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.measuring import machine, table
from crm_sandbox.server import SandboxServer

REPOSITORY = Path(__file__).parents[1]
NAMES = ("salesforce_demo", "hubspot_demo", "pipedrive_demo", "zoho_demo")
_ROUNDS = 2


def report(contacts: int = 200, names: Sequence[str] = NAMES) -> str:
    """Measure some connections and return a table in Markdown."""
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="crm-") as folder,
        SandboxServer(contacts=contacts) as sandbox,
    ):
        _project(Path(folder), sandbox.port)
        environ = {**os.environ, "CRM_SANDBOX_PORT": str(sandbox.port)}
        for name in names:
            done = _measured(Path(folder), environ, sandbox, "backfill", name)
            print(f"{name}: backfill {done}", file=sys.stderr)
            for how in ("whole", "quiet"):
                figures = [
                    _measured(Path(folder), environ, sandbox, how, name) for _ in range(_ROUNDS)
                ]
                print(f"{name}: {how} {figures}", file=sys.stderr)
                best = min(figures, key=lambda each: each["cpu_s"])
                rows.append(
                    (
                        name,
                        how,
                        str(best["objects"]),
                        str(best["calls"]),
                        f"{best['cpu_s']:.2f}",
                        f"{best['seconds']:.2f}",
                        str(best["files"]),
                    )
                )
    columns = ("connection", "refresh", "objects", "calls", "CPU s", "seconds", "new files")
    return f"{contacts} contacts; {machine()}\n\n{table(columns, rows)}"


def _project(folder: Path, port: int) -> None:
    """Write the shipped connections into a folder of their own, with the objects that can be probed."""
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.orchestration.partitions import is_snapshot

    shipped = yaml.safe_load((REPOSITORY / "connections.yaml").read_text())["connections"]
    (folder / "connections.yaml").write_text(
        yaml.safe_dump({"connections": {name: shipped[name] for name in NAMES}})
    )
    shutil.copy(REPOSITORY / ".env.example", folder / ".env")
    (folder / ".env").chmod(0o600)
    settings = load_settings(folder, {"CRM_SANDBOX_PORT": str(port)})
    for name in NAMES:
        connection = settings.connection(name)
        dated = [obj.name for obj in connection.objects if not is_snapshot(connection, obj)]
        shipped[name]["objects"] = dated[:16]
        mapping = shipped[name].get("mapping", {})
        shipped[name]["mapping"] = {key: value for key, value in mapping.items() if key in dated}
    (folder / "connections.yaml").write_text(
        yaml.safe_dump({"connections": {name: shipped[name] for name in NAMES}})
    )


def _measured(
    folder: Path, environ: dict[str, str], sandbox: SandboxServer, how: str, name: str
) -> dict[str, Any]:
    before, files = sandbox.journal.count(), _files(folder)
    command = [sys.executable, "-m", "benchmarks.quiet_refresh", "--run", how, name, str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**figures, "calls": sandbox.journal.count() - before, "files": _files(folder) - files}


def _files(folder: Path) -> int:
    data = folder / "data"
    return sum(
        path.is_file() for part in ("landing", "tables") for path in (data / part).rglob("*")
    )


def _run(how: str, name: str, folder: Path) -> None:
    """Run one refresh in this process and print its figures as JSON."""
    import time

    import crm_pipeline.definitions  # noqa: F401 - what is loaded by now does not count
    from crm_pipeline.cli.runs import instance_of
    from crm_pipeline.configuration import load_settings
    from crm_pipeline.orchestration import runs
    from crm_pipeline.orchestration.quiet import Due

    settings = load_settings(folder, dict(os.environ))
    objects = [obj.name for obj in settings.connection(name).objects]
    if how == "whole":
        runs.due_objects = lambda *_, **__: Due(tuple(objects))
    with instance_of(settings) as instance:
        cpu_s, started_s = time.process_time(), time.perf_counter()
        if how == "backfill":
            summary = runs.run_backfill(settings, name, None, None, instance)
        else:
            summary = runs.run_refresh(settings, name, instance)
        figures = {
            "cpu_s": time.process_time() - cpu_s,
            "seconds": time.perf_counter() - started_s,
            "objects": len(objects),
            "landed": sum(summary.landed.values()),
            "ran": bool(summary.run_id),
            "failed": [failed.message for failed in summary.failed],
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=NAMES, metavar="CONNECTION")
    parser.add_argument("--run", nargs=3, metavar=("HOW", "CONNECTION", "FOLDER"))
    chosen = parser.parse_args()
    if chosen.run:
        _run(chosen.run[0], chosen.run[1], Path(chosen.run[2]))
    else:
        print(report(chosen.contacts, chosen.only))
