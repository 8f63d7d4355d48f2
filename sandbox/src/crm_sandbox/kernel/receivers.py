"""HTTP calls from an emulated vendor to a receiver, which has to be on this machine."""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_LARGEST_ANSWER = 100_000


@dataclass(frozen=True)
class Reply:
    """The response of a receiver."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the receiver accepted the call."""
        return 200 <= self.status < 300


def is_local(url: str) -> bool:
    """Say whether an address is one that the sandbox may send to: this machine's, by HTTP or HTTPS."""
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and parts.hostname in LOCAL


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    ca_file: str | None = None,
) -> Reply | None:
    """Send a body and return the reply; None where there was none in time.

    Redirects are not followed.

    Args:
        url: an address for which `is_local` holds.
        body: what is sent.
        headers: beside those that HTTP needs.
        timeout_s: how long the receiver may take.
        ca_file: authorities that https trusts; by default those of the system.
    """
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _connection(url, timeout_s, ca_file)
    try:
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        return Reply(response.status, response.read(_LARGEST_ANSWER))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _connection(url: str, timeout_s: float, ca_file: str | None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    context = ssl.create_default_context(cafile=ca_file)
    return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
