"""What a vendor's OAuth server says in its own way; everything else about logins is shared.

Sources: RFC 6749 for the grants, and each vendor's pages, named where its dialect is made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import requests

from crm_pipeline.connectors.oauth.token_response import TokenResponse
from crm_pipeline.kernel.errors import VendorError
from crm_pipeline.settings import Connection

REFRESH = "refresh_token"
CODE = "authorization_code"


@dataclass(frozen=True)
class TokenAnswer:
    """What a token answer holds, besides the tokens themselves.

    Attributes:
        place: where the vendor wants the calls, without a trailing slash.
        issued_at: None where the answer does not say.
        expires_in: for how many seconds the token lives, as the answer says it.
        usual_s: what is documented; None where the token ends by other rules than the clock.
        extra: what to remember with the token.
    """

    place: str
    issued_at: datetime | None = None
    expires_in: object = None
    usual_s: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A refusal of the OAuth server, for whoever says what to do about it.

    Attributes:
        grant: the grant type that was asked for.
        code: the server's error code.
        said: its description, in any form.
        skew_s: by how much our clock is ahead of the server's.
    """

    connection: Connection
    grant: str
    code: str
    said: str
    skew_s: float = 0.0


@dataclass(frozen=True)
class CodePage:
    """Where a person makes a code by hand, and what to click there."""

    address: Callable[[Connection], str]
    how: str


@dataclass(frozen=True)
class OAuthProfile:
    """One vendor's OAuth server.

    Attributes:
        vendor: its name as people write it.
        token_url: where tokens are asked for.
        authorize_url: where a person decides.
        classify_response: the error that an answer of the token endpoint stands for; None for a success.
        read: what an answer says; raises ValueError where it is none, as the methods of `TokenResponse` do.
        cure: what to do about a refusal.
        api_hosts: patterns of the hosts that the vendor documents for its API. The configured host is one in
            any case. See `connectors.trusted_hosts`.
        login_hosts: the same for its token endpoints.
        client_auth: whether the app says who it is in the form, or in a Basic header.
        pkce: codes are bound to this very attempt (RFC 7636).
        asked: further parameters of the address where a person decides, such as scopes.
        dead: error codes that say that a refresh token is worth nothing.
        no_refresh_cure: what to do where a person let us in and no refresh token came.
        by_hand: kinds of login whose code a person makes at the vendor: where, and how.
        exchange_at: the token endpoint that a person's answer names; "" for `token_url`. Raises AuthFailed
            where it is not the vendor's.
    """

    vendor: str
    token_url: Callable[[Connection], str]
    authorize_url: Callable[[Connection], str]
    classify_response: Callable[[str, requests.Response], VendorError | None]
    read: Callable[[Connection, TokenResponse], TokenAnswer]
    cure: Callable[[Refused], str]
    api_hosts: Callable[[Connection], tuple[str, ...]] = lambda _: ()
    login_hosts: Callable[[Connection], tuple[str, ...]] = lambda _: ()
    client_auth: Literal["form", "basic"] = "form"
    pkce: bool = True
    asked: Callable[[Connection], Mapping[str, str]] = lambda _: {}
    dead: frozenset[str] = frozenset({"invalid_grant"})
    no_refresh_cure: str = ""
    by_hand: Mapping[str, CodePage] = field(default_factory=dict)
    exchange_at: Callable[[Connection, Mapping[str, str]], str] = lambda *_: ""
