"""How one vendor's OAuth server differs from others; everything else about logins is shared.

Sources: RFC 6749 for the grants, and the vendors' pages that their profiles name.
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
class TokenDetails:
    """What a token response holds besides the tokens.

    Attributes:
        instance_url: the address for API calls.
        issued_at: None where the response does not say.
        expires_in: the token's lifetime in seconds, as the response has it.
        documented_s: the documented lifetime; None where the token has no fixed lifetime.
        extra: what to store with the token.
    """

    instance_url: str
    issued_at: datetime | None = None
    expires_in: object = None
    documented_s: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A refusal by the OAuth server, from which a cure is chosen.

    Attributes:
        grant: the grant type of the request.
        code: the server's error code.
        description: the server's text, in any form.
        skew_s: how many seconds our clock is ahead of the server's.
    """

    connection: Connection
    grant: str
    code: str
    description: str
    skew_s: float = 0.0


@dataclass(frozen=True)
class CodePage:
    """The page where a person makes a code, and what to click there."""

    address: Callable[[Connection], str]
    instructions: str


@dataclass(frozen=True)
class OAuthProfile:
    """One vendor's OAuth server.

    Attributes:
        vendor: its name as people write it.
        token_url: the token endpoint.
        authorize_url: the page where a person allows the access.
        classify_response: returns the error that a response of the token endpoint means; None for a success.
        read: returns the details of a token response; raises ValueError for a defective one, as
            `TokenResponse` does.
        cure: returns what to do about a refusal.
        api_hosts: patterns of the hosts that the vendor documents for its API. The configured host is always
            allowed. See `wire.trusted_hosts`.
        login_hosts: the same for its token endpoints.
        client_auth: whether the app's credentials go into the form or into a Basic header.
        pkce: codes are bound to the attempt (RFC 7636).
        authorize_params: further parameters of `authorize_url`, such as scopes.
        dead_token_codes: error codes that mean that a refresh token is no longer valid.
        no_refresh_cure: what to do where a person allowed the access and no refresh token came.
        code_pages: kinds of login whose code a person makes at the vendor, with the page for it.
        exchange_url: returns the token endpoint that the redirect names; "" for `token_url`. Raises
            AuthFailed where it is not the vendor's.
    """

    vendor: str
    token_url: Callable[[Connection], str]
    authorize_url: Callable[[Connection], str]
    classify_response: Callable[[str, requests.Response], VendorError | None]
    read: Callable[[Connection, TokenResponse], TokenDetails]
    cure: Callable[[Refused], str]
    api_hosts: Callable[[Connection], tuple[str, ...]] = lambda _: ()
    login_hosts: Callable[[Connection], tuple[str, ...]] = lambda _: ()
    client_auth: Literal["form", "basic"] = "form"
    pkce: bool = True
    authorize_params: Callable[[Connection], Mapping[str, str]] = lambda _: {}
    dead_token_codes: frozenset[str] = frozenset({"invalid_grant"})
    no_refresh_cure: str = ""
    code_pages: Mapping[str, CodePage] = field(default_factory=dict)
    exchange_url: Callable[[Connection, Mapping[str, str]], str] = lambda *_: ""
