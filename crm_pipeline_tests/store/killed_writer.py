"""A process that dies at its n-th write, for every n of a test.

Run with the name of a scenario. Each line of its input is `<folder> <n>`: a fork runs the scenario
on that folder and kills itself with SIGKILL before its n-th write-class call (a text file is half
written then). The answer is `killed` or `done`.
"""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crm_pipeline.kernel.clock import FrozenClock, Window
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.records import KEY_COLUMNS, TIMESTAMP
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.window import Counts
from crm_pipeline.store.tables import Commit, Tables, commit_all

SCHEMA = Schema("Contact", "Contact", (Field("Id", "ID", "id"), Field("Name", "Name", "string")))
FIRST_AT = datetime(2026, 1, 1, tzinfo=UTC)
SECOND_AT = datetime(2026, 1, 2, tzinfo=UTC)


def batch(*ids: str) -> pa.RecordBatch:
    count = len(ids)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(ids, pa.string()),
            pa.array([FIRST_AT] * count, TIMESTAMP),
            pa.array([False] * count),
            pa.array(ids, pa.string()),
        ],
        names=[*KEY_COLUMNS, "Id"],
    )


def land(root: Path, window: Window, *pages: tuple[str, ...]) -> None:
    landing = Landing(root, FrozenClock("2026-01-03T00:00Z"))
    with landing.begin("acme", "Contact", window, SCHEMA) as writer:
        writer.checkpoint.path(1, ".csv").write_text("as received")
        for page in pages:
            writer.write([batch(*page)], shape="csv", route="bulk", extracted_at=FIRST_AT)
        writer.quarantine([Reject("no id", b"row")])
        writer.commit(Counts(vendor_count=sum(len(page) for page in pages)))


def land_second(root: Path) -> None:
    land(root, Window(FIRST_AT, SECOND_AT), ("3", "4"), ("5",))


def commit_version(root: Path, name: str, *values: int) -> None:
    tables = Tables(root)
    parent = tables.version(name)
    with tables.stage(name, ("k",)) as staged:
        pq.write_table(pa.table({"k": values, "v": values}), staged.path("base"))
        pq.write_table(pa.table({"k": [0], "v": [len(values)]}), staged.path("delta"))
        staged.commit(parent, len(values) + 1, {"values": values})


def commit_two(root: Path) -> None:
    commit_version(root, "normalized/acme/contacts", 1, 2, 3)
    commit_version(root, "normalized/acme/deals", 7)


def commit_one_release(root: Path) -> None:
    """Commit two tables in one release; the base of the first is taken over from the version before."""
    tables = Tables(root)
    contacts, deals = "normalized/acme/contacts", "normalized/acme/deals"
    parent = tables.version(contacts)
    assert parent is not None
    with tables.stage(contacts, ("k",)) as first, tables.stage(deals, ("k",)) as second:
        first.adopt(parent)
        pq.write_table(pa.table({"k": [2], "v": ["b"]}), first.path("delta"))
        pq.write_table(pa.table({"k": [7], "v": ["x"]}), second.path("base"))
        commit_all([Commit(first, parent, 2), Commit(second, None, 1)])


SCENARIOS: dict[str, Callable[[Path], None]] = {
    "land": land_second,
    "commit": commit_two,
    "commit_one_release": commit_one_release,
}


def arm(fatal: int) -> None:
    """Kill this process at its n-th call that writes."""
    calls = 0

    def step(half: Callable[[], object] | None = None) -> None:
        nonlocal calls
        calls += 1
        if calls == fatal:
            if half is not None:
                half()
            os.kill(os.getpid(), signal.SIGKILL)

    def fatally(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            step()
            return original(*args, **kwargs)

        setattr(owner, name, call)

    for owner, name in [
        (Path, "replace"),
        (Path, "unlink"),
        (Path, "mkdir"),
        (os, "link"),
        (shutil, "rmtree"),
        (pq.ParquetWriter, "write_batch"),
        (pq.ParquetWriter, "close"),
    ]:
        fatally(owner, name)
    # The kernel keeps what a killed process wrote; to flush it matters to power cuts only.
    os.fsync = lambda _: None  # type: ignore[assignment]
    write_text = Path.write_text

    def call(self: Path, text: str, *args: Any, **kwargs: Any) -> int:
        step(lambda: write_text(self, text[: len(text) // 2], *args, **kwargs))
        return write_text(self, text, *args, **kwargs)

    Path.write_text = call  # type: ignore[method-assign,assignment]


def main() -> None:
    scenario = SCENARIOS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        land(Path(folder), Window(None, FIRST_AT), ())  # imports what is imported late
    for line in sys.stdin:
        folder, fatal = line.split()
        child = os.fork()
        if child == 0:
            arm(int(fatal))
            scenario(Path(folder))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write("killed\n" if killed else f"done {status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
