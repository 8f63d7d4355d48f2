"""Archived records: a separate list without a time filter, which is read only as often as it is worth.

The list has the records archived in the last 90 days in the order of their ids, and cannot be filtered by the time of
archiving. Each refresh would page through all of it for a few records. So a long list is left out of some refreshes,
and the next refresh that reads it takes all records archived meanwhile. The commit of each window holds the length of
the list, and the time up to which archived records were read. Source:
https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from crm_pipeline.connectors.base import Plan, ReadStrategy
from crm_pipeline.connectors.hubspot import batches, estimate, listing
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline.connectors.hubspot.selection import Selection
from crm_pipeline.connectors.strategies import price_s
from crm_pipeline.kernel.clock import Window, format_instant, parse_instant
from crm_pipeline.settings.shrinkage import ShrinkBounds

_KEPT = timedelta(days=90)
_SIZE, _UNTIL = "archived_records", "archived_until"


@dataclass(frozen=True)
class Archive:
    """How a read treats archived records.

    Attributes:
        size: the length of the list when it was last read; None where it never was.
        until: all records archived before this time were read; None where there is no such time.
        since: records archived from this time on are read; None reads all.
        is_due: whether this read includes the list.
    """

    size: int | None
    until: datetime | None
    since: datetime | None
    is_due: bool

    @classmethod
    def of(cls, api: Api, plan: Plan, notes: Mapping[str, Any]) -> "Archive":
        """Return how a plan treats archived records, by the notes of the window before it."""
        size, until = notes.get(_SIZE), _instant(notes.get(_UNTIL))
        since = plan.window.from_at if plan.window else None
        overlap = timedelta(seconds=api.connection.lookback_s)
        if since is not None and until is not None:
            since = min(since, until - overlap)
        archive = cls(size, until, since, is_due=True)
        is_seamless = since is not None and until is not None and since == until - overlap
        if not is_seamless or plan.window is None or until is None or size is None:
            return archive
        gap_s = (plan.window.to_at - until).total_seconds()
        # The list may take this percentage of the time that passes.
        allowed_s = gap_s * api.meter.limit("archived_percent") / 100
        selection = Selection.of(api, plan)
        is_worth_it = price_s(archive._strategy(api, selection), api.remaining) <= allowed_s
        return replace(archive, is_due=gap_s <= 0 or is_worth_it)

    @classmethod
    def kept(cls, facts: Mapping[str, Any]) -> "Archive":
        """Return the archive that `facts` were made of."""
        return cls(
            facts["size"], _instant(facts["until"]), _instant(facts["since"]), facts["is_due"]
        )

    def facts(self) -> dict[str, Any]:
        """Return the attributes as JSON for the checkpoint."""
        times = {"until": _text(self.until), "since": _text(self.since)}
        return {"size": self.size, "is_due": self.is_due, **times}

    def notes(self, to_at: datetime | None, seen: int, bounds: ShrinkBounds) -> dict[str, Any]:
        """Return the notes for the next plan: `seen` records were on the list, in a window up to `to_at`.

        A list that lost too many records is implausible: `until` stays, so that the next read takes everything since.
        An empty list stays implausible when it comes again.
        """
        until, size = self.until, self.size
        if self.is_due:
            is_short = self.is_short(seen, bounds, to_at)
            # Without `until` there is nothing to keep, and the warning comes once.
            size = size if is_short and not seen and until is not None else seen
            is_joined = self.since is None or (until is not None and self.since <= until)
            if is_joined and to_at is not None and not is_short:
                until = max(until, to_at) if until else to_at
        return {_SIZE: size, _UNTIL: _text(until)}

    def is_short(self, seen: int, bounds: ShrinkBounds, to_at: datetime | None) -> bool:
        """Return whether the list has far fewer records than before: records stay on it for 90 days."""
        before = self.size or 0
        if seen:
            return seen < before and bounds.exceeded(before - seen, before)
        has_expired = to_at is not None and self.until is not None and to_at - self.until >= _KEPT
        return before > 0 and not has_expired

    def selection(self, selection: Selection) -> Selection:
        """Return the selection of archived records."""
        if selection.window is None:
            return selection
        return replace(selection, window=Window(self.since, selection.window.to_at))

    def by_id(self, api: Api, selection: Selection) -> bool:
        """Return whether the list is read for ids only: few of its records were archived lately."""
        return self.since is not None or not selection.fits_list(api)

    def added(
        self, api: Api, plan: Plan, strategies: Sequence[ReadStrategy]
    ) -> tuple[ReadStrategy, ...]:
        """Return strategies with the cost of the list added to each."""
        # Live and archived records are read at the same time.
        return estimate.added(strategies, self._strategy(api, Selection.of(api, plan)), beside=True)

    def _strategy(self, api: Api, selection: Selection) -> ReadStrategy:
        if not self.is_due:
            at = f"{self.until:%Y-%m-%d %H:%M}" if self.until else ""
            how = f"archived records not now: {self.size:,} are listed, read up to {at} UTC"
            return estimate.more(0, 0.0, how)
        by_id, size = self.by_id(api, selection), self.size or 0
        calls = max(1, math.ceil(size / listing.page_size(api, selection, by_id=by_id)))
        how = "archived records by their list, which was never read yet"
        if self.size is not None:
            how = f"archived records by their list of {size:,}"
        if by_id:
            calls += math.ceil(self._expected(selection) / batches.size_of(api, selection))
        return estimate.more(calls, api.round_trip_s, how)

    def _expected(self, selection: Selection) -> int:
        """Return the estimated number of records of the list that belong to the read."""
        size, window = self.size or 0, selection.window
        if self.since is None or window is None:
            return size
        return round(size * min(1.0, (window.to_at - self.since) / _KEPT))


def _instant(text: str | None) -> datetime | None:
    return parse_instant(text) if text else None


def _text(at: datetime | None) -> str | None:
    return format_instant(at) if at else None
