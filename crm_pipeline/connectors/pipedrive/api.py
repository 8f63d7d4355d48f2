"""Pipedrive's API for one company."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.pipedrive.errors import ResponseClassifier
from crm_pipeline.connectors.pipedrive.meter import PipedriveMeter
from crm_pipeline.connectors.pipedrive.profile import PROFILE, refuse_unusable
from crm_pipeline.connectors.pipedrive.refusals import Refusals
from crm_pipeline.settings import Connection
from crm_pipeline.store.tokens import StoredToken

T = TypeVar("T")
_ME = Operation("me", cost=2)


class Access(msgspec.Struct):
    """A user's rights in one of the company's apps."""

    app: str | None = None
    admin: bool | None = None


class Me(msgspec.Struct):
    """The user of the token."""

    id: int | str
    company_id: int | str | None = None
    company_domain: str | None = None
    company_name: str | None = None
    access: list[Access] | None = None
    timezone_name: str | None = None
    default_currency: str | None = None


class _MeResponse(msgspec.Struct):
    data: Me


class Api(VendorApi):
    """Calls of one company."""

    def __init__(
        self, connection: Connection, context: ConnectorContext, limits: VendorLimits
    ) -> None:
        refuse_unusable(connection)
        self._by_token = "token" in connection.auth.variables
        self.pace = PipedriveMeter(connection, context, limits)
        super().__init__(
            connection,
            context,
            limits,
            classify_response=ResponseClassifier(
                connection.name,
                token_variable=connection.auth.variables.get("token", ""),
                refusals=Refusals(context.clock.now, context.clock.monotonic),
            ),
            meter=self.pace,
            profile=PROFILE,
        )

    @property
    def page_records(self) -> int:
        """The maximum number of records on a page."""
        configured = self.connection.ceilings.get(
            "page_records", self.limits.ceilings["page_records"]
        )
        return min(configured, self.limits.ceilings["page_records"])

    def ask(
        self, path: str, reader: Callable[[bytes], T], operation: Operation, **params: str
    ) -> T:
        """GET a path below the company's address, with retries; return what the reader returns."""
        return self.read(
            "GET", path, operation, lambda response: reader(response.content), params=params
        )

    def typed(self, path: str, kind: type[T], what: str, operation: Operation, **params: str) -> T:
        """GET a path, with retries; return the response in a declared type, named `what` in error texts."""
        return self.decoded("GET", path, operation, kind, what, params=params)

    def authorization(self, token: StoredToken) -> dict[str, str]:
        """Return the authorization header: API tokens have a header of their own."""
        if self._by_token:
            return {"x-api-token": token.access_token.reveal()}
        return super().authorization(token)

    def me(self) -> Me:
        """Return the user of the token, with the company."""
        return self.typed("/v1/users/me", _MeResponse, "the user of the token", _ME).data

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes of the app; None for an API token, which may do what its user may."""
        if self._by_token:
            return None
        return frozenset(self.token().extra.get("scope", "").split())
