"""HubSpot's API for one account: which call is what, and where it falls."""

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
    """What an account says about itself."""

    portal_id: int | str
    account_type: str | None = None
    time_zone: str | None = None
    ui_domain: str | None = None
    company_currency: str | None = None


class Api(VendorApi):
    """Calls of one account (HubSpot calls it a portal or hub)."""

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
        """Return what the account says about itself."""
        with self._details_lock:
            if self._details is None:
                found = super().read("GET", self.at.account, _ACCOUNT, self._details_of)
                self.meter.begins_day_in(found.time_zone or "")
                self._details = found
            return self._details

    def ping(self) -> None:
        """Ask what the account says about itself, though it is known: the answer carries a date."""
        super().read("GET", self.at.account, _ACCOUNT, self._details_of)

    def ask(
        self, path: str, reader: Reader[T], operation: Operation = METADATA, **params: str
    ) -> T:
        """GET a path and return what the reader makes of its answer, with retries."""
        return self.read("GET", path, operation, _of_body(reader), params=params)

    def typed(
        self,
        path: str,
        kind: type[T],
        what: str,
        operation: Operation = METADATA,
        **params: str,
    ) -> T:
        """GET a path and return its answer, `what` in words, in a declared type, with retries."""
        return self.decoded("GET", path, operation, kind, what, params=params)

    def search(self, name: str, body: Mapping[str, Any], reader: Reader[T]) -> T:
        """Search records of a type; under the ceiling of searches."""
        return self._post(self.at.objects(name, "search"), _SEARCH, body, reader)

    def batch_read(
        self, name: str, body: Mapping[str, Any], reader: Reader[T], *, archived: bool
    ) -> T:
        """Read records of a type by their ids."""
        path = self.at.objects(name, "batch", "read")
        more = {"archived": "true"} if archived else {}
        return self._post(path, BATCH_READ, body, reader, **more)

    def associated(self, name: str, other: str, body: Mapping[str, Any], reader: Reader[T]) -> T:
        """Read associations from records of a type to those of another; under their own ceiling."""
        return self._post(self.at.associations(name, other), _ASSOCIATIONS, body, reader)

    def _post(
        self, path: str, operation: Operation, body: Any, reader: Reader[T], **params: str
    ) -> T:
        # Without a character too many: bodies of searches have a greatest length.
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
        """Send a request and return what its answer says, with retries.

        A day ends at the account's midnight: where there is a ceiling of the day, the account is asked
        for its time zone before anything else.
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
