"""The page on which a user lets an app in, and the codes that it sends back to the app.

The vendor names in the redirect where the user's account lives: `location` and `accounts-server`; the
code is good only there.
"""

import threading
from html import escape
from urllib.parse import urlencode

from crm_sandbox.grants import GrantStore
from crm_sandbox.http import Request, Response
from crm_sandbox.zoho.accounts import ACCOUNTS
from crm_sandbox.zoho.centres import accounts_server
from crm_sandbox.zoho.credentials import BY_ACCOUNT, is_callback

_CODE_LIVES_S = 120
_PAGE = """\
<!DOCTYPE html><html><head><title>Zoho Accounts</title></head><body>
<h1>{client} would like to access:</h1><p>{scope}</p>
<form method="post" action="{action}">{fields}
<button name="decision" value="accept">Accept</button>
<button name="decision" value="reject">Reject</button></form></body></html>"""


class ConsentHandler:
    """Shows the page and gives out codes.

    Args:
        grants: where codes are kept.
    """

    def __init__(self, grants: GrantStore) -> None:
        self._grants = grants
        self._lock = threading.Lock()
        self._offline: set[str] = set()

    def handle(self, request: Request) -> Response:
        """Answer the page, or its form."""
        asked = request.form if request.method == "POST" else request.query
        clients = {one.client_id: account for account, one in BY_ACCOUNT.items()}
        account = clients.get(asked.get("client_id", ""))
        if account is None:
            return _complaint("Invalid Client Id")
        if not is_callback(asked.get("redirect_uri", "")):
            return _complaint("Invalid Redirect Uri")
        if asked.get("response_type") != "code":
            return _complaint("Invalid Response Type")
        if not asked.get("scope"):
            return _complaint("Invalid Scope")
        if request.method != "POST":
            return _page(request, asked)
        if asked.get("decision") != "accept":
            return _redirect(asked, {"error": "access_denied"})
        scopes = [one for one in asked["scope"].replace(" ", ",").split(",") if one]
        code = self._grants.code(account, scopes, asked["redirect_uri"], _CODE_LIVES_S)
        if asked.get("access_type") == "offline":
            with self._lock:
                self._offline.add(code)
        centre = ACCOUNTS[account].centre
        server = accounts_server(request, centre)
        return _redirect(asked, {"location": centre, "code": code, "accounts-server": server})

    def is_offline(self, code: str) -> bool:
        """Say whether a code was asked for together with a refresh token."""
        with self._lock:
            return code in self._offline


def _page(request: Request, asked: dict[str, str]) -> Response:
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in asked.items()
    )
    action = escape(f"{request.base_url}/oauth/v2/auth")
    page = _PAGE.format(
        client=escape(asked["client_id"]),
        scope=escape(asked["scope"]),
        action=action,
        fields=fields,
    )
    return Response(200, page.encode(), content_type="text/html;charset=UTF-8")


def _redirect(asked: dict[str, str], said: dict[str, str]) -> Response:
    more = said | ({"state": asked["state"]} if "state" in asked else {})
    joint = "&" if "?" in asked["redirect_uri"] else "?"
    target = f"{asked['redirect_uri']}{joint}{urlencode(more)}"
    return Response(302, b"", (("Location", target),), "text/html;charset=UTF-8")


def _complaint(words: str) -> Response:
    text = f"<html><body>ERROR: {escape(words)}</body></html>"
    return Response(400, text.encode(), content_type="text/html;charset=UTF-8")
