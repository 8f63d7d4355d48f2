"""The calls of HubSpot's API for one account, each with its operation, which decides its limits."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec
import requests

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.description import decoded_leniently
from crm_pipeline.connectors.hubspot import errors
from crm_pipeline.connectors.hubspot.addresses import Addresses
from crm_pipeline.connectors.hubspot.meter import ASSOCIATIONS, SEARCH, HubSpotMeter
from crm_pipeline.connectors.hubspot.profile import PROFILE, refuse_unusable
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.settings import Connection

T = TypeVar("T")
Reader = Callable[[bytes], T]
_JSON = {"Content-Type": "application/json"}
_ACCOUNT = Operation("account")
LIST = Operation("list")
BATCH_READ = Operation("batch_read")
_SEARCH = Operation("search", kind=SEARCH)
_ASSOCIATIONS = Operation("associations", kind=ASSOCIATIONS)
METADATA = Operation("metadata")


class Details(msgspec.Struct, rename="camel"):
    """The account's own details."""

    portal_id: int | str
    account_type: str | None = None
    time_zone: str | None = None
    ui_domain: str | None = None
    company_currency: str | None = None


class Api(VendorApi):
    """The calls of one account, which HubSpot calls a portal or hub."""

    meter: HubSpotMeter

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        refuse_unusable(connection)
        super().__init__(
            connection,
            context,
            limits,
            classify_response=partial(errors.classify_response, connection),
            meter=HubSpotMeter(connection, context, limits),
            profile=PROFILE,
        )
        self.at = Addresses(self.version)
        self.unlinked: set[tuple[str, str]] = set()
        """Pairs of objects between which the account has no associations."""
        self._details: Details | None = None
        self._details_lock = threading.Lock()

    def details(self) -> Details:
        """Return the account's own details; the first use makes a call."""
        with self._details_lock:
            if self._details is None:
                details = super().read("GET", self.at.account, _ACCOUNT, self._details_of)
                self.meter.begins_day_in(details.time_zone or "")
                self._details = details
            return self._details

    def ping(self) -> None:
        """Request the account's details again, for the `Date` header of the response."""
        super().read("GET", self.at.account, _ACCOUNT, self._details_of)

    def ask(
        self, path: str, reader: Reader[T], operation: Operation = METADATA, **params: str
    ) -> T:
        """Send a GET request and return what `reader` makes of its response, with retries."""
        return self.read("GET", path, operation, _of_body(reader), params=params)

    def typed(
        self,
        path: str,
        kind: type[T],
        what: str,
        operation: Operation = METADATA,
        **params: str,
    ) -> T:
        """Send a GET request and return its response (`what` in error texts) in a declared type, with retries."""
        return self.decoded("GET", path, operation, kind, what, params=params)

    def search(self, name: str, body: Mapping[str, Any], reader: Reader[T]) -> T:
        """Return the response of a search, which counts towards the limit of searches."""
        return self._post(self.at.objects(name, "search"), _SEARCH, body, reader)

    def batch_read(
        self, name: str, body: Mapping[str, Any], reader: Reader[T], *, archived: bool
    ) -> T:
        """Return records of a type by their ids."""
        path = self.at.objects(name, "batch", "read")
        more = {"archived": "true"} if archived else {}
        return self._post(path, BATCH_READ, body, reader, **more)

    def search_lists(self, body: Mapping[str, Any], reader: Reader[T]) -> T:
        """Return the response of a search of lists; no text counts it among the searches of records."""
        return self._post(self.at.lists("search"), METADATA, body, reader)

    def associated(self, name: str, other: str, body: Mapping[str, Any], reader: Reader[T]) -> T:
        """Return associations from records of a type to another type; they have a limit of their own."""
        return self._post(self.at.associations(name, other), _ASSOCIATIONS, body, reader)

    def _post(
        self, path: str, operation: Operation, body: Any, reader: Reader[T], **params: str
    ) -> T:
        # Encoded without spaces, because bodies of searches have a maximum length.
        data = msgspec.json.encode(body)
        return self.read(
            "POST", path, operation, _of_body(reader), data=data, headers=_JSON, params=params
        )

    def read(
        self,
        method: str,
        path: str,
        operation: Operation,
        reader: Callable[[requests.Response], T],
        **given: Any,
    ) -> T:
        """Send a request and return the content of its response, with retries.

        A day ends at the account's midnight: where there is a daily limit, the first request reads the account's
        time zone.
        """
        if self.meter.has_daily and not self._details:
            self.details()
        return super().read(method, path, operation, reader, **given)

    def _details_of(self, response: requests.Response) -> Details:
        owner = self.connection.name
        return decoded_leniently(
            response.content, Details, owner=owner, what="the account's own details"
        )


def _of_body(reader: Reader[T]) -> Callable[[requests.Response], T]:
    return lambda response: reader(response.content)
