"""The calls of a source for one connection."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests

from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.base import ConnectorContext, VendorLimits
from crm_pipeline.connectors.metering import Operation
from crm_pipeline.connectors.oauth.profile import OAuthProfile, TokenDetails
from crm_pipeline.connectors.oauth.token_endpoint import TokenEndpoint
from crm_pipeline.connectors.rest.auth import (
    Outgoing,
    authenticate,
    filled,
    has_session,
    query_text,
)
from crm_pipeline.connectors.rest.errors import ResponseClassifier
from crm_pipeline.connectors.rest.login import SessionLogin, StaticLogin
from crm_pipeline.connectors.rest.meter import SourceMeter
from crm_pipeline.connectors.rest.source import Source
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.store.tokens import StoredToken

T = TypeVar("T")


class SourceApi(VendorApi):
    """Calls of one connection; addresses begin with the connection's host and the path of `base_url`."""

    def __init__(
        self,
        connection: Connection,
        context: ConnectorContext,
        source: Source,
        limits: VendorLimits,
    ) -> None:
        self.source = source
        self._settings = context.settings
        self._base = address_of(connection, source)
        self.pace = SourceMeter(connection, source)
        session = has_session(source.auth)
        title = source.title or source.name

        def login(settings: Settings, own: Connection, endpoint: TokenEndpoint) -> Any:
            if session is None:
                return StaticLogin(settings, own, context.clock)
            return SessionLogin(
                settings,
                own,
                endpoint,
                auth=session,
                base=self._base,
                clock=context.clock,
                classify_response=ResponseClassifier(own.name, source, renews=False),
            )

        super().__init__(
            connection,
            context,
            limits,
            classify_response=ResponseClassifier(
                connection.name, source, renews=session is not None
            ),
            meter=self.pace,
            profile=OAuthProfile(
                vendor=title,
                token_url=lambda own: own.login_url,
                authorize_url=lambda own: own.login_url,
                classify_response=lambda *_: None,
                read=lambda own, _: TokenDetails(own.login_url),
                cure=lambda _: "",
            ),
            login=login,
        )

    def reveal(self, name: str) -> str:
        """Return the text of a secret, for the moment of its use."""
        return self._settings.secret(self.connection, name).reveal()

    def fetch(
        self,
        path: str,
        operation: Operation,
        reader: Callable[[requests.Response], T],
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """GET a path below `base_url`, or a whole address; return what the reader returns, with retries."""
        return self.read(
            "GET", path, operation, reader, params=dict(params or {}), headers=dict(headers or {})
        )

    def address(self, token: StoredToken, path: str) -> str:  # noqa: ARG002 - the address is the connection's
        """Return the whole address of a path."""
        if "://" in path:
            return path
        if path.startswith("//"):
            return f"{urlsplit(self._base).scheme}:{path}"
        return f"{self._base}/{path.lstrip('/')}"

    def prepared(
        self, method: str, address: str, token: StoredToken, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return the arguments of a request with what authenticates it."""
        url = urlsplit(address)
        path = urlunsplit(("", "", url.path or "/", url.query, ""))
        request = Outgoing(
            method, path, dict(given.get("params") or {}), dict(given.get("headers") or {})
        )
        for name, text in self.source.headers.items():
            request.headers.setdefault(name, filled(text, self.reveal))
        authenticate(
            request,
            self.source.auth,
            self.reveal,
            session=token.access_token.reveal(),
            now=self.now(),
        )
        joined = query_text(request.params)
        if joined:
            address = f"{address}{'&' if url.query else '?'}{joined}"
        return {"url": address, "headers": request.headers}


def address_of(connection: Connection, source: Source) -> str:
    """Return the address that paths are below: the connection's host, and the path of `base_url`."""
    own, stated = urlsplit(connection.login_url), urlsplit(source.base_url)
    path = own.path.rstrip("/") or stated.path.rstrip("/")
    return urlunsplit((own.scheme, own.netloc, path, "", ""))
