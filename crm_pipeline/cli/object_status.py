"""The status of each object of a connection, read from landing and the looks; needs no database."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from crm_pipeline.kernel.clock import Clock, SystemClock
from crm_pipeline.kernel.errors import CorruptFile
from crm_pipeline.orchestration.remarks import held_back_at, remarks_at
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw import Remark
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.freshness import Freshness, freshness_of
from crm_pipeline.store.landing.looks import Looks
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.tables import Tables


@dataclass(frozen=True)
class ObjectStatus:
    """The status of one object.

    Attributes:
        watermark: everything that changed before it has been read; None if never, or a snapshot.
        last: its last committed window; single records that were read by their ids are none.
        landed: rows in landing over all windows and reads by id: versions of records, not records.
        mismatches: windows whose count by the vendor and ours differ.
        remarks: for people, with what to do.
        fresh: its freshness; None for an object that is no longer configured.
        behind_s: the age of the oldest change that may be missing.
        is_automatic: whether sensors and schedules run, so that an object can be late.
    """

    name: str
    watermark: datetime | None
    last: WindowCommit | None
    windows: int
    landed: int
    mismatches: int
    remarks: tuple[Remark, ...] = ()
    fresh: Freshness | None = None
    behind_s: float | None = None
    is_automatic: bool = False

    @property
    def state(self) -> str:
        """The state of the object in a word, such as `current` or `failing`."""
        if self.fresh is None:
            return "not configured"
        if self.fresh.state == "current" and self.fresh.is_late and self.is_automatic:
            return "late"
        return self.fresh.state

    @property
    def read_to(self) -> datetime | None:
        """Up to when it was read, even if not from its beginning."""
        return self.watermark or (self.fresh.read_to if self.fresh else None)

    @property
    def reconciled(self) -> str:
        """The result of the last window's count in a word."""
        if self.last is None:
            return "never read"
        if self.last.vendor_count is None:
            return "not counted"
        return "equal" if is_reconciled(self.last) else f"{counted(self.last)} differ"

    @property
    def comparison(self) -> str:
        """The result for people: with the records that were read, and that the vendor does not count."""
        beside = self.last.uncounted if self.last and self.last.vendor_count is not None else 0
        return f"{self.reconciled}, {beside:,} deleted not counted" if beside else self.reconciled

    def record(self) -> dict[str, Any]:
        """Return the status for JSON."""
        last, fresh = self.last, self.fresh
        return {
            "object": self.name,
            "state": self.state,
            "watermark": self.watermark,
            "behind_s": self.behind_s,
            "history_from": fresh and fresh.history_from,
            "is_whole": fresh and fresh.is_whole,
            "last_look": fresh and fresh.looked_at,
            "last_good_look": fresh and fresh.good_at,
            "error": (fresh and fresh.error) or None,
            "error_since": fresh and fresh.failing_since,
            "next_try": fresh and fresh.next_try_at,
            "windows": self.windows,
            "landed_rows": self.landed,
            "mismatched_windows": self.mismatches,
            "remarks": [vars(remark) for remark in self.remarks],
            "last_window": last
            and {
                "from": last.window.from_at,
                "to": last.window.to_at,
                "committed_at": last.committed_at,
                "records": last.records,
                "known": last.known,
                "quarantined": last.quarantined,
                "vendor_count": last.vendor_count,
                "uncounted": last.uncounted,
                "calls": last.calls,
                "route": last.route,
                "reconciled": self.reconciled,
            },
        }


def objects_of(
    settings: Settings, connection: Connection, clock: Clock | None = None
) -> list[ObjectStatus]:
    """Return the status of the objects of a connection, configured ones first."""
    landing = Landing(settings.data)
    now = (clock or SystemClock()).now()
    looks = Looks(settings.data).at(connection.name)
    fresh = {row.object: row for row in freshness_of(connection, landing, looks, now)}
    landed = landing.objects(connection.name)
    remarks = remarks_at(landing, Tables(settings.data), connection)
    held = held_back_at(looks, connection)
    return [
        replace(
            _object_status(landing, connection.name, name),
            remarks=(*held.get(name, ()), *remarks.get(name, ())),
            fresh=fresh.get(name),
            behind_s=fresh[name].behind_s(now) if name in fresh else None,
            is_automatic=settings.is_automatic,
        )
        for name in dict.fromkeys((*fresh, *landed))
    ]


def counted(commit: WindowCommit) -> int:
    """Return the difference between the vendor's counts of a window and the records read."""
    return commit.differs_by or 0


def is_reconciled(commit: WindowCommit) -> bool:
    """Say whether the records read agree with the vendor's counts, if there are any."""
    return counted(commit) == 0


def _object_status(landing: Landing, connection: str, name: str) -> ObjectStatus:
    try:
        commits = landing.windows(connection, name)
        reads = [commit for commit in commits if not commit.is_point]
        watermark = landing.watermark(connection, name)
    except CorruptFile:
        commits, reads, watermark = [], [], None  # its freshness says so
    return ObjectStatus(
        name=name,
        watermark=watermark,
        last=reads[-1] if reads else None,
        windows=len(reads),
        landed=sum(commit.records for commit in commits),
        mismatches=sum(not is_reconciled(commit) for commit in commits),
    )
