"""Assembles the records of responses into batches for landing: complete, with associations, of the window only."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.hubspot import associations, batches
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.keys import NO_MODIFIED
from crm_pipeline.connectors.hubspot.responses import Records
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.range_reader import RangeBatch
from crm_pipeline.kernel.clock import Window
from crm_pipeline.store.landing import records as landing

BATCH_RECORDS = 1_000
"""The size of a batch: the maximum of one call for associations."""


class StaleIndexHits:
    """Records that the vendor's index still counts in a window although they have left it.

    The search index lags behind: a hit may have been edited or archived since. Such a record belongs to a later
    window and must not be counted in this one. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._read: int | None = None

    def add(self, ids: Iterable[str]) -> None:
        """Add the ids of stale hits."""
        with self._lock:
            self._ids.update(ids)

    def add_read(self, number: int) -> None:
        """Add to the number of live records of the window that were read."""
        with self._lock:
            self._read = (self._read or 0) + number

    @property
    def ids(self) -> list[str]:
        """The ids of the stale hits."""
        with self._lock:
            return sorted(self._ids)

    def explain(self, *counts: int) -> bool:
        """Return whether the number of records read is between the vendor's counts; True before any read."""
        return self._read is None or min(counts) <= self._read <= max(counts)


@dataclass(frozen=True)
class Progress:
    """The position of a batch in its key range; see `range_reader.RangeBatch`."""

    is_last: bool
    behind: int | None = None
    cursor: str = ""


@dataclass
class RecordAssembly:
    """Assembles the batches of one plan.

    Attributes:
        by_id: responses have ids only, and the records are read by id.
        stale_hits: collects the hits that are not in the window.
        archived: the records are archived ones.
    """

    api: Api
    selection: Selection
    by_id: bool
    stale_hits: StaleIndexHits
    archived: bool = False
    owner: str = field(init=False)

    def __post_init__(self) -> None:
        self.owner = f"{self.api.connection.name}.{self.selection.name}"

    def batch(
        self, hits: Records, asked_at: datetime, calls: int, progress: Progress
    ) -> RangeBatch:
        """Return a batch of the records of some responses, in the order of their ids.

        Raises:
            VendorError: a part cannot be read.
        """
        records = hits
        if self.by_id:
            # Only records archived in the window are read, because there may be many others.
            wanted = self._of_window(hits, is_preview=True) if self.archived else hits
            records, more = batches.read(
                self.api, self.selection, wanted.ids, archived=self.archived
            )
            calls += more
        kept = self._of_window(records)
        if not self.archived:
            if kept is not hits:
                read = {*kept.ids, *(row.source_id for row in kept.rejected)}
                self.stale_hits.add(set(hits.ids).difference(read))
            others = self.selection.others
            calls += associations.add(self.api, self.selection.name, others, kept) if others else 0
        batch = batch_of(
            ids=kept.ids,
            modified_at=kept.instants,
            texts=kept.texts,
            deleted=kept.archived,
            owner=self.owner,
        )
        return RangeBatch(
            positions=[int(record_id) for record_id in kept.ids],
            batch=batch,
            asked_at=asked_at,
            is_last=progress.is_last,
            behind=progress.behind,
            calls=calls,
            cursor=progress.cursor,
            rejected=tuple(kept.rejected),
            seen=hits.seen if self.archived else 0,
        )

    def _of_window(self, records: Records, *, is_preview: bool = False) -> Records:
        """Return the records of the window, without those that were edited, archived or restored since.

        A record without a modification time is rejected; in a preview it is kept and read by id first.
        """
        if records.archived.count(self.archived) < len(records):
            records = records.only([archived is self.archived for archived in records.archived])
        window = self.selection.window
        if window is None or not len(records):
            return records
        if records.instants.null_count and not is_preview:
            records = records.without(records.instants.is_null().to_pylist(), NO_MODIFIED)
        inside = pc.fill_null(_inside(records.instants, window), is_preview)
        if pc.all(inside).as_py() in (True, None):
            return records
        return records.only(inside.to_pylist())


def _inside(instants: pa.Array, window: Window) -> pa.BooleanArray:
    inside = pc.less(instants, pa.scalar(window.to_at, landing.TIMESTAMP))
    if window.from_at is None:
        return inside
    lower = pc.greater_equal(instants, pa.scalar(window.from_at, landing.TIMESTAMP))
    return pc.and_(inside, lower)
