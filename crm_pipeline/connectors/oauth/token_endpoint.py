"""A vendor's token endpoint: a form goes in, an answer or an explained refusal comes out."""

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
from crm_pipeline.connectors.trusted_hosts import TrustedHosts
from crm_pipeline.kernel.clock import Clock, format_instant, parse_instant
from crm_pipeline.kernel.errors import AuthFailed, MalformedAnswer, ProtocolError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store.tokens import StoredToken
from crm_pipeline.wire import dates
from crm_pipeline.wire.figures import lasting
from crm_pipeline.wire.session import HttpSession, Permit, Times

EXPIRES = "expires_at"
# Where the chain of a stored token is refreshed, if not at the usual endpoint.
ENDPOINT = "token_endpoint"
_AHEAD = timedelta(seconds=120)
_SHORTEST_S, _LONGEST_S = 30.0, 315_360_000.0  # half a minute to ten years


class TokenEndpoint:
    """Asks for tokens of one connection; for one thread at a time.

    Args:
        connection: whose login server it is.
        clock: the present, which assertions carry and answers may lack.
        profile: the vendor's.
        permit: entered around every request; the rate limiter, where the vendor counts these.
        observe: sees every answer, errors included.
        bounds: how large answers may be and how long they may take.
        implausible: takes what the answers say and cannot be true.
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
        self._observed = observe
        self._implausible = implausible or ImplausibleValues(connection.name)
        self._http = HttpSession(
            connection.name,
            classify_response=partial(profile.classify_response, connection.name),
            permit=permit,
            observe=self._observe,
            bounds=bounds,
            allow_http=connection.sandbox,
            trusts=TrustedHosts(connection, profile.login_hosts(connection)).includes,
            clock=clock,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def ask(
        self, form: Mapping[str, str], client: Mapping[str, str], *, at: str = ""
    ) -> TokenResponse:
        """Return the answer to a form.

        Args:
            form: what is asked for.
            client: `client_id` and `client_secret` of the app; empty where the form proves who we are.
            at: the endpoint, where it is not the usual one.

        Raises:
            AuthFailed: the vendor refuses; the cure says what to do.
            MalformedAnswer: the answer is not what the vendor documents.
        """
        self._skew_s = 0.0
        headers: dict[str, str] = {}
        fields = {**form, **client}
        if self.profile.client_auth == "basic" and client:
            fields = dict(form)
            headers["Authorization"] = _basic(client)
        try:
            response = self._http.request(
                "POST", at or self.profile.token_url(self.connection), data=fields, headers=headers
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
        self, answer: TokenResponse, used: Secret | None, extra: Mapping[str, str]
    ) -> StoredToken:
        """Return the token of an answer.

        Args:
            answer: what `ask` returned.
            used: the refresh token that stays valid where the answer has no new one.
            extra: what to remember with it.

        Raises:
            MalformedAnswer: the answer is not what the vendor documents.
            ProtocolError: it sends us to a host that is not the vendor's.
        """
        now = self.clock.now()
        try:
            given = answer.optional_token("refresh_token")
            access = answer.token("access_token")
            told = self.profile.read(self.connection, answer)
            until: dict[str, str] = {}
            if told.usual_s is not None:
                lives_s = self._lives_s(told.expires_in, told.usual_s)
                until[EXPIRES] = format_instant(now + timedelta(seconds=lives_s))
        except ValueError as error:
            raise self._unreadable(error) from None
        self._refuse_foreign(told.place)
        return StoredToken(
            access_token=Secret(access),
            refresh_token=Secret(given) if given else used,
            instance_url=told.place.rstrip("/"),
            issued_at=told.issued_at or now,
            extra={**told.extra, **until, **extra},
        )

    def _lives_s(self, told: object, usual_s: float) -> float:
        """Return for how long a token lives: with 0 or -1 each call would log in anew."""
        found = lasting(told, least=_SHORTEST_S, most=_LONGEST_S)
        if found is None:
            self._implausible.note(
                "expires_in",
                f"of the login's answer, which is no number of seconds from {_SHORTEST_S:.0f} to"
                f" {_LONGEST_S:,.0f}; {usual_s:,.0f} are taken, as documented",
            )
        return usual_s if found is None else found

    def _refuse_foreign(self, place: str) -> None:
        """Refuse a login that would have the calls, and so the token, sent to somebody else."""
        if TrustedHosts(self.connection, self.profile.api_hosts(self.connection)).includes(place):
            return
        raise ProtocolError(
            f"{self.connection.name}: the login answer names {_host(place)} as the place of the account, which "
            f"is neither configured nor a host that {self.profile.vendor} documents. The token was sent nowhere.",
            cure="Check login_url. If it is right, something between here and the vendor changes answers.",
        )

    def _unreadable(self, error: ValueError) -> MalformedAnswer:
        # Ours alone: other errors may quote values.
        defect = str(error)
        is_ours = defect.startswith(("its ", "it lacks "))
        return MalformedAnswer(
            f"{self.connection.name}: the login answer is not what {self.profile.vendor} documents: "
            f"{defect if is_ours else 'a value is of another type'}.",
            cure="Check login_url; if it is right, run again.",
        )

    def _observe(self, response: requests.Response, times: Times) -> None:
        if self._observed is not None:
            self._observed(response)
        told = dates.instant(response.headers.get("Date"))
        if told is not None:  # only an error text uses it
            self._skew_s = (times.head_at - told).total_seconds()


def renewed_at(token: StoredToken) -> datetime | None:
    """Return when an access token is to be renewed, None where only a refusal tells that it has ended.

    That is somewhat before its end, because a call may wait at the limiter; of a short life half is used.
    """
    try:
        until = parse_instant(token.extra.get(EXPIRES, ""))
    except ValueError:
        return None
    lives = max(until - token.issued_at, timedelta(0))
    return until - min(_AHEAD, lives / 2)


def _host(place: str) -> str:
    """Return the host of an address for a sentence; it may be anything."""
    try:
        host = urlsplit(place).hostname or ""
    except ValueError:
        host = ""
    return host[:100] if host.isascii() and host.isprintable() and host else "no address"


def _basic(client: Mapping[str, str]) -> str:
    # Form-encoded first (RFC 6749, section 2.3.1).
    pair = ":".join(quote(client.get(name, ""), safe="") for name in ("client_id", "client_secret"))
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
