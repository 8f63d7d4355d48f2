"""What a refresh costs after many others: `python -m benchmarks.small_windows --windows 1 1000 10000 [--built]`.

20,000 contacts land once; then windows of one record each are committed, one after the other, as refreshes do it.
Measured are the steps of one more refresh: a new process opens landing, commits a window, lists the windows, asks
how fresh the object is, builds the table, and publishes. What is compared is the processor time, by step, with that
after one window. With `--built` the table is built after each window, as refreshes do, and what was replaced a day
ago is removed; that takes an hour for 10,000.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measuring import Figures, alone, machine, measured, medians, table
from benchmarks.tables import CONNECTIONS, landed_contacts
from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.records import STATE_COLUMNS, TIMESTAMP
from crm_pipeline.store.landing.window import Counts

CONTACTS = 20_000
WINDOWS = (1, 1_000, 10_000)
FOLDER = Path(tempfile.gettempdir()) / "crm-benchmark-windows"
STEPS = ("commit", "windows", "status", "build", "publish")
_EVERY = timedelta(minutes=5)
_A_DAY = timedelta(days=1) // _EVERY
_TICK = 0.01
"""The system counts processor time in steps of that length."""


def report(
    folder: Path = FOLDER,
    windows: Sequence[int] = WINDOWS,
    contacts: int = CONTACTS,
    rounds: int = 5,
    *,
    is_built: bool = False,
) -> str:
    """Return the processor time of each step after so many windows, and its ratio to that after the first number."""
    runs: dict[int, list[Figures]] = {number: [] for number in windows}
    for _ in range(rounds):
        for number in windows:  # alternating, because a machine's speed drifts
            landed = filled(folder, number, contacts, is_built=is_built)
            runs[number].append(_run(folder, landed, number, is_built=is_built))
            print(f"{number}: {runs[number][-1]}", file=sys.stderr)
    base = runs[windows[0]]
    rows = [
        (f"{number:,}", *(_cell(step, run, base) for step in (*STEPS, "files")))
        for number, run in runs.items()
    ]
    columns = ("windows", *(f"{step}, CPU s" for step in STEPS), "files in landing and tables")
    head = (
        f"{contacts:,} contacts, median of {rounds} rounds (ratio to the first line); {machine()}"
    )
    return f"{head}\n\n{table(columns, rows)}"


def _cell(step: str, runs: Sequence[Figures], base: Sequence[Figures]) -> str:
    value = medians(runs)[step]
    if step == "files":
        return f"{value:,.0f}"
    pairs = zip(runs, base, strict=True)
    ratio = medians([{"x": max(run[step], _TICK) / max(one[step], _TICK)} for run, one in pairs])
    return f"{value:.2f} ({ratio['x']:.2f})"


def _run(folder: Path, landed: Path, windows: int, *, is_built: bool) -> Figures:
    with tempfile.TemporaryDirectory(dir=folder) as work:
        data = Path(work) / "data"
        shutil.copytree(landed, data, copy_function=os.link)
        if not is_built:  # the version that the next build starts from
            alone("benchmarks.small_windows", "build", work, str(windows))
        steps = {
            s: alone("benchmarks.small_windows", s, work, str(windows))["cpu_s"] for s in STEPS
        }
        files = sum(
            path.is_file() for name in ("landing", "tables") for path in (data / name).rglob("*")
        )
    return {**steps, "files": float(files)}


def filled(folder: Path, windows: int, contacts: int, *, is_built: bool = False) -> Path:
    """Return a data folder with the contacts and so many windows of one record each; made at the first call."""
    step = "refresh" if is_built else "fill"
    target = folder / f"windows-{contacts}-{windows}-{step}"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{target.name}-{os.getpid()}"
        shutil.copytree(landed_contacts(folder, contacts), draft)
        alone("benchmarks.small_windows", step, str(draft), str(windows))
        draft.rename(target)
    return target


def commit_windows(data: Path, first: int, count: int) -> None:
    """Commit windows of one record each: a contact that was edited again."""
    landing = Landing(data)
    whole = landing.windows("bench", "Contact")[0]
    schema = landing.schema("bench", "Contact", whole.schema_fingerprint)
    rows = pq.read_table(whole.batches[0].path).combine_chunks().to_batches()[0]
    raw = [name for name in rows.schema.names if name not in STATE_COLUMNS]
    for number in range(first, first + count):
        end = whole.window.to_at + (number + 1) * _EVERY
        landing.clock = FrozenClock(end)
        row = rows.slice(number * 7 % rows.num_rows, 1)
        at = pa.array([end - timedelta(minutes=1)], TIMESTAMP)
        columns = [row.column("_source_id"), at, row.column("_deleted"), *map(row.column, raw)]
        page = pa.RecordBatch.from_arrays(
            columns, names=["_source_id", "_modified_at", "_deleted", *raw]
        )
        window = Window(end - 2 * _EVERY, end)
        with landing.begin(
            "bench", "Contact", window, schema, reader=whole.batches[0].reader
        ) as writer:
            writer.write([page], shape="csv", route="rest", extracted_at=end)
            writer.commit(Counts(vendor_count=1, calls=2, route="rest", present=end))


def commit(folder: Path, windows: int) -> Callable[[], int]:
    """One more window, by a process that has read nothing of landing yet."""

    def run() -> int:
        commit_windows(folder / "data", windows, 1)
        return 1

    return run


def list_windows(folder: Path, _: int) -> Callable[[], int]:
    """All windows, and the watermark."""

    def run() -> int:
        landing = Landing(folder / "data")
        assert landing.watermark("bench", "Contact")
        return len(landing.windows("bench", "Contact"))

    return run


def status(folder: Path, _: int) -> Callable[[], int]:
    """What `status` asks landing for."""
    from crm_pipeline.cli.object_status import objects_of

    settings = _settings(folder)
    return lambda: len(objects_of(settings, settings.connection("bench")))


def build(folder: Path, _: int) -> Callable[[], int]:
    """The normalized contacts, after one more window."""
    settings = _settings(folder)
    return lambda: _built(settings, settings.data)


def _built(settings, data: Path) -> int:
    from crm_pipeline.connectors.registry import connector
    from crm_pipeline.stages.normalized import normalize
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.engine import Engine

    connection, vendor = settings.connection("bench"), connector("salesforce")
    with Engine(temp=data / "tmp") as engine:
        done = normalize(
            connection,
            "contacts",
            Landing(data),
            Tables(data),
            vendor.mapping,
            engine,
            vendor.keys,
        )
    assert done.changed
    return done.rows


def publish(folder: Path, _: int) -> Callable[[], int]:
    """The release to crm.duckdb, with `ops`."""
    from crm_pipeline.stages.published import publish as publish_release
    from crm_pipeline.store.tables import Tables
    from crm_pipeline.store.tables.engine import Engine

    settings = _settings(folder)

    def run() -> int:
        with Engine(temp=settings.data / "tmp") as engine:
            done = publish_release(Landing(settings.data), Tables(settings.data), engine)
        return done.rows["contacts"]

    return run


def fill(folder: Path, windows: int) -> Callable[[], int]:
    """So many windows behind the first."""

    def run() -> int:
        os.fsync = lambda _: None  # type: ignore[assignment] # not measured, and takes most of the time
        commit_windows(folder, 0, windows)
        return windows

    return run


def refresh(folder: Path, windows: int) -> Callable[[], int]:
    """The same with a build after each window; a day's replaced files are removed as they are after a publish."""
    from crm_pipeline.store.tables import Tables

    settings = _settings(folder)

    def run() -> int:
        os.fsync = lambda _: None  # type: ignore[assignment] # as in `fill`
        _built(settings, folder)
        for number in range(windows):
            commit_windows(folder, number, 1)
            _built(settings, folder)
            if number % _A_DAY == 0:
                Tables(folder).collect(datetime.now(UTC), timedelta(0))
        return windows

    return run


CASES = {
    "fill": fill,
    "refresh": refresh,
    "commit": commit,
    "windows": list_windows,
    "status": status,
    "build": build,
    "publish": publish,
}


def _settings(folder: Path):
    from crm_pipeline.configuration import load_settings

    if not (folder / "connections.yaml").exists():
        (folder / "connections.yaml").write_text(CONNECTIONS)
    return load_settings(folder, {"BENCH_ID": "id", "BENCH_SECRET": "secret"})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_windows", description=__doc__)
    parser.add_argument("--contacts", type=int, default=CONTACTS)
    parser.add_argument("--windows", type=int, nargs="+", default=list(WINDOWS))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--built", action="store_true")
    options = parser.parse_args()
    text = report(
        options.folder,
        options.windows,
        options.contacts,
        options.rounds,
        is_built=options.built,
    )
    print(text)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in CASES:
        import pandas as pd  # noqa: F401 - all cases pay for their libraries before the clock runs

        print(json.dumps(measured(CASES[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3])))))
    else:
        main()
