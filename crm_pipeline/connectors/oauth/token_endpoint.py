"""A vendor's token endpoint: sends a form, returns the response or raises an explained refusal."""

import base64
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from urllib.parse import quote, urlsplit

import requests

from crm_pipeline.connectors.implausible import ImplausibleValues
from crm_pipeline.connectors.oauth.profile import OAuthProfile, Refused
from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.kernel.clock import Clock, format_instant, parse_instant
from crm_pipeline.kernel.errors import AuthFailed, MalformedResponse, ProtocolError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire import dates
from crm_pipeline.wire.figures import lasting
from crm_pipeline.wire.session import HttpSession, Permit, Times
from crm_pipeline.wire.trusted_hosts import TrustedHosts

EXPIRES = "expires_at"
# Key of the endpoint that refreshes a stored token, if it is not the usual one.
ENDPOINT = "token_endpoint"
_RENEW_BEFORE = timedelta(seconds=120)
_SHORTEST_S, _LONGEST_S = 30.0, 315_360_000.0  # half a minute to ten years


class TokenEndpoint:
    """Requests tokens for one connection; for one thread at a time.

    Args:
        connection: the connection that logs in.
        clock: the present, for responses that do not say when they were issued.
        profile: the vendor's.
        permit: entered around every request; the rate limiter, where the vendor counts logins.
        observe: receives every response, errors included.
        bounds: how large responses may be and how long they may take.
        implausible: collects implausible values of responses.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        profile: OAuthProfile,
        *,
        permit: Permit = nullcontext,
        observe: Callable[[requests.Response], None] | None = None,
        bounds: Bounds | None = None,
        implausible: ImplausibleValues | None = None,
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.profile = profile
        self._skew_s = 0.0
        self._observer = observe
        self._implausible = implausible or ImplausibleValues(connection.name)
        self._http = HttpSession(
            connection.name,
            classify_response=partial(profile.classify_response, connection.name),
            permit=permit,
            observe=self._observe,
            bounds=bounds,
            allow_http=connection.sandbox,
            trusts=TrustedHosts(connection.login_url, profile.login_hosts(connection)).includes,
            clock=clock,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def request(
        self, form: Mapping[str, str], client: Mapping[str, str], *, url: str = ""
    ) -> TokenResponse:
        """Send a form and return the response.

        Args:
            form: the grant type and its parameters.
            client: `client_id` and `client_secret` of the app; empty where the form proves the identity.
            url: the endpoint, if it is not the usual one.

        Raises:
            AuthFailed: the vendor refuses; the cure says what to do.
            MalformedResponse: the response is not what the vendor documents.
        """
        self._skew_s = 0.0
        headers: dict[str, str] = {}
        fields = {**form, **client}
        if self.profile.client_auth == "basic" and client:
            fields = dict(form)
            headers["Authorization"] = _basic(client)
        try:
            response = self._http.request(
                "POST", url or self.profile.token_url(self.connection), data=fields, headers=headers
            )
        except AuthFailed as refusal:
            refusal.cure = self.profile.cure(
                Refused(
                    self.connection,
                    form["grant_type"],
                    refusal.code,
                    refusal.message,
                    self._skew_s,
                )
            )
            raise
        owner, vendor = self.connection.name, self.profile.vendor
        return TokenResponse.read(response.content, owner=owner, vendor=vendor)

    def token(
        self, response: TokenResponse, used: Secret | None, extra: Mapping[str, str]
    ) -> StoredToken:
        """Return the token of a response.

        Args:
            response: of `request`.
            used: the refresh token of the request, which stays valid where the response has no new one.
            extra: what to store with the token.

        Raises:
            MalformedResponse: the response is not what the vendor documents.
            ProtocolError: it names an API host that is not the vendor's.
        """
        now = self.clock.now()
        try:
            refresh = response.optional_token("refresh_token")
            access = response.token("access_token")
            details = self.profile.read(self.connection, response)
            expiry: dict[str, str] = {}
            if details.documented_s is not None:
                lifetime_s = self._lifetime_s(details.expires_in, details.documented_s)
                expiry[EXPIRES] = format_instant(now + timedelta(seconds=lifetime_s))
        except ValueError as error:
            raise self._unreadable(error) from None
        self._refuse_foreign(details.instance_url)
        return StoredToken(
            access_token=Secret(access),
            refresh_token=Secret(refresh) if refresh else used,
            instance_url=details.instance_url.rstrip("/"),
            issued_at=details.issued_at or now,
            extra={**details.extra, **expiry, **extra},
        )

    def _lifetime_s(self, expires_in: object, documented_s: float) -> float:
        """Return a token's lifetime, the documented one for values such as 0, with which each call would log in."""
        lifetime_s = lasting(expires_in, least=_SHORTEST_S, most=_LONGEST_S)
        if lifetime_s is None:
            self._implausible.note(
                "expires_in",
                f"of the login's answer, which is no number of seconds from {_SHORTEST_S:.0f} to"
                f" {_LONGEST_S:,.0f}; {documented_s:,.0f} are taken, as documented",
            )
        return documented_s if lifetime_s is None else lifetime_s

    def _refuse_foreign(self, url: str) -> None:
        """Refuse a login whose response would send the calls, and so the token, to a foreign host."""
        if TrustedHosts(
            self.connection.login_url, self.profile.api_hosts(self.connection)
        ).includes(url):
            return
        raise ProtocolError(
            f"{self.connection.name}: the login answer names {_host(url)} as the address of the account, which "
            f"is neither configured nor a host that {self.profile.vendor} documents. The token was sent nowhere.",
            cure="Check login_url. If it is right, something between here and the vendor changes answers.",
        )

    def _unreadable(self, error: ValueError) -> MalformedResponse:
        # Only the texts of `TokenResponse` are safe to show: other errors may quote values.
        defect = str(error)
        is_ours = defect.startswith(("its ", "it lacks "))
        return MalformedResponse(
            f"{self.connection.name}: the login answer is not what {self.profile.vendor} documents: "
            f"{defect if is_ours else 'a value is of another type'}.",
            cure="Check login_url; if it is right, run again.",
        )

    def _observe(self, response: requests.Response, times: Times) -> None:
        if self._observer is not None:
            self._observer(response)
        server_now = dates.instant(response.headers.get("Date"))
        if server_now is not None:  # only an error text uses it
            self._skew_s = (times.head_at - server_now).total_seconds()


def renewed_at(token: StoredToken) -> datetime | None:
    """Return when an access token is to be renewed; None where only a refusal shows that it has expired.

    That is two minutes before its end, because a call may wait at the limiter, or half of a short lifetime.
    """
    try:
        expires_at = parse_instant(token.extra.get(EXPIRES, ""))
    except ValueError:
        return None
    lifetime = max(expires_at - token.issued_at, timedelta(0))
    return expires_at - min(_RENEW_BEFORE, lifetime / 2)


def _host(url: str) -> str:
    """Return the host of an address of any form, safe for an error text."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host[:100] if host.isascii() and host.isprintable() and host else "no address"


def _basic(client: Mapping[str, str]) -> str:
    # Form-encoded first (RFC 6749, section 2.3.1).
    pair = ":".join(quote(client.get(name, ""), safe="") for name in ("client_id", "client_secret"))
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
