"""The page on which a user lets an app in, and the codes that it sends back (RFC 6749, RFC 7636).

A GET shows the page, its form is POSTed to the same address, and the answer redirects to the app with
a code or with a refusal. What is wrong with the app or its address is said to the user, never redirected.
"""

import base64
import hashlib
import re
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from urllib.parse import urlencode

from crm_sandbox.clock import SandboxClock
from crm_sandbox.http import Request, Response
from crm_sandbox.salesforce import credentials

CODE_LIVES = timedelta(minutes=15)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_PAGE = """\
<!DOCTYPE html><html><head><title>Allow Access?</title></head><body>
<h1>Allow Access?</h1><p>The app of {client} asks to: {scope}</p><p>You are {user}.</p>
<form method="post" action="{action}">{fields}
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form></body></html>"""


@dataclass(frozen=True)
class Grant:
    """What a code stands for."""

    redirect_uri: str
    challenge: str
    granted_at: datetime


class ConsentHandler:
    """Shows the page and keeps the codes.

    Args:
        clock: the present; a code lives for a quarter of an hour.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._grants: dict[str, Grant] = {}

    def handle(self, request: Request) -> Response:
        """Answer the page, or its form."""
        asked = request.form if request.method == "POST" else request.query
        if asked.get("client_id") != credentials.CLIENT_ID:
            return _complaint("invalid_client_id", "client identifier invalid")
        if not credentials.is_callback(asked.get("redirect_uri", "")):
            return _complaint("redirect_uri_mismatch", "redirect_uri must match configuration")
        if asked.get("response_type") != "code":
            return _redirect(asked, error="unsupported_response_type")
        if (wrong := _wrong_challenge(asked)) is not None:
            return _redirect(asked, error="invalid_request", error_description=wrong)
        if request.method != "POST":
            return _page(request, asked)
        if asked.get("decision") != "allow":
            return _redirect(
                asked, error="access_denied", error_description="end-user denied authorization"
            )
        return _redirect(asked, code=self._code(asked))

    def redeem(self, code: str, redirect_uri: str, verifier: str) -> str | None:
        """Use a code up; return what is wrong with it, or None.

        A code is dead after its first use, whatever came of that.
        """
        with self._lock:
            grant = self._grants.pop(code, None)
        if grant is None or self._clock.now() - grant.granted_at > CODE_LIVES:
            return "expired authorization code"
        if grant.redirect_uri != redirect_uri:
            return "redirect_uri must match configuration"
        if grant.challenge and not _VERIFIER.fullmatch(verifier):
            return "invalid code verifier"
        if grant.challenge and _challenge_of(verifier) != grant.challenge:
            return "invalid code verifier"
        return None

    def _code(self, asked: dict[str, str]) -> str:
        # As the vendor's, it ends with characters that an address has to encode.
        code = f"aPrx{secrets.token_urlsafe(40)}=="
        grant = Grant(asked["redirect_uri"], asked.get("code_challenge", ""), self._clock.now())
        with self._lock:
            self._grants[code] = grant
        return code


def _wrong_challenge(asked: dict[str, str]) -> str | None:
    challenge = asked.get("code_challenge", "")
    if not challenge:
        return "missing required code challenge"
    if asked.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        return "invalid code challenge"
    return None


def _challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _page(request: Request, asked: dict[str, str]) -> Response:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in asked.items()
    )
    page = _PAGE.format(
        client=escape(asked["client_id"]),
        scope=escape(asked.get("scope", "api")),
        user=credentials.USERNAME,
        action=escape(f"{request.base_url}/services/oauth2/authorize"),
        fields=fields,
    )
    return Response(200, page.encode(), content_type="text/html; charset=UTF-8")


def _redirect(asked: dict[str, str], **said: str) -> Response:
    if "state" in asked:
        said["state"] = asked["state"]
    joint = "&" if "?" in asked["redirect_uri"] else "?"
    target = f"{asked['redirect_uri']}{joint}{urlencode(said)}"
    return Response(302, b"", (("Location", target),), "text/html; charset=UTF-8")


def _complaint(code: str, description: str) -> Response:
    text = f"<html><body>error={code}&amp;error_description={escape(description)}</body></html>"
    return Response(400, text.encode(), content_type="text/html; charset=UTF-8")
