"""Write pages into the batches of a window; some are parsed while others are downloaded."""

import atexit
import gc
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.base import Page
from crm_pipeline.stages.raw.kept_out import Cutter
from crm_pipeline.stages.raw.withheld import WithheldRecords
from crm_pipeline.store.landing.checkpoint import PageDone
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.landing.records import SeenVersions, raw_names, warm_up
from crm_pipeline.store.landing.window import WindowWriter
from crm_pipeline.wire.decoding import UNREADABLE

SeenIn = Callable[[Shape], SeenVersions | None]
_PARSERS = 2
_SAMPLE_ROWS = 5


@dataclass
class Tally:
    """Numbers of records read and landed so far.

    `uncounted` is the part of `read` that the vendor does not count, `withheld` that of erased persons.
    """

    read: int = 0
    landed: int = 0
    deleted: int = 0
    routes: set[str] = field(default_factory=set)
    sample: list[dict[str, Any]] = field(default_factory=list)
    uncounted: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    withheld: int = 0

    def add(self, page: "Tally") -> None:
        """Add the numbers of a page."""
        self.read += page.read
        self.landed += page.landed
        self.deleted += page.deleted
        self.routes |= page.routes
        self.uncounted += page.uncounted
        self.withheld += page.withheld
        self.notes |= page.notes
        self.sample += page.sample[: _SAMPLE_ROWS - len(self.sample)]


def land(
    pages: Iterator[Page],
    writer: WindowWriter,
    seen_in: SeenIn,
    on_records: Callable[[int], None],
    *,
    cutter: Cutter | None = None,
    withheld: WithheldRecords | None = None,
) -> Tally:
    """Write pages; return the numbers of their records, including pages that an earlier writer has done.

    Args:
        pages: taken one after the other, from this thread.
        writer: of the window.
        seen_in: returns the versions that have landed already, by the shape of a page.
        on_records: called with the number of records so far.
        cutter: cuts the fields that are kept out of the records of each page.
        withheld: finds the records of erased persons, which are not landed.
    """
    _settle_memory()
    tally = Tally()
    for done in writer.checkpoint.all_done():
        uncounted = 0 if done.counted else done.read
        tally.add(
            Tally(
                done.read,
                done.landed,
                done.deleted,
                {done.route},
                uncounted=uncounted,
                withheld=done.withheld,
            )
        )
    running: set[Future[Tally]] = set()

    def collect(when: str) -> set[Future[Tally]]:
        ended, rest = wait(running, return_when=when)
        for future in ended:
            tally.add(future.result())
        on_records(tally.read)
        return rest

    with ExitStack() as stack:
        parsers = stack.enter_context(ThreadPoolExecutor(_PARSERS, thread_name_prefix="parse"))
        # A read that ends early stops its workers now: they must not send requests while the account is closed.
        if isinstance(pages, Generator):
            stack.callback(pages.close)
        # Runs while the vendor works on its first response. An error here comes again in `_write`, and is raised there.
        parsers.submit(warm_up)
        for received in pages:
            page = cutter.of_page(received) if cutter else received
            running.add(parsers.submit(_write, page, writer, seen_in(page.shape), withheld))
            if len(running) >= _PARSERS:
                running = collect(FIRST_COMPLETED)
        collect(ALL_COMPLETED)
    return tally


@cache
def _settle_memory() -> None:
    """Exclude the objects loaded so far, some 100,000 of libraries, from garbage collection, once per process.

    Each record adds a few objects, and each full collection would visit all the others again: a tenth of
    the time that pages of JSON take.
    """
    gc.freeze()
    # Without this DuckDB prints pages about objects that are left at exit.
    atexit.register(gc.unfreeze)


def _write(
    page: Page, writer: WindowWriter, seen: SeenVersions | None, withheld: WithheldRecords | None
) -> Tally:
    tally = Tally(routes={page.route}, notes=dict(page.notes))

    def unseen() -> Iterator[pa.RecordBatch]:
        for received in page.batches():
            batch = withheld.rest_of(received) if withheld else received
            rest = seen.rest_of(batch, writer.hasher) if seen else batch
            tally.read += received.num_rows
            tally.withheld += received.num_rows - batch.num_rows
            tally.landed += rest.num_rows
            tally.deleted += pc.sum(rest.column("_deleted")).as_py() or 0
            if len(tally.sample) < _SAMPLE_ROWS and rest.num_rows:
                tally.sample.extend(_sample(rest, _SAMPLE_ROWS))
            yield rest

    written = writer.write(
        unseen(),
        shape=page.shape,
        route=page.route,
        extracted_at=page.extracted_at,
        calls=page.calls,
        vendor_count=page.expected,
        origin=page.origin,
        part=page.part,
    )
    rejected = withheld.rest_of_rejects(page.rejected) if withheld else page.rejected
    tally.withheld += len(page.rejected) - len(rejected)
    refused = writer.quarantine(
        rejected,
        shape=page.shape,
        extracted_at=page.extracted_at,
        route=page.route,
        origin=page.origin,
    )
    tally.read += len(page.rejected)
    tally.uncounted = 0 if page.counted else tally.read
    if page.number is not None:
        batch_ids = (written.manifest.batch_id if written else None, refused)
        done = PageDone(
            batches=tuple(batch_id for batch_id in batch_ids if batch_id),
            months=written.months if written else {},
            read=tally.read,
            landed=tally.landed,
            deleted=tally.deleted,
            route=page.route,
            counted=page.counted,
            facts=page.facts,
            withheld=tally.withheld,
        )
        writer.checkpoint.done(page.number, done)
    return tally


def _sample(batch: pa.RecordBatch, rows: int) -> list[dict[str, Any]]:
    """Return records for a preview, without those that have a number that Python cannot hold."""
    shown = []
    for row in batch.slice(0, rows).select(raw_names(batch)).to_pylist():
        with suppress(*UNREADABLE):
            shown.append(msgspec.json.decode(row["record"]) if "record" in row else row)
    return shown
