"""TLS on an accepted connection, and the hosts that the sandbox answers for as a proxy.

A client with hard-wired host names runs with HTTPS_PROXY. It asks for a tunnel to a vendor's host, and
the sandbox itself is the other end. Nothing is passed on to another machine.
"""

import json
import socket
import ssl

from crm_sandbox.http import Response, json_response

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_HANDSHAKE = b"\x16"  # the first byte of a TLS record that opens a handshake
_HANDSHAKE_S = 10.0


def begins_with_handshake(connection: socket.socket) -> bool:
    """Wait for the client's first byte and say whether it wants TLS; the byte stays unread."""
    return connection.recv(1, socket.MSG_PEEK) == _HANDSHAKE


def secured(connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return the connection with TLS around it; the handshake is still to come."""
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


def shake_hands(connection: ssl.SSLSocket) -> None:
    """Agree on a session.

    Raises:
        OSError: the client does not trust us, speaks an old TLS, or says nothing.
    """
    connection.settimeout(_HANDSHAKE_S)
    connection.do_handshake()
    connection.settimeout(None)


def refusal(host: str, vendors: dict[str, tuple[str, ...]]) -> Response:
    """Return the answer for a host that is no vendor's."""
    known = ", ".join(sorted(pattern for hosts in vendors.values() for pattern in hosts))
    error = f"the sandbox stands for {known} and passes nothing on; '{host}' is none of them"
    return json_response({"error": error}, 403)


def no_tunnel(reason: str) -> Response:
    """Return the answer where a tunnel to a vendor cannot be opened."""
    return Response(501, json.dumps({"error": reason}).encode())
