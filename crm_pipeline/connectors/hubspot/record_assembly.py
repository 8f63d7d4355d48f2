"""From the records of some answers to one slice for landing: the window's only, whole, with associations."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.hubspot import associations, batches
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.keys import NO_STAMP
from crm_pipeline.connectors.hubspot.responses import Records
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.range_reader import RangeBatch
from crm_pipeline.kernel.clock import Window
from crm_pipeline.store.landing import records as landing

BATCH_RECORDS = 1_000
"""How many records are put together: as many as one call about associations takes."""


class StaleIndexHits:
    """Records that the vendor's index still counts in a window, and that are no longer of it.

    The index of the search lags behind: a match may have been edited or archived since. Such a record is
    left to a later window, and must not be counted in this one. Safe with threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[str] = set()
        self._read: int | None = None

    def add(self, ids: Iterable[str]) -> None:
        """Note some that were shown."""
        with self._lock:
            self._ids.update(ids)

    def add_read(self, number: int) -> None:
        """Note how many live records of the window were read."""
        with self._lock:
            self._read = (self._read or 0) + number

    @property
    def ids(self) -> list[str]:
        """Those that were shown."""
        with self._lock:
            return sorted(self._ids)

    def explain(self, *counts: int) -> bool:
        """Say whether what was read lies between the vendor's counts; True before anything was."""
        return self._read is None or min(counts) <= self._read <= max(counts)


@dataclass(frozen=True)
class Place:
    """Where a slice stands in its span; see `range_reader.RangeBatch`."""

    is_last: bool
    behind: int | None = None
    cursor: str = ""


@dataclass
class RecordAssembly:
    """Makes slices of one plan.

    Attributes:
        by_id: the answers say which records there are, and no more.
        stale_hits: where matches that are not of the window are noted.
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

    def batch(self, found: Records, asked_at: datetime, calls: int, place: Place) -> RangeBatch:
        """Return a slice of the records of some answers, in the order of their ids.

        Raises:
            VendorError: a part of it cannot be had.
        """
        records = found
        if self.by_id:
            # An archived record is read only if it was archived in the window: there may be very many.
            wanted = self._of_window(found, is_preview=True) if self.archived else found
            records, more = batches.read(
                self.api, self.selection, wanted.ids, archived=self.archived
            )
            calls += more
        kept = self._of_window(records)
        if not self.archived:
            if kept is not found:
                read = {*kept.ids, *(one.source_id for one in kept.rejected)}
                self.stale_hits.add(set(found.ids).difference(read))
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
            positions=[int(one) for one in kept.ids],
            batch=batch,
            asked_at=asked_at,
            is_last=place.is_last,
            behind=place.behind,
            calls=calls,
            cursor=place.cursor,
            rejected=tuple(kept.rejected),
            seen=found.seen if self.archived else 0,
        )

    def _of_window(self, records: Records, *, is_preview: bool = False) -> Records:
        """Leave out what was edited since, and what was archived or restored since.

        A record that does not say when it was edited is set aside; of a preview it is read by its id first.
        """
        if records.archived.count(self.archived) < len(records):
            records = records.only([one is self.archived for one in records.archived])
        window = self.selection.window
        if window is None or not len(records):
            return records
        if records.instants.null_count and not is_preview:
            records = records.without(records.instants.is_null().to_pylist(), NO_STAMP)
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
