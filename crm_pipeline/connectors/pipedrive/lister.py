"""Asks for the pages of an object's lists: which parameters each list takes."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import Item, Listing
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window


class Lister:
    """Asks for pages of one object.

    Args:
        api: the account's.
        item: the object.
        optional: what `include_fields` asks for, so that nothing is left out.
    """

    def __init__(self, api: Api, item: Item, optional: Sequence[str] = ()) -> None:
        self.api = api
        self.item = item
        self.owner = f"{api.connection.name}.{item.name}"
        self.optional = tuple(optional)

    def ask(self, listing: Listing, params: Mapping[str, str]) -> ListPage:
        """Return one page of a list."""
        asked_at = self.api.now()
        operation = Operation(f"list {self.item.name}", cost=listing.cost)

        def read(body: bytes) -> ListPage:
            return ListPage(
                body,
                self.item,
                listing,
                asked_at=asked_at,
                owner=self.owner,
                bounded="updated_since" in params,
            )

        return self.api.ask(listing.path, read, operation, **listing.params, **params)

    def scan(self, listing: Listing, window: Window | None, **more: str) -> dict[str, str]:
        """Return the parameters of a read in pages: by id, or of a window by the time of change.

        A full scan goes by id: records without a stamp are in no range of time. A window goes by the
        time of change up to a fixed moment, so that a record which is edited meanwhile leaves it.
        """
        params = {"limit": str(self.api.page_records), **more}
        if self.item.paging == "whole":
            return {}
        if self.item.paging == "offset":
            return {**self._since(listing, window), "sort": "id ASC", **params}
        if self.optional:
            params["include_fields"] = ",".join(self.optional)
        bounded = window is not None and window.from_at is not None and listing.since
        params["sort_by"] = "update_time" if bounded else "id"
        if not bounded or window is None:
            return params
        if listing.until:
            params["updated_until"] = second(window.to_at)
        return {**params, **self._since(listing, window)}

    def _since(self, listing: Listing, window: Window | None) -> dict[str, str]:
        if window is None or window.from_at is None or not listing.since:
            return {}
        # Stamps of v1 may have fractions, which the parameter may not: asked from the second before.
        start = window.from_at if self.item.paging == "cursor" else _floor(window.from_at)
        return {"updated_since": second(start)}


def second(at: datetime) -> str:
    """Write a moment in whole seconds, as the vendor takes it; between two seconds, the later one.

    Stamps are whole seconds, so that the same records lie before it.
    """
    whole = datetime.fromtimestamp(math.ceil(at.timestamp()), UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")


def _floor(at: datetime) -> datetime:
    return at.replace(microsecond=0)
