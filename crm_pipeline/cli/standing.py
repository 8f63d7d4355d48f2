"""Where each object of a connection stands, read from landing; no database is needed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.manifest import WindowCommit


@dataclass(frozen=True)
class ObjectStatus:
    """Where one object stands.

    Attributes:
        watermark: everything that changed before it has been read; None if never, or a snapshot.
        last: its last committed window.
        landed: rows in landing over all windows: versions of records, not records.
        mismatches: windows whose count by the vendor and ours differ.
    """

    name: str
    watermark: datetime | None
    last: WindowCommit | None
    windows: int
    landed: int
    mismatches: int

    @property
    def reconciled(self) -> str:
        """Say in a word how the last window's count came out."""
        if self.last is None:
            return "never read"
        if self.last.vendor_count is None:
            return "not counted"
        return "equal" if is_reconciled(self.last) else f"{counted(self.last)} differ"

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        last = self.last
        return {
            "object": self.name,
            "watermark": self.watermark,
            "windows": self.windows,
            "landed_rows": self.landed,
            "mismatched_windows": self.mismatches,
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


def objects_of(settings: Settings, connection: Connection) -> list[ObjectStatus]:
    """Return where the objects of a connection stand, configured ones first."""
    landing = Landing(settings.data)
    configured = [obj.name for obj in connection.objects]
    landed = landing.objects(connection.name)
    return [
        _object_status(landing, connection.name, name)
        for name in dict.fromkeys((*configured, *landed))
    ]


def counted(commit: WindowCommit) -> int:
    """Return by how many records the vendor's counts of a window miss what was read.

    Records that are edited while a window is read leave it, so anything between the count before
    and the count after is right.
    """
    if commit.vendor_count is None:
        return 0
    read = commit.records + commit.known + commit.quarantined - commit.uncounted
    before = commit.vendor_count_before
    ends = (commit.vendor_count, commit.vendor_count if before is None else before)
    return max(min(ends) - read, read - max(ends), 0)


def is_reconciled(commit: WindowCommit) -> bool:
    """Say whether what was read agrees with the vendor's counts, if it gave any."""
    return counted(commit) == 0


def _object_status(landing: Landing, connection: str, name: str) -> ObjectStatus:
    commits = landing.windows(connection, name)
    return ObjectStatus(
        name=name,
        watermark=landing.watermark(connection, name),
        last=commits[-1] if commits else None,
        windows=len(commits),
        landed=sum(commit.records for commit in commits),
        mismatches=sum(not is_reconciled(commit) for commit in commits),
    )
