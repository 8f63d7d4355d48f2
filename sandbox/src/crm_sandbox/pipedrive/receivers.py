"""Sending a webhook's body to a receiver on this machine."""

import base64
import http.client
import ssl
from urllib.parse import urlsplit

_LOCAL = {"127.0.0.1", "localhost", "::1"}


def is_local(url: str) -> bool:
    """Say whether an address is one that the sandbox may send to: this machine's, by HTTP or HTTPS."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and parts.hostname in _LOCAL


def post(
    url: str,
    body: bytes,
    *,
    login: tuple[str, str] | None = None,
    timeout_s: float = 10.0,
    ca_file: str | None = None,
) -> int | None:
    """Send a body and return the status of the answer; None where there was none in time.

    Redirects are not followed.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    headers = {"Content-Type": "application/json", "User-Agent": "Pipedrive Webhooks"}
    if login is not None:
        token = base64.b64encode(":".join(login).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return answer.status
