"""Reading one window in several lanes at once: disjoint ranges of places, split while they are read.

A place is a whole number that records of a window are ordered by: an id, or a second. Each lane reads one
range upward. Who runs out of work takes the upper half of what another lane has left, so that all end
together wherever the records lie. Full chunks are noted in the spool with their range: after a crash
only the ranges that are missing are read.
"""

import queue
import threading
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice, pairwise
from operator import le
from typing import Any

import pyarrow as pa

from crm_pipeline.connectors.base import Page
from crm_pipeline.kernel.errors import ProtocolError
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.store.landing.rejects import Reject

_CHUNK_ROWS = 10_000
_CHUNK_BYTES = 8 << 20
_READY_CHUNKS = (
    2  # each of them is as large as that; whoever is faster than the parsers waits for them
)
_STOP_LOOKS_S = 0.1


@dataclass
class KeyRange:
    """A range of places, `low` inclusive and `high` exclusive; `high` may come down while it is read."""

    low: int
    high: int


@dataclass(frozen=True)
class RangeBatch:
    """The records of one answer.

    Attributes:
        positions: of the records, never descending.
        batch: the records, with the key columns of `store.landing.records`.
        asked_at: when the vendor was asked.
        is_last: the vendor has nothing behind it in this span.
        behind: how many records come behind it in the span, where the vendor says so.
        calls: that it took.
        rejected: records that cannot be landed.
        cursor: the vendor's own mark of the place behind it, where it gave one.
        seen: how many records the vendor showed, where it had to show more than were wanted.
    """

    positions: Sequence[int]
    batch: pa.RecordBatch
    asked_at: datetime
    is_last: bool
    behind: int | None = None
    calls: int = 1
    rejected: tuple[Reject, ...] = ()
    cursor: str = ""
    seen: int = 0


Reader = Callable[[KeyRange], Generator[RangeBatch]]


@dataclass
class _Worker:
    """A span that is being read; everything below `at` was."""

    key_range: KeyRange
    at: int
    rows: int = 0
    largest: int = 0
    behind: int | None = None

    def left(self) -> float:
        """Estimate how many records are left; 0 where nobody should take any."""
        width = self.key_range.high - self.at
        if width < 2 or not self.largest:
            return 0
        left: float = self.behind or 0
        if self.behind is None and self.at > self.key_range.low:
            left = self.rows / (self.at - self.key_range.low) * width
        return left if left > self.largest else 0


@dataclass
class _Chunk:
    low: int
    high: int = 0
    slices: list[RangeBatch] = field(default_factory=list)

    def facts(self) -> Mapping[str, Any]:
        cursor = self.slices[-1].cursor
        seen = sum(one.seen for one in self.slices)
        told = {"cursor": cursor, "seen": seen}
        return {"low": self.low, "high": self.high, **{k: v for k, v in told.items() if v}}

    def split(self) -> "_Chunk":
        """Keep what lies below `high`, and return the rest, which is all where nothing does."""
        rest: list[RangeBatch] = []
        while self.slices:
            last = self.slices.pop()
            keep = bisect_left(last.positions, self.high)
            if keep == len(last.positions) and keep:
                self.slices.append(last)
                break
            head, tail = _parts(last, keep)
            rest.insert(0, tail)
            if keep:
                self.slices.append(head)
                break
        return _Chunk(self.high if self.slices else self.low, self.high, rest)

    def is_full(self) -> bool:
        rows: int = sum(one.batch.num_rows for one in self.slices)
        size: int = sum(one.batch.nbytes for one in self.slices)
        return rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES


class ParallelRangeReader:
    """Reads spans side by side and yields pages of thousands of records.

    Args:
        read: reads a span in slices, upward; looks at `span.high` before each request.
        at_once: how many lanes there are at most.
        owner: for error texts.
        route: that the pages name.
        checkpoint: where chunks that are done are noted; None where nobody goes on after a crash.
        splits: whether a span may be begun anywhere in its middle.
        unique: no two records have one place.
        counted: whether the vendor's count of the window includes these records.
        origin: as `Page.origin`.
        set_aside: digests of records that cannot be landed and have been told already.
        note: what the spool keeps with each chunk, besides its range, route and cursor.
    """

    def __init__(
        self,
        read: Reader,
        *,
        at_once: int,
        owner: str,
        route: str,
        checkpoint: Checkpoint | None = None,
        splits: bool = True,
        unique: bool = True,
        counted: bool = True,
        origin: str = "",
        set_aside: Iterable[str] = (),
        note: Mapping[str, Any] | None = None,
    ) -> None:
        self._read = read
        self._at_once = at_once
        self._owner = owner
        self._route = route
        self._checkpoint = checkpoint
        self._splits = splits
        self._unique = unique
        self._counted = counted
        self._origin = origin
        self._set_aside = set_aside
        self._told: set[str] = set()
        self._note = dict(note or {})
        self._changed = threading.Condition()
        self._waiting: list[KeyRange] = []
        self._workers: list[_Worker] = []
        self._stopped = False
        self._ready: queue.Queue[_Chunk | BaseException | None] = queue.Queue(_READY_CHUNKS)

    def pages(self, key_ranges: Sequence[KeyRange]) -> Generator[Page]:
        """Read spans to their end.

        Raises:
            VendorError: what a lane met; the others are stopped.
        """
        self._waiting = [key_range for key_range in key_ranges if key_range.low < key_range.high]
        self._told = set(self._set_aside)
        for done in self._checkpoint.all_done() if self._checkpoint else ():
            self._told.update(done.facts.get("rejected", ()))
        workers = [
            threading.Thread(target=self._work, name=f"lane-{number}", daemon=True)
            for number in range(self._at_once)
        ]
        for worker in workers:
            worker.start()
        try:
            at_work = len(workers)
            while at_work:
                found = self._ready.get()
                if found is None:
                    at_work -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield self._page(found)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for worker in workers:
                worker.join()

    def _page(self, chunk: _Chunk) -> Page:
        rejected = [row for one in chunk.slices for row in self._fresh(one.rejected)]
        marks = {"rejected": [row.digest for row in rejected]} if rejected else {}
        return Page(
            shape="json",
            route=self._route,
            batches=lambda: (one.batch for one in chunk.slices),
            # Of two reads of one version the later counts: a chunk is as old as its first answer.
            extracted_at=min(one.asked_at for one in chunk.slices),
            calls=sum(one.calls for one in chunk.slices),
            number=self._checkpoint.fresh_number() if self._checkpoint else None,
            facts={**self._note, **chunk.facts(), **marks, "route": self._route},
            counted=self._counted,
            rejected=rejected,
            origin=self._origin,
        )

    def _fresh(self, rejected: Sequence[Reject]) -> list[Reject]:
        """Leave out what another answer has shown: where a record cannot be read, answers may overlap."""
        fresh = [row for row in rejected if row.digest not in self._told]
        self._told.update(row.digest for row in fresh)
        return fresh

    def _work(self) -> None:
        """Take spans and read them, until there is nothing left to take."""
        ending: BaseException | None = None
        try:
            while (worker := self._next()) is not None:
                try:
                    self._run(worker)
                finally:
                    with self._changed:
                        self._workers.remove(worker)
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised where the pages are read
            ending = error
        self._hand_over(ending)

    def _next(self) -> _Worker | None:
        """Return a lane to run: a span that waits, or the upper half of another's; wait for one."""
        with self._changed:
            while not self._stopped:
                if self._waiting:
                    return self._begun(self._waiting.pop())
                if not self._workers:
                    return None
                busiest = max(self._workers, key=_Worker.left)
                if self._splits and busiest.left():
                    middle = busiest.at + (busiest.key_range.high - busiest.at + 1) // 2
                    taken = KeyRange(middle, busiest.key_range.high)
                    busiest.key_range.high = middle
                    busiest.behind = busiest.behind // 2 if busiest.behind else None
                    return self._begun(taken)
                self._changed.wait()
            return None

    def _begun(self, key_range: KeyRange) -> _Worker:
        worker = _Worker(key_range, key_range.low)
        self._workers.append(worker)
        return worker

    def _run(self, worker: _Worker) -> None:
        chunk = _Chunk(worker.key_range.low)
        is_end = False
        with closing(self._read(worker.key_range)) as slices:
            while not (is_end or self._stopped):
                is_end = self._advance(worker, next(slices), chunk)
                if is_end:
                    self._hand_over(chunk)
                elif chunk.is_full():
                    # Of a place that many records share, more may come: it is left to the next chunk.
                    rest = _Chunk(chunk.high) if self._unique else chunk.split()
                    if chunk.slices:
                        self._hand_over(chunk)
                    chunk = rest

    def _advance(self, worker: _Worker, one: RangeBatch, chunk: _Chunk) -> bool:
        """Enter a slice; return whether it ends its lane."""
        self._refuse_disorder(worker, one)
        with self._changed:
            high = worker.key_range.high
            keep = bisect_left(one.positions, high)
            is_end = one.is_last or keep < len(one.positions)
            if keep:
                worker.at = one.positions[keep - 1] + self._unique
            worker.rows += keep
            worker.largest = max(worker.largest, len(one.positions))
            worker.behind = one.behind
            if is_end:
                # From now on nobody takes a part of it: what it covers is settled.
                worker.at = high
            self._changed.notify_all()
            chunk.high = worker.at
        chunk.slices.append(_cut(one, keep))
        return is_end

    def _refuse_disorder(self, worker: _Worker, one: RangeBatch) -> None:
        positions = one.positions
        begins_late = not positions or positions[0] >= worker.at
        if begins_late and all(map(le, positions, islice(positions, 1, None))):
            return
        raise ProtocolError(
            f"{self._owner}: the vendor sent records out of the order that was asked for; reading on would "
            "miss some.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )

    def _hand_over(self, found: _Chunk | BaseException | None) -> None:
        """Put a chunk where the pages are read; give up where nobody reads any more."""
        if isinstance(found, _Chunk) and not found.slices:
            return
        while not self._stopped:
            try:
                self._ready.put(found, timeout=_STOP_LOOKS_S)
            except queue.Full:
                continue
            return


def _cut(one: RangeBatch, keep: int) -> RangeBatch:
    if keep == len(one.positions):
        return one
    # What does not belong here is read by the lane that took the upper part.
    return replace(one, positions=one.positions[:keep], batch=one.batch.slice(0, keep), cursor="")


def _parts(one: RangeBatch, at: int) -> tuple[RangeBatch, RangeBatch]:
    """Cut an answer in two; the call that it took, and its cursor, belong to the second part."""
    head = replace(
        replace(one, calls=0, rejected=(), cursor="", seen=0),
        positions=one.positions[:at],
        batch=one.batch.slice(0, at),
    )
    return head, replace(one, positions=one.positions[at:], batch=one.batch.slice(at))


def missing(
    whole: KeyRange, done: Iterable[Mapping[str, Any]], *, parts: int = 1
) -> list[KeyRange]:
    """Return what of a span is not covered by the facts of chunks that are done.

    Args:
        whole: what is to be read.
        done: facts of chunks, as `Page.facts` has them.
        parts: into how many spans a whole that was not begun is cut.
    """
    covered = sorted((int(facts["low"]), int(facts["high"])) for facts in done)
    if not covered:
        return _evenly(whole, parts)
    gaps, at = [], whole.low
    for low, high in covered:
        if low > at:
            gaps.append(KeyRange(at, low))
        at = max(at, high)
    return [*gaps, KeyRange(at, whole.high)] if at < whole.high else gaps


def _evenly(whole: KeyRange, parts: int) -> list[KeyRange]:
    width = whole.high - whole.low
    edges = [whole.low + width * number // parts for number in range(parts)] + [whole.high]
    return [KeyRange(low, high) for low, high in pairwise(edges) if low < high]
