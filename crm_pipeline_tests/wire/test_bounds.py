"""Responses that are too large or take too long are broken off."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest

from crm_pipeline.kernel.errors import ConnectionLost, Fatal
from crm_pipeline.settings.bounds import MB, Bounds
from crm_pipeline.wire import transport

from .conftest import Handler, Make, Server

SMALL = Bounds(answer_mb=1, answer_s=1, file_mb=1, file_s=1)
BOMB = gzip.compress(bytes(50 * MB))


def endless(piece: bytes, pause_s: float = 0.0) -> Callable[[Handler], None]:
    """Send a body for ever, or until the client goes away."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(piece)
                time.sleep(pause_s)
        except OSError:
            return

    return answer


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("", bytes(2 * MB)),
        ("gzip", BOMB),
        ("gzip", gzip.compress(bytes(MB // 2)) * 3),
        ("deflate", zlib.compress(bytes(50 * MB))),
    ],
)
def test_an_answer_that_is_too_large_is_broken_off(
    server: Server, make: Make, coding: str, sent: bytes
) -> None:
    """The unpacked size counts, packed or not, and never more than the bound is in memory."""
    server.routes["much"] = lambda h: h.say(200, sent, Content_Encoding=coding)
    tracemalloc.start()
    try:
        with pytest.raises(Fatal, match="larger than 1 MB") as caught:
            make(bounds=SMALL).request("GET", f"{server.url}/much")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "are that large, set CRM_MAX_ANSWER_MB" in caught.value.cure
    assert peak < 10 * MB


def test_an_endless_answer_is_broken_off(server: Server, make: Make) -> None:
    """No length is announced and the body never ends."""
    server.routes["endless"] = endless(bytes(1 << 16))
    with pytest.raises(Fatal, match="larger than 1 MB"):
        make(bounds=SMALL).request("GET", f"{server.url}/endless")


def test_an_answer_that_drips_is_broken_off(server: Server, make: Make) -> None:
    """A byte now and then keeps the limit between two bytes, but exceeds the limit in all."""
    server.routes["drip"] = endless(b".", 0.05)
    with pytest.raises(Fatal, match="took longer than 1 s") as caught:
        make(bounds=SMALL).request("GET", f"{server.url}/drip")
    assert "take that long, set CRM_MAX_ANSWER_S" in caught.value.cure


def test_an_answer_of_empty_blocks_is_broken_off(server: Server, make: Make) -> None:
    """Bytes that unpack to nothing are bounded, although no piece of the body comes."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "deflate")
        handler.end_headers()
        handler.close_connection = True
        with suppress(OSError):
            for _ in range(100):
                handler.wfile.write(b"\0\0\0\xff\xff")
                time.sleep(0.05)

    server.routes["blocks"] = answer
    with pytest.raises(Fatal, match="took longer than 1 s"):
        make(bounds=SMALL).request("GET", f"{server.url}/blocks")


def chunked(begin: bytes, piece: bytes) -> Callable[[Handler], None]:
    """Send a body in chunks whose size line never ends."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.close_connection = True
        try:
            handler.wfile.write(b"2\r\n{}\r\n" + begin)
            for _ in range(400):
                handler.wfile.write(piece)
                time.sleep(0.01)
        except OSError:
            return

    return answer


@pytest.mark.parametrize(
    ("begin", "piece"), [(b"0\r\n", b"x: y\r\n"), (b"2;", b"a")], ids=["trailers", "extension"]
)
def test_what_stands_between_and_behind_chunks_is_broken_off(
    server: Server, make: Make, begin: bytes, piece: bytes
) -> None:
    """It is bounded in time, although it is no part of the body, whose bytes are counted."""
    server.routes["chunks"] = chunked(begin, piece)
    with pytest.raises(Fatal, match="took longer than 1 s") as caught:
        make(bounds=SMALL).request("GET", f"{server.url}/chunks")
    assert "CRM_MAX_ANSWER_S" in caught.value.cure


def test_a_file_whose_end_never_comes_is_broken_off(server: Server, make: Make) -> None:
    """The bound of files also holds for bytes that are no part of the file."""
    server.routes["chunks"] = chunked(b"0\r\n", b"x: y\r\n")
    with (
        pytest.raises(Fatal, match="took longer than 1 s") as caught,
        make(bounds=SMALL).stream(f"{server.url}/chunks") as (_, chunks),
    ):
        list(chunks)
    assert "CRM_MAX_FILE_S" in caught.value.cure


def test_headers_that_drip_are_broken_off(
    server: Server, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers are bounded in time as well."""
    monkeypatch.setattr(transport, "HEADERS_S", 0.2)

    def drip(handler: Handler) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                handler.wfile.write(b".")
                time.sleep(0.02)
        except OSError:
            return

    server.routes["drip"] = drip
    with pytest.raises(ConnectionLost, match="headers took longer"):
        make().request("GET", f"{server.url}/drip")


def test_a_file_that_is_too_large_is_broken_off(server: Server, make: Make) -> None:
    """Downloads have a bound of their own."""
    server.routes["file"] = endless(bytes(1 << 16))
    with (
        pytest.raises(Fatal, match="larger than 1 MB") as caught,
        make(bounds=SMALL).stream(f"{server.url}/file") as (_, chunks),
    ):
        for _ in chunks:
            pass
    assert "CRM_MAX_FILE_MB" in caught.value.cure


@pytest.mark.parametrize("headers", [{f"X-{n}": "v" for n in range(200)}, {"X-Long": "v" * 70_000}])
def test_too_many_and_too_long_headers_are_no_answer(
    server: Server, make: Make, headers: dict[str, str]
) -> None:
    """A hundred headers of 64 KB are more than any vendor sends."""
    server.routes["head"] = lambda h: h.say(200, b"{}", **headers)
    with pytest.raises(ConnectionLost):
        make().request("GET", f"{server.url}/head")


def test_no_request_leaves_for_an_untrusted_host(server: Server, make: Make) -> None:
    """No request goes to an address that is not trusted, because it would carry our token."""
    server.routes["x"] = lambda h: h.say(200)
    session = make(trusts=lambda url: "trusted.example" in url)
    for call in (
        lambda: session.request("GET", f"{server.url}/x"),
        lambda: session.stream(f"{server.url}/x").__enter__(),
    ):
        with pytest.raises(Fatal, match="Nothing was sent there"):
            call()
    assert (server.seen, session.calls) == ([], 0)
