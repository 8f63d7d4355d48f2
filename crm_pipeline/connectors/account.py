"""The part that the accounts of all vendors share: the API, its counters and its clock.

What an account reads, and how, is in the vendors' folders.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Generic, TypeVar

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import LoginFlow, Usage
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.settings import Connection

# So many responses are compared in all where the vendor's clock differs from ours.
_MOST_PINGS = 3

ApiT = TypeVar("ApiT", bound=VendorApi)


class ApiAccount(Generic[ApiT]):
    """The part of `connectors.base.Account` that is the same for all vendors.

    Args:
        connection: of the account.
        api: makes the vendor's calls.
    """

    def __init__(self, connection: Connection, api: ApiT) -> None:
        self.connection = connection
        self._api = api

    @property
    def usage(self) -> Usage:
        """The calls made through this account, and the vendor's own counter."""
        return self._api.usage

    @property
    def day_limit(self) -> DayLimit | None:
        """The vendor's daily limit, as known so far."""
        return self._api.meter.day

    def spending(self, amount: int) -> AbstractContextManager[None]:
        """Refuse calls that would cost more than an amount in all within the context."""
        return self._api.spending(amount)

    def close(self) -> None:
        """Close all connections."""
        self._api.close()

    def login_flow(self, redirect_uri: str) -> LoginFlow:
        """Start a login by a person."""
        return self._api.login_flow(redirect_uri)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:  # noqa: ARG002
        """Return none: the vendor's response for a missing record is the same for deleted and hidden records."""
        return frozenset()

    def vendor_now(self) -> datetime:
        """Return the vendor's time by the `Date` headers of its responses, in whole seconds.

        The first use makes a call, and further ones where the first response differs from our clock.
        """
        for _ in range(_MOST_PINGS):
            if self._api.vendor_clock.is_settled:
                break
            self._ping()
        return self._api.vendor_now()

    def _ping(self) -> None:
        """Make a short call that every login may make and that no cache answers."""
        raise NotImplementedError
