"""What the history of contacts costs: in a first load, and in refreshes that change a thousandth of them.

`python -m benchmarks.history --contacts 800000 --rounds 3` lands contacts once below `--folder` and prints a Markdown
table. The changes are records that landed, with another name and a later modification time, landed as a refresh lands
them. The times of `normalize` and of its part for the history are taken in one run.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.measuring import table
from benchmarks.tables import CONNECTIONS, landed_contacts
from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.clock import Window
from crm_pipeline.stages.normalized import normalize
from crm_pipeline.stages.normalized.history import HistoryBuild
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.records import raw_names
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

FOLDER = Path(tempfile.gettempdir()) / "crm-benchmark-history"
Times = tuple[float, float]
"""Seconds and seconds of CPU."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000, help="contacts to land")
    parser.add_argument("--rounds", type=int, default=3, help="refreshes after the first load")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    print(report(options.folder, options.contacts, options.rounds))


def report(folder: Path, contacts: int, rounds: int = 3) -> str:
    """Measure and return a table in Markdown."""
    work = folder / f"work-{os.getpid()}"
    shutil.copytree(landed_contacts(folder, contacts), work / "data", copy_function=os.link)
    try:
        first, *refreshes = measured(work, contacts // 1_000, rounds)
    finally:
        shutil.rmtree(work)
    rows = [("first load", *first), ("refresh, median", *_medians(refreshes))]
    columns = ("case", "normalize s", "CPU s", "of them history s", "CPU s", "versions stored")
    return table(columns, ([c if isinstance(c, str) else f"{c:,.2f}" for c in row] for row in rows))


def measured(work: Path, changed: int, rounds: int) -> list[tuple[float, ...]]:
    """Build after the first load and after each refresh; return the times of the build, of the history, and its rows."""
    (work / "connections.yaml").write_text(CONNECTIONS)
    settings = load_settings(work, {"BENCH_ID": "id", "BENCH_SECRET": "secret"})
    landing, tables = Landing(settings.data), Tables(settings.data)
    vendor = connector("salesforce")
    figures = []
    for number in range(rounds + 1):
        if number:
            refresh(landing, changed, number)
        with Engine(work / "tmp") as engine, timed_history() as of_history:
            begun = _now()
            done = normalize(
                settings.connections["bench"],
                "contacts",
                landing,
                tables,
                vendor.mapping,
                engine,
                vendor.keys,
            )
            taken = _since(begun)
        assert done.history is not None
        figures.append((*taken, *of_history[0], float(done.history.rows)))
    return figures


def refresh(landing: Landing, changed: int, number: int) -> None:
    """Land records again with another name and a later modification time."""
    [first, *_] = [b for b in landing.batches("bench", "Contact") if b.records > changed]
    rows = pq.read_table(first.path)
    step = rows.num_rows // changed
    part = rows.take(pa.array(range(number, rows.num_rows - 1, step)[:changed])).combine_chunks()
    batch = part.to_batches()[0]
    names = ["_source_id", "_modified_at", "_deleted", *raw_names(batch)]
    columns = {name: batch.column(name) for name in names}
    at = landing.clock.now().replace(microsecond=0) + timedelta(minutes=number)
    columns["_modified_at"] = pa.array([at] * batch.num_rows, pa.timestamp("us", "UTC"))
    columns["LastName"] = pc.binary_join_element_wise(
        columns["LastName"].cast(pa.string()), f"changed {number}", " "
    )
    schema = landing.latest_schema("bench", "Contact")
    assert schema is not None
    reader = connector("salesforce").keys.version
    window = Window(None, at)
    with landing.begin("bench", "Contact", window, schema, reader=reader) as writer:
        writer.write(
            [pa.RecordBatch.from_pydict(columns)], shape="csv", route="rest", extracted_at=at
        )
        writer.commit(Counts())


@contextmanager
def timed_history() -> Iterator[list[Times]]:
    """Time what a build does for the history."""
    times: list[Times] = []
    plain = HistoryBuild.run

    def run(build: HistoryBuild) -> TableVersion | None:
        begun = _now()
        version = plain(build)
        times.append(_since(begun))
        return version

    HistoryBuild.run = run  # type: ignore[method-assign]
    try:
        yield times
    finally:
        HistoryBuild.run = plain  # type: ignore[method-assign]


def _now() -> Times:
    return time.perf_counter(), time.process_time()


def _since(begun: Times) -> Times:
    now = _now()
    return now[0] - begun[0], now[1] - begun[1]


def _medians(figures: list[tuple[float, ...]]) -> list[float]:
    return [statistics.median(column) for column in zip(*figures, strict=True)]


if __name__ == "__main__":
    main()
