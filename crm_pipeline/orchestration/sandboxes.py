"""Which connections point at a sandbox on this machine, and where it listens.

Starting one is the stack's affair.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from crm_pipeline.settings import Connection, Settings

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def sandboxes(settings: Settings) -> Mapping[tuple[str, int], list[Connection]]:
    """Return where sandboxes listen, one for each port, with the connections that point at it."""
    found: dict[int, tuple[str, list[Connection]]] = {}
    for connection in settings.connections.values():
        if (address := _sandbox_address(connection)) is not None:
            host, port = address
            found.setdefault(port, (host, []))[1].append(connection)
    return {(host, port): users for port, (host, users) in found.items()}


def _sandbox_address(connection: Connection) -> tuple[str, int] | None:
    """Return where the sandbox of a connection listens; None for real accounts."""
    parts = urlsplit(connection.login_url)
    if not connection.sandbox or parts.hostname not in _LOOPBACK or parts.port is None:
        return None
    return parts.hostname, parts.port
