"""The HubSpot emulation at work: tokens, ceilings, routing, and the Python face for tests."""

import threading
import uuid

from crm_pipeline.sandbox.clock import SandboxClock
from crm_pipeline.sandbox.grants import Access
from crm_pipeline.sandbox.http import Request, Response
from crm_pipeline.sandbox.hubspot.administration import administer
from crm_pipeline.sandbox.hubspot.api import PortalApi
from crm_pipeline.sandbox.hubspot.changes import Changes
from crm_pipeline.sandbox.hubspot.controls import Controls
from crm_pipeline.sandbox.hubspot.credentials import CLIENT_ID, CLIENT_SECRET, PORTALS
from crm_pipeline.sandbox.hubspot.errors import ApiError, not_found
from crm_pipeline.sandbox.hubspot.limits import Headers
from crm_pipeline.sandbox.hubspot.oauth import OAuthDesk
from crm_pipeline.sandbox.hubspot.objects import object_types
from crm_pipeline.sandbox.hubspot.portal import Portals
from crm_pipeline.sandbox.hubspot.routes import Route, route_of
from crm_pipeline.sandbox.hubspot.schema import Catalog
from crm_pipeline.sandbox.hubspot.schema_changes import SchemaChanges
from crm_pipeline.sandbox.hubspot.scopes import CONTACTS_ONLY, all_scopes, refuse_lacking
from crm_pipeline.sandbox.hubspot.truth import Truth
from crm_pipeline.sandbox.registry import Premises

_LONGEST = 16_384


class HubSpotSandbox(Truth, Changes, SchemaChanges, Controls):
    """Two emulated portals: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world and the clock.
    """

    def __init__(self, premises: Premises) -> None:
        self.clock: SandboxClock = premises.clock
        self._portals = Portals(premises.world, premises.clock)
        self._lock = threading.Lock()
        self._apis: dict[str, PortalApi] = {}
        first = next(iter(PORTALS.values()))
        scopes = all_scopes(Catalog(first.hub_id, object_types(first)))
        self.oauth = OAuthDesk(premises.clock, scopes)
        for account, facts in PORTALS.items():
            self.oauth.grants.lasting(facts.token, account, scopes)
            self.oauth.grants.lasting(facts.contacts_token, account, CONTACTS_ONLY)

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for a portal, filled at its first use.

        Raises:
            ValueError: there is none of this name.
        """
        portal = self._portals.named(account)
        with self._lock:
            found = self._apis.get(account)
            if found is None:
                found = self._apis[account] = PortalApi(portal)
            return found

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        correlation = str(uuid.uuid4())
        if len(request.path) + len(request.query_text) + 1 > _LONGEST:
            return Response(414, b"<html><body>414 URI Too Long</body></html>", (), "text/html")
        if request.path == "/oauth/authorize":
            return self.oauth.authorize(request)
        try:
            route = route_of(request.path)
            if route is None:
                raise not_found()
            if route.area == "oauth":
                answer = self.oauth.handle(request, route)
            else:
                answer = self._answer(request, route)
        except ApiError as refusal:
            answer = refusal.response(correlation)
            for name, value in getattr(refusal, "headers", ()):
                answer = answer.with_header(name, value)
        return answer.with_header("X-HubSpot-Correlation-Id", correlation)

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/hubspot`."""
        return administer(self, request)

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        lines = [
            ("HubSpot", f"{url}/hubspot"),
            ("HubSpot token endpoint", f"{url}/hubspot/oauth/2026-09/token"),
            ("HubSpot client id", CLIENT_ID),
            ("HubSpot client secret", CLIENT_SECRET),
        ]
        for name, facts in PORTALS.items():
            lines += [
                (f"HubSpot token ({name})", facts.token),
                (f"HubSpot refresh token ({name})", facts.refresh_token),
            ]
        return [*lines, ("HubSpot admin", f"{url}/_admin/hubspot")]

    def close(self) -> None:
        """Close the portals."""
        self._portals.close()

    def _answer(self, request: Request, route: Route) -> Response:
        access = self._access(request)
        api = self.api(access.account)
        portal = api.portal
        portal.settings.refuse_retired(route.version, self.clock.now().date())
        area = _area(request, route)
        kind = "private" if access.expires_at is None else "marketplace"
        app = access.token if kind == "private" else CLIENT_ID
        limits = portal.limits
        try:
            limits.take(app, kind, area)
            refuse_lacking(access.scopes, route, request.method, api.types(route))
            answer = api.answer(request, route)
        except ApiError as refusal:
            refusal.headers = limits.headers(app, kind, area)  # type: ignore[attr-defined]
            raise
        return _with(answer, limits.headers(app, kind, area))

    def _access(self, request: Request) -> Access:
        if request.fault is not None and request.fault.kind == "expire_session":
            self.oauth.grants.expire()
        scheme, _, token = request.header("authorization").partition(" ")
        access = self.oauth.grants.find(token.strip()) if scheme.lower() == "bearer" else None
        if access is not None:
            return access
        if self.oauth.grants.is_expired(token.strip()):
            message = "The OAuth token used to make this call expired."
            raise ApiError(401, "EXPIRED_AUTHENTICATION", message)
        message = (
            "Authentication credentials not found. This API supports OAuth 2.0 authentication and you "
            "can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"
        )
        raise ApiError(401, "INVALID_AUTHENTICATION", message)


def _area(request: Request, route: Route) -> str:
    if route.area == "objects" and route.parts[1:] == ("search",):
        return "search"
    is_links = route.area == "associations" or route.parts[2:3] == ("associations",)
    return "associations" if is_links and route.version != "v3" else request.method.lower()


def _with(answer: Response, headers: Headers) -> Response:
    return Response(answer.status, answer.body, (*answer.headers, *headers), answer.content_type)
