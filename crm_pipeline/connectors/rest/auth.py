"""How requests of a source are authenticated: keys, passwords, tokens, signatures.

Secrets are looked up at each use and stand in no attribute.
"""

import base64
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, quote, urlsplit

from crm_pipeline.connectors.rest.source import (
    SECRET,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    CombinedAuth,
    HmacAuth,
    Into,
    SessionAuth,
    Timestamp,
)

Reveal = Callable[[str], str]
"""Returns the text of a secret by its name."""
AnyAuth = ApiKeyAuth | BasicAuth | BearerAuth | HmacAuth | SessionAuth | CombinedAuth


@dataclass
class Outgoing:
    """A request before it is sent.

    Attributes:
        path: with its leading slash, below the host.
    """

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def put(self, into: Into, value: str) -> None:
        """Put a value in its place."""
        text = f"{into.prefix}{value}"
        if into.header is not None:
            self.headers[into.header] = text
        elif into.query is not None:
            self.params[into.query] = text
        else:
            before = self.headers.get("Cookie")
            pair = f"{into.cookie}={text}"
            self.headers["Cookie"] = f"{before}; {pair}" if before else pair


def filled(text: str, reveal: Reveal) -> str:
    """Return a text with its secrets."""
    return SECRET.sub(lambda match: reveal(match[1]), text)


def authenticate(
    request: Outgoing,
    auth: AnyAuth,
    reveal: Reveal,
    *,
    session: str,
    now: datetime,
    nonce: str = "",
) -> None:
    """Add what authenticates a request.

    Args:
        request: complete but for that; signatures cover it.
        auth: of the source.
        reveal: returns secrets.
        session: the token of the session, for logins that have one.
        now: the present.
        nonce: for signatures; by default a random one.
    """
    match auth:
        case CombinedAuth():
            # A signature covers what the others add.
            for each in sorted(auth.of, key=lambda one: isinstance(one, HmacAuth)):
                authenticate(request, each, reveal, session=session, now=now, nonce=nonce)
        case ApiKeyAuth():
            request.put(auth.into, filled(auth.value, reveal))
        case BasicAuth():
            pair = f"{filled(auth.username, reveal)}:{filled(auth.password, reveal)}"
            encoded = base64.b64encode(pair.encode()).decode()
            request.headers["Authorization"] = f"Basic {encoded}"
        case BearerAuth():
            request.headers["Authorization"] = f"{auth.scheme} {filled(auth.token, reveal)}"
        case SessionAuth():
            request.put(auth.into, session)
        case HmacAuth():
            _sign(request, auth, reveal, now=now, nonce=nonce or uuid.uuid4().hex)


def has_session(auth: AnyAuth) -> SessionAuth | None:
    """Return the login of a session, if the source has one."""
    if isinstance(auth, CombinedAuth):
        return next((one for one in auth.of if isinstance(one, SessionAuth)), None)
    return auth if isinstance(auth, SessionAuth) else None


def is_signed(auth: AnyAuth) -> bool:
    """Say whether requests are signed, so that nothing may change them afterwards."""
    return isinstance(auth, HmacAuth) or (
        isinstance(auth, CombinedAuth) and any(isinstance(one, HmacAuth) for one in auth.of)
    )


def query_text(params: Mapping[str, str]) -> str:
    """Return the parameters as they are sent: in the order given, with %20 for a blank (RFC 3986)."""
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in params.items())


def _sign(request: Outgoing, auth: HmacAuth, reveal: Reveal, *, now: datetime, nonce: str) -> None:
    sent_at = _time_text(auth.timestamp, now) if auth.timestamp else ""
    key_id = filled(auth.key_id, reveal)
    if auth.timestamp:
        request.put(auth.timestamp.into, sent_at)
    if auth.nonce_into:
        request.put(auth.nonce_into, nonce)
    if auth.key_into:
        request.put(auth.key_into, key_id)
    parts = {
        "method": request.method.upper(),
        "path": request.path,
        "query_sorted": _sorted_query(request),
        "timestamp": sent_at,
        "nonce": nonce,
        "body": request.body.decode("utf-8", "surrogateescape"),
        "body_sha256": hashlib.sha256(request.body).hexdigest(),
        "key_id": key_id,
    }
    text = auth.join.join(_part(part, parts, request.headers) for part in auth.canonical)
    digest = hmac.new(
        filled(auth.secret, reveal).encode(),
        text.encode("utf-8", "surrogateescape"),
        auth.algorithm,
    ).digest()
    encode: Mapping[str, Callable[[bytes], str]] = {
        "hex": lambda raw: raw.hex(),
        "base64": lambda raw: base64.b64encode(raw).decode(),
        "base64url": lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }
    request.put(auth.into, encode[auth.encoding](digest))


def _part(part: str, parts: Mapping[str, str], headers: Mapping[str, str]) -> str:
    kind, _, name = part.partition(":")
    if kind == "literal":
        return name
    if kind == "header":
        lower = {key.lower(): value for key, value in headers.items()}
        return lower.get(name.lower(), "")
    return parts[part]


def _sorted_query(request: Outgoing) -> str:
    query = urlsplit(request.path).query
    pairs = [*parse_qsl(query, keep_blank_values=True), *request.params.items()]
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in sorted(pairs))


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")


def _time_text(form: Timestamp, now: datetime) -> str:
    at = now.astimezone(UTC)
    if form.format == "epoch_s":
        return str(int(at.timestamp()))
    if form.format == "epoch_ms":
        return str(int(at.timestamp() * 1000))
    if form.format == "http_date":
        return format_datetime(at.replace(microsecond=0), usegmt=True)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
