"""The pipeline in one process, without Dagster, that dies at the point that an order names.

Each line of its input is an order in JSON; a fork of the warm process carries it out, and the answer
is one line: `done`, `killed`, or the error. `python -m crm_pipeline_tests.drill.worker`
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pandas as pd
import pandera.pandas as pandera
import pyarrow.parquet as pq

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.salesforce import bulk_results
from crm_pipeline.kernel.clock import Clock, FrozenClock, SystemClock, Window
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.kernel.failpoint import armed, watching
from crm_pipeline.model.tables import normalized_name
from crm_pipeline.settings import Retention, Settings
from crm_pipeline.stages.normalized import normalize, tables_for
from crm_pipeline.stages.published import publish
from crm_pipeline.stages.raw import extract, opened
from crm_pipeline.store.landing import Landing, compaction
from crm_pipeline.store.landing.records import KEY_COLUMNS, raw_names
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.postgres.database import Database
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.once import empty_ones_kept_in

STAGES = ("land", "normalise", "publish")
Work = Callable[[dict[str, Any]], dict[str, Any]]
_flush = os.fsync
_SET_TRACER, _ANY = 0x59616D61, -1  # prctl(2): PR_SET_PTRACER


class Run:
    """One order: which project, which objects, which stages."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.settings: Settings = load_settings(Path(order["root"]), order["environ"])
        self.clock: Clock = FrozenClock(order["now"]) if order.get("now") else SystemClock()
        self.objects: list[str] = order["objects"]
        self.connection = self.settings.connection(order["connection"])
        self.maps = connector(self.connection.vendor).mapping
        self.landing = Landing(self.settings.data, self.clock)
        self.tables = Tables(self.settings.data)
        if order.get("page_records"):
            # A page of the vendor's real size would take a world a thousand times as large.
            bulk_results.PAGE_RECORDS = order["page_records"]

    def land(self) -> None:
        with Database(self.settings.environ["CRM_DATABASE_URL"]) as database:
            for obj in self.connection.objects:
                if obj.name not in self.objects:
                    continue
                with opened(
                    self.settings, self.connection.name, database, clock=self.clock
                ) as account:
                    extract(account, obj, None, mode="range", landing=self.landing)
        self._reject()
        self._refresh()

    def _reject(self) -> None:
        """Set a row aside, as a page with a broken line does."""
        obj = self.objects[-1]
        schema = self.landing.latest_schema(self.connection.name, obj)
        assert schema is not None
        window = Window(self.clock.now(), self.clock.now())
        with self.landing.begin(self.connection.name, obj, window, schema, kind="point") as writer:
            writer.quarantine([Reject("no id", b"a row")])
            writer.commit(Counts())

    def _refresh(self) -> None:
        """Commit windows of one record each, merge them, and remove what was replaced, as years of refreshes do."""
        compaction.KEPT, compaction.FEWEST = 1, 2
        name, obj, now = self.connection.name, self.objects[-1], self.clock.now()
        schema = self.landing.latest_schema(name, obj)
        assert schema is not None
        batch = self.landing.batches(name, obj)[0]
        row = pq.read_table(batch.path).slice(0, 1).combine_chunks().to_batches()[0]
        page = row.select([*KEY_COLUMNS, *raw_names(row)])
        for _ in range(5):
            window = Window(now - timedelta(hours=1), now)
            with self.landing.begin(name, obj, window, schema) as writer:
                writer.write([page], shape=batch.shape, route="rest", extracted_at=now)
                writer.commit(Counts(present=now))
        for days in (2, 4):
            Landing(self.settings.data, FrozenClock(now + timedelta(days=days))).merge(name, obj)
        # That windows are merged is asserted of the rehearsal. After a kill all has the same time, and may limit each other.

    def normalise(self) -> None:
        with self._engine() as engine:
            for table, objects in tables_for(self.connection, self.maps).items():
                if set(objects) & set(self.objects):
                    normalize(self.connection, table, self.landing, self.tables, self.maps, engine)

    def publish(self) -> None:
        # As a table leaves behind that is published no more.
        outdated = self.settings.data / "published" / "no_more.parquet"
        outdated.parent.mkdir(exist_ok=True)
        outdated.touch()
        wanted = {
            normalized_name(self.connection.name, table)
            for table in tables_for(self.connection, self.maps)
        }
        with self._engine() as engine:
            options: Any = {"wanted": wanted, "retention": Retention(1, 0)}
            publish(self.landing, self.tables, engine, **options)
            # As a night does: a copy is brought up to date, and compared with a full build.
            done = publish(self.landing, self.tables, engine, is_compared=True, **options)
            assert done.differences == ()

    def _engine(self) -> Engine:
        return Engine(self.settings.data / "tmp", memory_limit="512MB", threads=1)


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Carry out an order; return the points that were reached."""
    run = Run(order)
    seen: list[str] = []
    deadly = armed(order["failpoint"]) if order.get("failpoint") else None

    def watch(name: str) -> None:
        seen.append(name)
        if deadly is not None:
            deadly(name)

    with watching(watch):
        for stage in order.get("stages", STAGES):
            getattr(run, stage)()
    return {"points": seen}


def forked(order: dict[str, Any], work: Work) -> dict[str, Any]:
    """Let a child carry out an order; return how that ended."""
    reading, writing = os.pipe()
    held, release = os.pipe()
    strace: Sequence[str] = order.get("strace", ())
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.close(release)
        if strace:
            be_traced()
        os.read(held, 1)
        with os.fdopen(writing, "w") as pipe:
            try:
                outcome: dict[str, Any] = {"outcome": "done", **work(order)}
            except CrmError as error:
                outcome = {"outcome": type(error).__name__, "message": str(error)}
            except BaseException:  # noqa: BLE001 - the parent reports the fault
                outcome = {"outcome": "fault", "message": traceback.format_exc()}
            json.dump(outcome, pipe)
        os._exit(0)
    os.close(writing)
    os.close(held)
    with traced(child, strace), os.fdopen(reading) as pipe:
        os.close(release)
        patience_s = order.get("kill_after_s")
        if patience_s is not None and not select.select([reading], [], [], patience_s)[0]:
            os.kill(child, signal.SIGKILL)
        text = pipe.read()
        _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return {"outcome": "killed"}
    return dict(json.loads(text))


def be_traced() -> None:
    """Let a process that is no ancestor trace this one, and flush for real: that is a call, too."""
    os.fsync = _flush  # what the parent put in its place
    ctypes.CDLL(None).prctl(_SET_TRACER, ctypes.c_long(_ANY), 0, 0, 0)


@contextmanager
def traced(child: int, options: Sequence[str]) -> Iterator[None]:
    """Have `strace` at a child, whose first step waits for the block to begin."""
    if not options:
        yield
        return
    status = Path(f"/proc/{child}/status")
    with subprocess.Popen(["strace", *options, "-p", str(child)]) as tracer:
        while "TracerPid:\t0\n" in status.read_text():
            if tracer.poll() is not None:
                os.kill(child, signal.SIGKILL)
                raise SystemExit("strace ended before it began")
            time.sleep(0.001)
        yield


def warm_up() -> None:
    """Import what is imported late, so that no child has to."""
    pandera.DataFrameSchema({"a": pandera.Column(int)}).validate(pd.DataFrame({"a": [1]}))
    duckdb.connect().close()
    # The kernel keeps what a killed process wrote; to flush it matters to power cuts only.
    os.fsync = lambda _: None  # type: ignore[assignment]


def serve(work: Work) -> None:
    """Carry out one order after the other, each in a child."""
    warm_up()
    # At once, so that a watched run and the one that is struck make the same calls.
    with (
        TemporaryDirectory(prefix="empty-") as folder,
        empty_ones_kept_in(Path(folder), at_once=True),
    ):
        for line in sys.stdin:
            sys.stdout.write(json.dumps(forked(json.loads(line), work)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(carry_out)
