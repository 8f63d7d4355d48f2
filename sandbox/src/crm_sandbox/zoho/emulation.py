"""The Zoho CRM emulation: hosts, tokens and routing; and its Python methods for tests."""

from collections.abc import Callable
from dataclasses import replace

from crm_sandbox.answers import AnswerCache
from crm_sandbox.grants import Access, GrantStore
from crm_sandbox.http import Request, Response
from crm_sandbox.kernel.administration import AdminApi
from crm_sandbox.registry import Premises
from crm_sandbox.zoho.accounts import ACCOUNTS
from crm_sandbox.zoho.administration import ACTIONS
from crm_sandbox.zoho.api import Call, OrgApi
from crm_sandbox.zoho.centres import centre_of, is_accounts
from crm_sandbox.zoho.changes import Changes
from crm_sandbox.zoho.controls import Controls
from crm_sandbox.zoho.deliveries import DeliveryLog
from crm_sandbox.zoho.errors import ZohoError, no_such_address
from crm_sandbox.zoho.limits import is_heavy
from crm_sandbox.zoho.oauth import OAuthHandler
from crm_sandbox.zoho.operations import OPERATIONS
from crm_sandbox.zoho.org import Org
from crm_sandbox.zoho.page_tokens import PageTokens
from crm_sandbox.zoho.schema_changes import SchemaChanges
from crm_sandbox.zoho.store import RecordStore
from crm_sandbox.zoho.truth import Truth, plain_value
from crm_sandbox.zoho.versions import addressed

_SCHEMES = ("Zoho-oauthtoken ", "Bearer ")


class ZohoSandbox(Truth, Changes, SchemaChanges, Controls):
    """Two emulated orgs: answers requests, and lets tests look and change behind the API.

    Args:
        premises: the world and the clock.
    """

    def __init__(self, premises: Premises) -> None:
        self.clock = premises.clock
        tokens, cache = PageTokens(premises.clock), AnswerCache()
        self.mailman = DeliveryLog()
        self.apis = {
            key: OrgApi(Org(account, premises.world, premises.clock), tokens, cache, self.mailman)
            for key, account in ACCOUNTS.items()
        }
        self.oauth = OAuthHandler(premises.clock, lambda key: self.apis[key].org.org_id)
        self._admin = AdminApi(
            self,
            ACTIONS,
            objects=lambda key: [one.name for one in self.org(key).modules if not one.listed_only],
            looks={
                "deliveries": lambda _: {"deliveries": self.mailman.listed()},
                "usage": lambda account: self.apis[account].meter.shown(),
            },
            value=plain_value,
            noun="module",
        )

    @property
    def grants(self) -> GrantStore:
        """The tokens that were given out."""
        return self.oauth.grants

    def handle(self, request: Request) -> Response:
        """Answer one request to the vendor."""
        # The servers are in Java, where a plain parameter is the first of its name (not confirmed).
        request = replace(request, first_wins=True)
        try:
            if request.path.startswith("/oauth/v2"):
                if not is_accounts(request):
                    raise no_such_address()
                return self.oauth.handle(request)
            if addressed(request.path) is None or (
                centre_of(request) is not None and is_accounts(request)
            ):
                raise no_such_address()
            access = self._access(request)
            if not OPERATIONS.leads_anywhere(request.path):
                raise no_such_address()
            call = Call.addressed(request, access)
        except ZohoError as refusal:
            return refusal.response()
        api = self.apis[call.access.account]
        try:
            with api.meter.under_way(heavy=is_heavy(request)):
                response = _handler(api, request)(call)
        except ZohoError as refusal:
            response = refusal.response()
        for header in api.meter.headers:
            response = response.with_header(*header)
        return response

    def administer(self, request: Request) -> Response:
        """Answer one admin request below `/_admin/zoho`."""
        return self._admin.handle(request)

    def close(self) -> None:
        """Close the orgs."""
        for api in self.apis.values():
            api.close()

    def org(self, account: str) -> Org:
        """Return the org of an account.

        Raises:
            ValueError: there is none of this name.
        """
        if account not in self.apis:
            raise ValueError(f"unknown account '{account}'; known: {', '.join(self.apis)}")
        return self.apis[account].org

    def store(self, account: str) -> RecordStore:
        """Return what writes the rows of an account."""
        self.org(account)
        return self.apis[account].store

    def _access(self, request: Request) -> Access:
        if request.fault is not None and request.fault.kind == "expire_session":
            self.oauth.grants.expire()
        written = request.header("authorization")
        token = next(
            (written[len(scheme) :].strip() for scheme in _SCHEMES if written.startswith(scheme)),
            "",
        )
        if not token:
            raise ZohoError(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        access = self.oauth.grants.find(token)
        if access is None:
            raise ZohoError(401, "INVALID_TOKEN", "invalid oauth token")
        centre = centre_of(request)
        if centre is not None and centre.key != ACCOUNTS[access.account].centre:
            raise self.foreign_token()
        return access


def _handler(api: OrgApi, request: Request) -> Callable[[Call], Response]:
    return api.bulk if request.path.startswith("/crm/bulk/") else api.answer
