"""The Pipedrive emulation: authentication, permissions and routing; and its Python methods for tests."""

import re
import uuid
from dataclasses import replace

from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request, Response
from crm_sandbox.kernel.administration import AdminApi
from crm_sandbox.pipedrive import credentials
from crm_sandbox.pipedrive.administration import ACTIONS
from crm_sandbox.pipedrive.changes import Changes, SchemaChanges
from crm_sandbox.pipedrive.company import Companies
from crm_sandbox.pipedrive.controls import Controls
from crm_sandbox.pipedrive.errors import ApiError, unauthorized
from crm_sandbox.pipedrive.oauth import OAuthHandler
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.operations import find
from crm_sandbox.pipedrive.route import Call, Route, ok
from crm_sandbox.pipedrive.sight import Sight
from crm_sandbox.pipedrive.truth import Truth
from crm_sandbox.registry import Premises

# There only the paths without `/api` work: https://developers.pipedrive.com/docs/api/v1
_SHARED_HOST = "api.pipedrive.com"
_NOT_SHARED = re.compile(r"/api/v1/(leads|leadLabels|leadSources|goals/find|mailbox)\b")


class PipedriveSandbox(Truth, Changes, SchemaChanges, Controls):
    """The emulated companies: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world and the clock.
    """

    def __init__(self, premises: Premises) -> None:
        self.clock: SandboxClock = premises.clock
        self.companies = Companies(premises.world, premises.clock)
        self.oauth = OAuthHandler(premises.clock)
        Truth.__init__(self, self.companies)
        Changes.__init__(self, self.companies)
        SchemaChanges.__init__(self, self.companies)
        Controls.__init__(self, self.companies, self.oauth)
        self._admin = AdminApi(
            self,
            ACTIONS,
            objects=lambda _: ENTITIES,
            looks={
                "fields/<object>": lambda account, name: {
                    "fields": self.fields(name, account=account)
                },
                "webhooks": lambda account: self.companies[account].webhooks.shown(),
                "limits": lambda account: self.set_limits(account=account),
            },
        )

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        if request.path.startswith("/oauth/"):
            return self.oauth.handle(request)
        name = request.host.split(":")[0].lower()
        if name == _SHARED_HOST and _NOT_SHARED.match(request.path):
            return ApiError(404, "Not found").response()
        sight = self._caller(request)
        if sight is None:
            correlation = ("x-correlation-id", str(uuid.uuid4()))
            return unauthorized().with_header("x-401-by-gw", "true").with_header(*correlation)
        return self._answered(request, sight)

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/pipedrive`."""
        return self._admin.handle(request)

    def close(self) -> None:
        """Close every company."""
        for company in self.companies.opened():
            company.close()

    def _caller(self, request: Request) -> Sight | None:
        if request.fault is not None and request.fault.kind == "expire_session":
            self.oauth.grants.expire()
        key = request.header("x-api-token")
        if not key and self.query_token:
            key = request.query.get("api_token", "")
        for name, access in credentials.ACCOUNTS.items():
            if key == access.api_token:
                company = self.companies[name]
                return Sight(company, key, company.admin)
            if key == access.restricted_token:
                company = self.companies[name]
                return Sight(company, key, company.colleague, sees_all=False)
        scheme, _, token = request.header("authorization").partition(" ")
        found = self.oauth.grants.find(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            return None
        company = self.companies[found.account]
        return Sight(company, token.strip(), company.admin, scopes=found.scopes)

    def _answered(self, request: Request, sight: Sight) -> Response:
        company = sight.company
        if company.is_suspended:
            return ApiError(402, "Company account is not open").response()
        try:
            route, parts = find(request.method, request.path)
            response = self._admitted(route, sight) or self._made(route, request, sight, parts)
        except ApiError as problem:
            response = problem.response()
        for header in company.limits.headers(sight, request.method):
            response = response.with_header(*header)
        return response

    def _made(
        self, route: Route, request: Request, sight: Sight, parts: dict[str, str]
    ) -> Response:
        odd = self.oddity(request)
        if odd == "nothing":
            return ok(None)
        response = route.handler(Call(request, sight, parts))
        if odd == "repeat":
            again = f'"next_cursor":"{request.query["cursor"]}"'.encode()
            body = re.sub(rb'"next_cursor":("[^"]*"|null)', again, response.body)
            return replace(response, body=body)
        return response

    def _admitted(self, route: Route, sight: Sight) -> Response | None:
        if route.is_retired and self.v1_status():
            raise ApiError(self.v1_status(), "This endpoint is not supported any more")
        refusal = sight.company.limits.admit(sight, route.cost, is_search=route.is_search)
        if refusal is not None:
            return refusal
        if sight.scopes is not None and route.scopes and not sight.scopes & set(route.scopes):
            raise ApiError(403, "Scope and URL mismatch")
        if sight.company.hidden & set(route.template.split("/")):
            raise ApiError(403, "You do not have permissions to do this.")
        return None
