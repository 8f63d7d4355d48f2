"""Pipedrive's API for one company."""

from collections.abc import Mapping

import requests

from crm_pipeline.connectors.api import VendorApi, as_mapping
from crm_pipeline.connectors.base import Tools, VendorLimits
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.answers import Judge
from crm_pipeline.connectors.pipedrive.dialect import DIALECT, refuse_unusable
from crm_pipeline.connectors.pipedrive.meter import PipedriveMeter
from crm_pipeline.connectors.pipedrive.refusals import Refusals
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken

_ME = Operation("me", cost=2)


class Api(VendorApi):
    """Calls of one company."""

    def __init__(self, connection: Connection, tools: Tools, limits: VendorLimits) -> None:
        refuse_unusable(connection)
        self._by_token = "token" in connection.auth.variables
        self.pace = PipedriveMeter(connection, tools, limits)
        super().__init__(
            connection,
            tools,
            limits,
            judge=Judge(
                connection.name,
                by_token=self._by_token,
                refusals=Refusals(tools.clock.now, tools.clock.monotonic),
            ),
            meter=self.pace,
            dialect=DIALECT,
        )

    @property
    def page_records(self) -> int:
        """How many records a page holds at most."""
        own = self.connection.ceilings.get("page_records", self.limits.ceilings["page_records"])
        return min(own, self.limits.ceilings["page_records"])

    def ask(self, path: str, operation: Operation, **params: str) -> requests.Response:
        """GET a path below the company's address, with retries."""
        return self.get(path, operation, **params)

    def authorization(self, token: StoredToken) -> dict[str, str]:
        """Return the header that says who we are: an API token has one of its own."""
        if self._by_token:
            return {"x-api-token": token.access_token.reveal()}
        return super().authorization(token)

    def me(self) -> Mapping[str, object]:
        """Return the user whose token this is, with the company."""
        answer = as_mapping(self.ask("/v1/users/me", _ME), self.connection.name)
        found = answer.get("data")
        return found if isinstance(found, dict) else {}

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes of the app; None for an API token, which may do what its user may."""
        if self._by_token:
            return None
        return frozenset(self.token().extra.get("scope", "").split())
