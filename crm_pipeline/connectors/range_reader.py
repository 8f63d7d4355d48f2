"""A parallel reader of one window: workers read disjoint key ranges, which are split while they are read.

A position is a whole number by which the records of a window are ordered: an id, or a second. Each worker reads one
key range upward. An idle worker takes the upper half of the range that another has left, so that all end at about the
same time however the records are distributed. Full chunks are saved in the checkpoint with their range: after a
crash only the missing ranges are read.
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
_READY_CHUNKS = 2  # bounds the memory: workers wait while so many chunks are unread
_STOP_LOOKS_S = 0.1


@dataclass
class KeyRange:
    """A range of positions, `low` inclusive and `high` exclusive; `high` may decrease while the range is read."""

    low: int
    high: int


@dataclass(frozen=True)
class RangeBatch:
    """The records of one response.

    Attributes:
        positions: of the records, never descending.
        batch: the records, with the key columns of `store.landing.records`.
        asked_at: when the request was sent.
        is_last: the key range has no records after it.
        behind: how many records of the range come after it, where the vendor says so.
        calls: the number of calls that it took.
        rejected: records that cannot be landed.
        cursor: the vendor's cursor of the next page, if any.
        seen: how many records the vendor sent, where it sent more than were needed.
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
    """A key range that is being read; everything below `at` is done."""

    key_range: KeyRange
    at: int
    rows: int = 0
    largest: int = 0
    behind: int | None = None

    def left(self) -> float:
        """Return the estimated number of records left; 0 where the range should not be split."""
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
    batches: list[RangeBatch] = field(default_factory=list)

    def facts(self) -> Mapping[str, Any]:
        cursor = self.batches[-1].cursor
        seen = sum(batch.seen for batch in self.batches)
        optional = {"cursor": cursor, "seen": seen}
        return {"low": self.low, "high": self.high, **{k: v for k, v in optional.items() if v}}

    def split(self) -> "_Chunk":
        """Keep the records below `high`, and return the rest; keep none where all are at or above `high`."""
        rest: list[RangeBatch] = []
        while self.batches:
            last = self.batches.pop()
            keep = bisect_left(last.positions, self.high)
            if keep == len(last.positions) and keep:
                self.batches.append(last)
                break
            head, tail = _parts(last, keep)
            rest.insert(0, tail)
            if keep:
                self.batches.append(head)
                break
        return _Chunk(self.high if self.batches else self.low, self.high, rest)

    def is_full(self) -> bool:
        rows: int = sum(part.batch.num_rows for part in self.batches)
        size: int = sum(part.batch.nbytes for part in self.batches)
        return rows >= _CHUNK_ROWS or size >= _CHUNK_BYTES


class ParallelRangeReader:
    """Reads key ranges in parallel and yields pages of thousands of records.

    Args:
        read: reads a key range upward, in batches; checks `key_range.high` before each request.
        at_once: the maximum number of workers.
        owner: named in error texts.
        route: of the pages.
        checkpoint: where finished chunks are saved; None where a crashed read is not resumed.
        splits: whether a read may start anywhere in a range.
        unique: no two records have the same position.
        counted: whether the vendor's count of the window includes these records.
        origin: as `Page.origin`.
        set_aside: digests of rejected records that were reported already.
        note: saved in the checkpoint with each chunk, besides its range, route and cursor.
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
        self._reported: set[str] = set()
        self._note = dict(note or {})
        self._changed = threading.Condition()
        self._waiting: list[KeyRange] = []
        self._workers: list[_Worker] = []
        self._stopped = False
        self._ready: queue.Queue[_Chunk | BaseException | None] = queue.Queue(_READY_CHUNKS)

    def pages(self, key_ranges: Sequence[KeyRange]) -> Generator[Page]:
        """Yield the pages of key ranges.

        Raises:
            VendorError: of one worker; the others are stopped.
        """
        self._waiting = [key_range for key_range in key_ranges if key_range.low < key_range.high]
        self._reported = set(self._set_aside)
        for done in self._checkpoint.all_done() if self._checkpoint else ():
            self._reported.update(done.facts.get("rejected", ()))
        workers = [
            threading.Thread(target=self._work, name=f"range-reader-{number}", daemon=True)
            for number in range(self._at_once)
        ]
        for worker in workers:
            worker.start()
        try:
            running = len(workers)
            while running:
                item = self._ready.get()
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    yield self._page(item)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for worker in workers:
                worker.join()

    def _page(self, chunk: _Chunk) -> Page:
        rejected = [row for part in chunk.batches for row in self._fresh(part.rejected)]
        marks = {"rejected": [row.digest for row in rejected]} if rejected else {}
        return Page(
            shape="json",
            route=self._route,
            batches=lambda: (part.batch for part in chunk.batches),
            # Of two reads of one version the later counts, so a chunk has the time of its earliest response.
            extracted_at=min(part.asked_at for part in chunk.batches),
            calls=sum(part.calls for part in chunk.batches),
            number=self._checkpoint.fresh_number() if self._checkpoint else None,
            facts={**self._note, **chunk.facts(), **marks, "route": self._route},
            counted=self._counted,
            rejected=rejected,
            origin=self._origin,
        )

    def _fresh(self, rejected: Sequence[Reject]) -> list[Reject]:
        """Return the rejected records that were not reported yet: responses may overlap at an unreadable record."""
        fresh = [row for row in rejected if row.digest not in self._reported]
        self._reported.update(row.digest for row in fresh)
        return fresh

    def _work(self) -> None:
        """Take key ranges and read them, until none is left."""
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
        """Wait for work and return it: a waiting key range, or the upper half of another worker's; None at the end."""
        with self._changed:
            while not self._stopped:
                if self._waiting:
                    return self._started(self._waiting.pop())
                if not self._workers:
                    return None
                busiest = max(self._workers, key=_Worker.left)
                if self._splits and busiest.left():
                    middle = busiest.at + (busiest.key_range.high - busiest.at + 1) // 2
                    taken = KeyRange(middle, busiest.key_range.high)
                    busiest.key_range.high = middle
                    busiest.behind = busiest.behind // 2 if busiest.behind else None
                    return self._started(taken)
                self._changed.wait()
            return None

    def _started(self, key_range: KeyRange) -> _Worker:
        worker = _Worker(key_range, key_range.low)
        self._workers.append(worker)
        return worker

    def _run(self, worker: _Worker) -> None:
        chunk = _Chunk(worker.key_range.low)
        is_end = False
        with closing(self._read(worker.key_range)) as batches:
            while not (is_end or self._stopped):
                is_end = self._advance(worker, next(batches), chunk)
                if is_end:
                    self._hand_over(chunk)
                elif chunk.is_full():
                    # The next chunk may start with the same position, so records at the last position move there.
                    rest = _Chunk(chunk.high) if self._unique else chunk.split()
                    if chunk.batches:
                        self._hand_over(chunk)
                    chunk = rest

    def _advance(self, worker: _Worker, batch: RangeBatch, chunk: _Chunk) -> bool:
        """Add a batch to a chunk; return whether the key range ends with it."""
        self._refuse_disorder(worker, batch)
        with self._changed:
            high = worker.key_range.high
            keep = bisect_left(batch.positions, high)
            is_end = batch.is_last or keep < len(batch.positions)
            if keep:
                worker.at = batch.positions[keep - 1] + self._unique
            worker.rows += keep
            worker.largest = max(worker.largest, len(batch.positions))
            worker.behind = batch.behind
            if is_end:
                # From now on the range cannot be split.
                worker.at = high
            self._changed.notify_all()
            chunk.high = worker.at
        chunk.batches.append(_cut(batch, keep))
        return is_end

    def _refuse_disorder(self, worker: _Worker, batch: RangeBatch) -> None:
        positions = batch.positions
        begins_late = not positions or positions[0] >= worker.at
        if begins_late and all(map(le, positions, islice(positions, 1, None))):
            return
        raise ProtocolError(
            f"{self._owner}: the vendor sent records out of the order that was asked for; reading on would "
            "miss some.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )

    def _hand_over(self, item: _Chunk | BaseException | None) -> None:
        """Put a chunk or an end into the queue; give up once the reader is stopped."""
        if isinstance(item, _Chunk) and not item.batches:
            return
        while not self._stopped:
            try:
                self._ready.put(item, timeout=_STOP_LOOKS_S)
            except queue.Full:
                continue
            return


def _cut(batch: RangeBatch, keep: int) -> RangeBatch:
    if keep == len(batch.positions):
        return batch
    # The worker that took the upper part reads the other records.
    return replace(
        batch, positions=batch.positions[:keep], batch=batch.batch.slice(0, keep), cursor=""
    )


def _parts(batch: RangeBatch, at: int) -> tuple[RangeBatch, RangeBatch]:
    """Cut a response in two; its calls and its cursor go to the second part."""
    head = replace(
        replace(batch, calls=0, rejected=(), cursor="", seen=0),
        positions=batch.positions[:at],
        batch=batch.batch.slice(0, at),
    )
    return head, replace(batch, positions=batch.positions[at:], batch=batch.batch.slice(at))


def missing(
    whole: KeyRange, done: Iterable[Mapping[str, Any]], *, parts: int = 1
) -> list[KeyRange]:
    """Return the parts of a key range that finished chunks do not cover.

    Args:
        whole: the key range.
        done: facts of chunks, as in `Page.facts`.
        parts: the number of equal ranges to return where no chunk is finished.
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
