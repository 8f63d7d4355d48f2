"""Reads records without a time of change, and finds the earliest time of change of the others.

Such records are in no range of time. Whether they are at the start or the end of a list in the order of
changes is not documented, so both ends are read. Only very old records are concerned:
https://github.com/airbytehq/airbyte/pull/59676
"""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.line_items import cursor_pages
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage


class ListEnds:
    """Reads both ends of a list until a record has a time of change.

    Args:
        lister: of the object.
        listing: the list.
        route: the strategy that the pages name.
        set_aside: digests of the rejected records; this adds to it.

    Attributes:
        first_modified_at: the earliest time of change; set when `pages` has ended, None for none.
    """

    def __init__(
        self, lister: Lister, listing: Listing, *, route: str, set_aside: set[str]
    ) -> None:
        self._lister = lister
        self._listing = listing
        self._route = route
        self._set_aside = set_aside
        self.first_modified_at: datetime | None = None

    def pages(self) -> Iterator[Page]:
        """Yield the records without a time of change, each once."""
        seen: set[str] = set()
        for direction in ("asc", "desc"):
            params = self._lister.scan_params(self._listing, None)
            params |= {"sort_by": "update_time", "sort_direction": direction}
            for page in cursor_pages(self._lister, self._listing, params):
                yield self._page(page, seen)
                first = page.first_modified_at
                if first is not None:
                    self.first_modified_at = min(self.first_modified_at or first, first)
                    break

    def _page(self, page: ListPage, seen: set[str]) -> Page:
        rows = page.batch.filter(pc.is_null(page.batch.column("_modified_at")))
        ids = rows.column("_source_id").to_pylist()
        rows = rows.filter(pa.array([record_id not in seen for record_id in ids], pa.bool_()))
        seen.update(ids)
        rejected = [row for row in page.rejected if row.digest not in self._set_aside]
        self._set_aside.update(row.digest for row in rejected)
        return Page(
            shape="json",
            route=self._route,
            batches=lambda: iter([rows]),
            extracted_at=page.asked_at,
            calls=1,
            rejected=rejected,
            origin=self._listing.origin,
        )
