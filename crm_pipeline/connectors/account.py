"""What the accounts of all vendors do alike: they keep an API, tell its counters, and end it.

What an account reads, and how, is in the vendors' folders.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Generic, TypeVar

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import LoginFlow, Usage
from crm_pipeline.connectors.upkeep import DayLimit
from crm_pipeline.settings import Connection

# A clock that differs from ours is looked at so often in all.
_PINGS = 3

ApiT = TypeVar("ApiT", bound=VendorApi)


class ApiAccount(Generic[ApiT]):
    """The part of `connectors.base.Account` that the API answers.

    Args:
        connection: whose account.
        api: the vendor's calls.
    """

    def __init__(self, connection: Connection, api: ApiT) -> None:
        self.connection = connection
        self._api = api

    @property
    def usage(self) -> Usage:
        """What was called through this account, and the vendor's own counter."""
        return self._api.usage

    @property
    def day_limit(self) -> DayLimit | None:
        """The vendor's limit of a day, as it is known here."""
        return self._api.meter.day

    def close(self) -> None:
        """Close all connections."""
        self._api.close()

    def login_flow(self, redirect_uri: str) -> LoginFlow:
        """Begin a login by a person."""
        return self._api.login_flow(redirect_uri)

    def confirm_deleted(self, obj: str, ids: Sequence[str]) -> AbstractSet[str]:  # noqa: ARG002
        """Return none: what the vendor says of a missing record does not tell deleted from hidden."""
        return frozenset()

    def vendor_now(self) -> datetime:
        """Return the vendor's clock as its answers tell it, cut to whole seconds.

        It asks once if nothing was asked yet, and again where the first answer differs from our clock.
        """
        for _ in range(_PINGS):
            if self._api.vendor_clock.is_settled:
                break
            self._ping()
        return self._api.vendor_now()

    def _ping(self) -> None:
        """Ask for something short that every login may ask for; never from a cache."""
        raise NotImplementedError
