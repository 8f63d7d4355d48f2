"""HubSpot's API for one account: which call is what, and where it falls."""

import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import requests

from crm_pipeline.connectors.api import VendorApi, as_mapping
from crm_pipeline.connectors.base import Tools, VendorLimits
from crm_pipeline.connectors.hubspot import answers
from crm_pipeline.connectors.hubspot.addresses import Addresses
from crm_pipeline.connectors.hubspot.dialect import DIALECT, refuse_unusable
from crm_pipeline.connectors.hubspot.meter import ASSOCIATIONS, SEARCH, HubSpotMeter
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.settings import Connection

_JSON = {"Content-Type": "application/json"}
_ACCOUNT = Operation("account")
LIST = Operation("list")
BATCH_READ = Operation("batch_read")
_SEARCH = Operation("search", kind=SEARCH)
_ASSOCIATIONS = Operation("associations", kind=ASSOCIATIONS)
METADATA = Operation("metadata")


class Api(VendorApi):
    """Calls of one account (HubSpot calls it a portal or hub)."""

    meter: HubSpotMeter

    def __init__(self, connection: Connection, tools: Tools, limits: VendorLimits) -> None:
        refuse_unusable(connection)
        super().__init__(
            connection,
            tools,
            limits,
            judge=partial(answers.judge, connection),
            meter=HubSpotMeter(connection, tools, limits),
            dialect=DIALECT,
        )
        self.at = Addresses(self.version)
        self.unlinked: set[tuple[str, str]] = set()
        """Pairs of objects between which the account has no associations."""
        self._details: Mapping[str, Any] | None = None
        self._details_lock = threading.Lock()

    def details(self) -> Mapping[str, Any]:
        """Return what the account says about itself: `portalId`, `timeZone`, `accountType`, ..."""
        with self._details_lock:
            if self._details is None:
                found = as_mapping(
                    super().request("GET", self.at.account, _ACCOUNT), self.connection.name
                )
                self.meter.begins_day_in(str(found.get("timeZone") or ""))
                self._details = found
            return self._details

    def ask(self, path: str, operation: Operation = METADATA, **params: str) -> requests.Response:
        """GET a path, with retries."""
        return self.request("GET", path, operation, params=params)

    def search(self, name: str, body: Mapping[str, Any]) -> requests.Response:
        """Search records of a type; under the ceiling of searches."""
        return self._post(self.at.objects(name, "search"), _SEARCH, body)

    def batch_read(
        self, name: str, body: Mapping[str, Any], *, archived: bool
    ) -> requests.Response:
        """Read records of a type by their ids."""
        path = self.at.objects(name, "batch", "read")
        return self._post(path, BATCH_READ, body, **({"archived": "true"} if archived else {}))

    def associated(self, name: str, other: str, body: Mapping[str, Any]) -> requests.Response:
        """Read associations from records of a type to those of another; under their own ceiling."""
        return self._post(self.at.associations(name, other), _ASSOCIATIONS, body)

    def _post(self, path: str, operation: Operation, body: Any, **params: str) -> requests.Response:
        # Without a character too many: bodies of searches have a greatest length.
        data = msgspec.json.encode(body)
        return self.request("POST", path, operation, data=data, headers=_JSON, params=params)

    def request(
        self, method: str, path: str, operation: Operation, **given: Any
    ) -> requests.Response:
        """Send a request, with retries.

        A day ends at the account's midnight: where there is a ceiling of the day, the account is asked
        for its time zone before anything else.
        """
        if self.meter.has_daily and not self._details:
            self.details()
        return super().request(method, path, operation, **given)
