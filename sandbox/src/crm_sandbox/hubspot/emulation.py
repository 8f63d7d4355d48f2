"""The HubSpot emulation: authentication, permissions and routing; and its Python methods for tests."""

import threading
import uuid
from dataclasses import replace

from crm_sandbox.clock import SandboxClock
from crm_sandbox.grants import Access
from crm_sandbox.http import Request, Response
from crm_sandbox.hubspot import credentials
from crm_sandbox.hubspot.administration import ACTIONS
from crm_sandbox.hubspot.api import PortalApi
from crm_sandbox.hubspot.changes import Changes
from crm_sandbox.hubspot.controls import Controls
from crm_sandbox.hubspot.errors import ApiError
from crm_sandbox.hubspot.instants import ms_of
from crm_sandbox.hubspot.oauth import OAuthHandler
from crm_sandbox.hubspot.portal import Portals
from crm_sandbox.hubspot.routes import FILES, Route, route_of
from crm_sandbox.hubspot.schema_changes import SchemaChanges
from crm_sandbox.hubspot.scopes import check, check_values
from crm_sandbox.hubspot.subscriptions import SubscriptionStore
from crm_sandbox.hubspot.truth import Truth
from crm_sandbox.hubspot.webhooks import WebhookSender
from crm_sandbox.kernel.administration import AdminApi
from crm_sandbox.registry import Premises

_LONGEST = 16_384


class HubSpotSandbox(Truth, Changes, SchemaChanges, Controls):
    """The emulated portals: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world and the clock.
    """

    def __init__(self, premises: Premises) -> None:
        self.clock: SandboxClock = premises.clock
        self.portals = Portals(premises.world, premises.clock)
        self.oauth = OAuthHandler(premises.clock)
        self.subscriptions = SubscriptionStore(lambda: ms_of(premises.clock.now()))
        self.webhooks = WebhookSender(premises.clock, self.subscriptions)
        self._lock = threading.Lock()
        self._apis: dict[str, PortalApi] = {}
        self._admin = AdminApi(
            self,
            ACTIONS,
            objects=lambda name: [one.name for one in self.api(name).portal.catalog.types],
            looks={
                "fields/<object>": lambda account, name: {
                    "fields": self.fields(name, account=account)
                },
                "merged/<object>": lambda account, name: {
                    "merged": self.merged(name, account=account)
                },
                "lists": lambda account: {"lists": self.lists(account=account)},
                "members/<list>": lambda account, number: {
                    "members": self.members(number, account=account)
                },
                "limits": lambda account: self.set_limits(account=account),
                "settings": lambda account: self.set(account=account),
                "webhooks": lambda _: {"webhooks": self.webhooks.listed()},
            },
        )

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for one portal, filled when first asked for.

        Raises:
            ValueError: there is none of this name.
        """
        portal = self.portals.named(account)
        with self._lock:
            found = self._apis.get(account)
            if found is None:
                found = self._apis[account] = PortalApi(portal)
                self.webhooks.attach(portal)
            return found

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        # The servers are in Java, where a plain parameter is the first of its name (not confirmed).
        request = replace(request, first_wins=True)
        correlation = str(uuid.uuid4())
        try:
            response = self._answer(request, correlation)
        except ApiError as refusal:
            response = refusal.response(correlation)
        return response.with_header("X-HubSpot-Correlation-Id", correlation)

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/hubspot`."""
        return self._admin.handle(request)

    def close(self) -> None:
        """Send nothing any more, and close every portal."""
        self.webhooks.close()
        self.portals.close()

    def _answer(self, request: Request, correlation: str) -> Response:
        if len(request.path) + len(request.query_text) + 1 > _LONGEST:
            raise ApiError(414, "VALIDATION_ERROR", "Request-URI Too Long")
        if request.path.rstrip("/").startswith("/oauth/") and request.path.endswith("/authorize"):
            return self.oauth.authorize(request)
        if request.path.startswith(FILES):
            return self._file(request.path.removeprefix(FILES))
        route = route_of(request.path)
        if route is None:
            return Response(404, b"<html><body>404</body></html>", content_type="text/html")
        if route.area == "oauth":
            return self.oauth.handle(request, route)
        if route.area == "webhooks":
            return self.subscriptions.handle(request, route.parts, is_app=self._is_app(request))
        access = self._caller(request)
        api = self.api(access.account)
        return self._limited(request, route, access, api, correlation)

    def _file(self, name: str) -> Response:
        """Answer the address of an export's result, which needs no token."""
        with self._lock:
            opened = list(self._apis.values())
        for api in opened:
            found = api.exports.fetch(name)
            if found is not None:
                return found
        return Response(404, b"<Error><Code>NoSuchKey</Code></Error>", (), "application/xml")

    def _limited(
        self, request: Request, route: Route, access: Access, api: PortalApi, correlation: str
    ) -> Response:
        """Answer within the ceilings; every answer but that of a search says what is left."""
        portal = api.portal
        kind = "private" if access.expires_at is None else "marketplace"
        area = _area(route)
        try:
            portal.limits.take(access.token if kind == "private" else kind, kind, area)
            check(portal, route, request.method, access.scopes)
            check_values(portal, route, request, access.scopes)
            portal.settings.refuse_retired(route.version, self.clock.now().date())
            response = portal.oddities.played(request, api.answer(request, route))
        except ApiError as refusal:
            response = refusal.response(correlation)
        app = access.token if kind == "private" else kind
        for name, value in portal.limits.headers(app, kind, area):
            response = response.with_header(name, value)
        return response

    def _is_app(self, request: Request) -> bool:
        """Say whether a request carries a token of the app itself."""
        found = self.oauth.grants.find(request.header("authorization").removeprefix("Bearer "))
        return found is not None and found.account == "app"

    def _caller(self, request: Request) -> Access:
        scheme, _, token = request.header("authorization").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        is_over = request.fault is not None and request.fault.kind == "expire_session"
        if is_over:
            self.oauth.grants.expire()
        found = self.oauth.grants.find(token)
        if found is not None and found.account in credentials.PORTALS and not is_over:
            return found
        if is_over or self.oauth.grants.is_expired(token):
            message = (
                "The OAuth token used to make this call expired 0 second(s) ago. "
                "Refresh the token and try again."
            )
            raise ApiError(401, "EXPIRED_AUTHENTICATION", message)
        message = (
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you "
            "can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
        )
        raise ApiError(401, "INVALID_AUTHENTICATION", message)


def _area(route: Route) -> str:
    """Return which ceiling a call counts under: searches and links since v4 have their own."""
    if route.area == "objects" and route.parts[1:] == ("search",):
        return "search"
    is_links = route.area == "associations" or route.parts[2:3] == ("associations",)
    return "associations" if is_links and route.version != "v3" else route.area
