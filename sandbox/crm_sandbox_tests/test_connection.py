from __future__ import annotations

import socket

import pytest

from crm_sandbox import SandboxServer


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("GET http://[x/ HTTP/1.1", "X-Nothing: 1"),
        ("POST /zoho/crm/v8/coql HTTP/1.1", "Content-Length: many"),
        ("POST /zoho/crm/v8/coql HTTP/1.1", "Transfer-Encoding: chunked"),
    ],
)
def test_requests_that_cannot_be_read(unlimited: SandboxServer, line: str, header: str) -> None:
    """An address or a length that cannot be read is answered with 400, and the connection ends."""
    with socket.create_connection(("127.0.0.1", unlimited.port), timeout=10) as client:
        client.sendall(f"{line}\r\nHost: x\r\n{header}\r\n\r\nmany\r\n".encode())
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
