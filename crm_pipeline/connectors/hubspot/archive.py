"""What is archived: a list of its own that knows no time, read no more often than it is worth.

The list shows the records of the last 90 days by their ids; which of them were archived since a moment it
cannot be asked. A refresh would page through all of it for the few. So where it is long it is left out of
some refreshes, and the next one that reads it takes what was archived meanwhile. How long the list was, and
up to when what is archived was read, stands in the commit of each window. Source:
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
    """The part that archived records have in a read.

    Attributes:
        size: how many the list showed when it was last read; None where it never was.
        until: everything archived before then was read; None where there is no such moment.
        since: what was archived from then on is read; None is all.
        is_due: the list is read now.
    """

    size: int | None
    until: datetime | None
    since: datetime | None
    is_due: bool

    @classmethod
    def of(cls, api: Api, plan: Plan, noted: Mapping[str, Any]) -> "Archive":
        """Return what a plan reads, given what the window before it noted."""
        size, until = noted.get(_SIZE), _instant(noted.get(_UNTIL))
        since = plan.window.from_at if plan.window else None
        overlap = timedelta(seconds=api.connection.lookback_s)
        if since is not None and until is not None:
            since = min(since, until - overlap)
        made = cls(size, until, since, is_due=True)
        goes_on = since is not None and until is not None and since == until - overlap
        if not goes_on or plan.window is None or until is None or size is None:
            return made
        gap_s = (plan.window.to_at - until).total_seconds()
        # Of all the time that passes, the list gets so many percent at most.
        allowed_s = gap_s * api.meter.limit("archived_percent") / 100
        selection = Selection.of(api, plan)
        is_worth_it = price_s(made._route(api, selection), api.remaining) <= allowed_s
        return replace(made, is_due=gap_s <= 0 or is_worth_it)

    @classmethod
    def kept(cls, facts: Mapping[str, Any]) -> "Archive":
        """Return what `facts` told."""
        return cls(
            facts["size"], _instant(facts["until"]), _instant(facts["since"]), facts["is_due"]
        )

    def facts(self) -> dict[str, Any]:
        """Return it as JSON, for whoever goes on with the read."""
        edges = {"until": _text(self.until), "since": _text(self.since)}
        return {"size": self.size, "is_due": self.is_due, **edges}

    def noted(self, to_at: datetime | None, seen: int, bounds: ShrinkBounds) -> dict[str, Any]:
        """Return what the next plan is to know: `seen` were on the list, in a window up to `to_at`.

        A list that lost too much is not believed: what it says, it says up to where it was believed, so that the
        next one is asked for everything since. One that is empty is not believed either when it comes again.
        """
        until, size = self.until, self.size
        if self.is_due:
            is_short = self.is_short(seen, bounds, to_at)
            # Where nothing was believed up to a moment, disbelief keeps nothing and is told once.
            size = size if is_short and not seen and until is not None else seen
            joins = self.since is None or (until is not None and self.since <= until)
            if joins and to_at is not None and not is_short:
                until = max(until, to_at) if until else to_at
        return {_SIZE: size, _UNTIL: _text(until)}

    def is_short(self, seen: int, bounds: ShrinkBounds, to_at: datetime | None) -> bool:
        """Say whether the list shows far less than it did: records stay on it for 90 days."""
        before = self.size or 0
        if seen:
            return seen < before and bounds.exceeded(before - seen, before)
        has_expired = to_at is not None and self.until is not None and to_at - self.until >= _KEPT
        return before > 0 and not has_expired

    def selection(self, selection: Selection) -> Selection:
        """Return the archived ones of what is read."""
        if selection.window is None:
            return selection
        return replace(selection, window=Window(self.since, selection.window.to_at))

    def by_id(self, api: Api, selection: Selection) -> bool:
        """Say whether the list only tells which there are: of all that it has, few were archived lately."""
        return self.since is not None or not selection.fits_list(api)

    def added(
        self, api: Api, plan: Plan, routes: Sequence[ReadStrategy]
    ) -> tuple[ReadStrategy, ...]:
        """Return routes with what the list adds to each."""
        # Both are read at the same time.
        return estimate.added(routes, self._route(api, Selection.of(api, plan)), beside=True)

    def _route(self, api: Api, selection: Selection) -> ReadStrategy:
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
        """Estimate how many of the list belong to the read."""
        size, window = self.size or 0, selection.window
        if self.since is None or window is None:
            return size
        return round(size * min(1.0, (window.to_at - self.since) / _KEPT))


def _instant(text: str | None) -> datetime | None:
    return parse_instant(text) if text else None


def _text(at: datetime | None) -> str | None:
    return format_instant(at) if at else None
