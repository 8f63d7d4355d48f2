"""Speed and memory of the stages `normalized` and `published`, on landed contacts that are kept.

`python -m benchmarks.tables --contacts 800000 --copies 10` lands once below `--folder` (from a sandbox of
its own), makes ten times as many records of that by changing ids and e-mail addresses, and prints a
Markdown table. Each stage runs alone in a child process on hard links to the landed files; peak memory is
that of the child and all that it starts, above what it held before.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import peers
from benchmarks.measuring import Figures, alone, measured, medians, table
from benchmarks.sandbox import running_sandbox

FOLDER = Path(tempfile.gettempdir()) / "crm-benchmark-tables"
STAGES = ("normalise", "publish")
CONNECTIONS = """
connections:
  bench:
    vendor: salesforce
    login_url: http://127.0.0.1:9/salesforce
    sandbox: true
    auth: {kind: client_credentials, client_id_env: BENCH_ID, client_secret_env: BENCH_SECRET}
    objects: {Contact: {route: bulk}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000, help="contacts to land")
    parser.add_argument("--copies", type=int, default=1, help="times that as many records")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    print(report(options.folder, options.contacts, options.copies, options.rounds))


def report(folder: Path, contacts: int, copies: int = 1, rounds: int = 1) -> str:
    """Measure and return a table in Markdown."""
    landed = landed_contacts(folder, contacts)
    if copies > 1:
        landed = replicated(landed, folder, copies)
    # At ten times the size the peers need more memory than there is.
    chosen = STAGES if copies > 1 else (*STAGES, *peers.CASES)
    results = [_round(landed, folder, chosen) for _ in range(rounds)]
    columns = ("stage", "rows", "seconds", "CPU s", "peak MB above idle", "MB written")
    return table(columns, (_row(stage, [one[stage] for one in results]) for stage in results[0]))


def _row(stage: str, runs: Sequence[Figures]) -> tuple[str, ...]:
    told = medians(runs)
    times = (f"{told['seconds']:.2f}", f"{told['cpu_s']:.2f}")
    sizes = (f"{told['peak_mb']:,.0f}", f"{told['written_mb']:,.0f}")
    return (stage, f"{told['rows']:,.0f}", *times, *sizes)


def landed_contacts(folder: Path, contacts: int) -> Path:
    """Return a data folder with so many contacts landed; it is made at the first call."""
    target = folder / f"landed-{contacts}"
    if target.exists():
        return target
    draft = folder / f"landing-{contacts}-{os.getpid()}"
    with running_sandbox(contacts) as url:
        alone("benchmarks.cases", "land", url, str(draft))
    target.mkdir()
    (draft / "data" / "landing").rename(target / "landing")
    shutil.rmtree(draft)
    return target


def replicated(landed: Path, folder: Path, copies: int) -> Path:
    """Return a data folder with each landed record several times, under other ids and addresses."""
    target = folder / f"{landed.name}-x{copies}"
    if target.exists():
        return target
    from crm_pipeline.store import files

    draft = folder / f"{target.name}-{os.getpid()}"
    shutil.copytree(landed, draft, copy_function=os.link)
    for path in draft.glob("landing/*/*/windows/*.json"):
        commit = files.read_json(path)
        landed_batches = list(commit["batches"])
        for number in range(1, copies):
            for batch in landed_batches:
                commit["batches"].append(_copy(path.parent.parent, batch, number))
        commit["records"] = sum(batch["records"] for batch in commit["batches"])
        files.write_json(
            path, commit
        )  # in the place of a hard link: the landed folder keeps its own
    draft.rename(target)
    return target


def _copy(folder: Path, batch: dict, number: int) -> dict:
    """Write a landed file again under a new batch id and return its manifest."""
    import duckdb

    from crm_pipeline.store.files.checksums import FileSum

    batch_id = f"{batch['batch_id']}x{number}"
    source = folder / batch["month"] / batch["path"]
    target = source.with_name(f"{batch_id}.parquet")
    changed = ", ".join(
        f"regexp_replace({column}, '^003', '{100 + number}') AS {column}"
        for column in ("_source_id", "Id", "ReportsToId")
    )
    duckdb.sql(
        f"COPY (SELECT * REPLACE ({changed}, '{batch_id}' AS _batch_id, "
        f"CASE WHEN Email <> '' THEN '{number}' || Email ELSE Email END AS Email) "
        f"FROM read_parquet('{source}')) TO '{target}' "
        "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"
    )
    return {**batch, "batch_id": batch_id, "path": target.name, **FileSum.of(target).to_dict()}


def _round(landed: Path, folder: Path, chosen: Sequence[str]) -> dict[str, Figures]:
    work = folder / f"work-{os.getpid()}"
    shutil.copytree(landed, work / "data", copy_function=os.link)
    try:
        return {stage: alone("benchmarks.tables", "--stage", stage, str(work)) for stage in chosen}
    finally:
        shutil.rmtree(work)


def _stage(stage: str, work: Path) -> Callable[[], int]:
    """Prepare a stage on the data folder below `work`; what it imports counts as idle."""
    import pandas as pd
    import pandera.pandas as pandera

    if stage == "peer_normalise_polars":
        import polars as pl  # noqa: F401

    from crm_pipeline.configuration import load_settings
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized import normalize
    from crm_pipeline.stages.published import publish
    from crm_pipeline.store.landing import Landing
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.engine import Engine

    assert pd, pandera
    (work / "connections.yaml").write_text(CONNECTIONS)
    settings = load_settings(work, {"BENCH_ID": "id", "BENCH_SECRET": "secret"})
    connection = settings.connection("bench")
    maps = connector(connection.vendor).mapping
    landing, tables = Landing(settings.data), Tables(settings.data)

    files = sorted((settings.data / "landing").glob("*/*/????-??/*.parquet"))

    def run() -> int:
        if stage in peers.CASES:
            target = work / stage
            target.mkdir()
            return peers.CASES[stage](files, target)
        with Engine(temp=settings.data / "tmp") as engine:
            if stage == "publish":
                return publish(landing, tables, engine).rows["contacts"]
            return normalize(connection, "contacts", landing, tables, maps, engine).rows

    return run


def _bytes(folder: Path) -> int:
    """Return what the files of a folder take, linked ones once."""
    found = (path.stat(follow_symlinks=False) for path in folder.rglob("*") if path.is_file())
    return sum({one.st_ino: one.st_size for one in found}.values())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        work = Path(sys.argv[3])
        run, size = _stage(sys.argv[2], work), _bytes(work)
        figures = measured(run)
        print(json.dumps(figures | {"written_mb": (_bytes(work) - size) / 2**20}))
    else:
        main()
