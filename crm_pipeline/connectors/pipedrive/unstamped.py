"""Records that were never stamped, and where the stamped ones begin.

They are in no range of time. Which end of a list in the order of time they stand at is not documented,
so that both ends are looked at. Very old records only: https://github.com/airbytehq/airbyte/pull/59676
"""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.base import Page
from crm_pipeline.connectors.pipedrive.catalog import Listing
from crm_pipeline.connectors.pipedrive.line_items import walk
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage


class Ends:
    """Reads both ends of a list as far as records there have no stamp.

    Args:
        lister: asks.
        listing: the list.
        route: that the pages name.
        set_aside: digests of the records that cannot be landed and have been told; grows.

    Attributes:
        oldest: the earliest stamp; known when `pages` has ended, None where nothing is stamped.
    """

    def __init__(
        self, lister: Lister, listing: Listing, *, route: str, set_aside: set[str]
    ) -> None:
        self._lister = lister
        self._listing = listing
        self._route = route
        self._set_aside = set_aside
        self.oldest: datetime | None = None

    def pages(self) -> Iterator[Page]:
        """Yield the records without a stamp, each once."""
        seen: set[str] = set()
        for direction in ("asc", "desc"):
            params = self._lister.scan(self._listing, None)
            params |= {"sort_by": "update_time", "sort_direction": direction}
            for page in walk(self._lister, self._listing, params):
                yield self._page(page, seen)
                if page.oldest is not None:
                    known = self.oldest or page.oldest
                    self.oldest = min(known, page.oldest)
                    break

    def _page(self, page: ListPage, seen: set[str]) -> Page:
        rows = page.batch.filter(pc.is_null(page.batch.column("_modified_at")))
        ids = rows.column("_source_id").to_pylist()
        rows = rows.filter(pa.array([one not in seen for one in ids], pa.bool_()))
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
