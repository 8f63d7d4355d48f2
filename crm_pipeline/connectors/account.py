"""What the accounts of all vendors do alike: they keep an API, tell its counters, and end it.

What an account reads, and how, is in the vendors' folders.
"""

from typing import Generic, TypeVar

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import Consent, Usage
from crm_pipeline.settings import Connection

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

    def close(self) -> None:
        """Close all connections."""
        self._api.close()

    def consent(self, redirect_uri: str) -> Consent:
        """Begin a login by a person."""
        return self._api.consent(redirect_uri)
