"""Requests the pages of an object's lists, with the parameters that each list takes."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.api import Api
from crm_pipeline.connectors.pipedrive.catalog import Item, Listing
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.kernel.clock import Window


class Lister:
    """Requests pages of one object.

    Args:
        api: the account's.
        item: the object.
        optional: the optional fields that requests name in `include_fields`.
    """

    def __init__(self, api: Api, item: Item, optional: Sequence[str] = ()) -> None:
        self.api = api
        self.item = item
        self.owner = f"{api.connection.name}.{item.name}"
        self.optional = tuple(optional)

    def fetch(self, listing: Listing, params: Mapping[str, str]) -> ListPage:
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

    def scan_params(self, listing: Listing, window: Window | None, **more: str) -> dict[str, str]:
        """Return the parameters of a read in pages: in the order of ids, or for a window of changes.

        A full scan goes by id, as records without a time of change are in no window. A window ends at a
        fixed instant, so a record that is edited during the read leaves it.
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
        # Times of v1 may have fractions, which the parameter must not have: start at the whole second.
        start = window.from_at if self.item.paging == "cursor" else _floor(window.from_at)
        return {"updated_since": second(start)}


def second(at: datetime) -> str:
    """Return an instant as the parameter's text, rounded up to a whole second.

    Times of change are whole seconds, so the same records are before it.
    """
    whole = datetime.fromtimestamp(math.ceil(at.timestamp()), UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%SZ")


def _floor(at: datetime) -> datetime:
    return at.replace(microsecond=0)
