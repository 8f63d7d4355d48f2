"""Bodies of responses, read to their end and unpacked."""

import gzip
import random
import time
import zlib

import pytest

from crm_pipeline.kernel.errors import ConnectionLost
from crm_pipeline_tests.wire.conftest import CSV, GZIPPED, Make, Server


@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("gzip", GZIPPED),
        ("X-Gzip", GZIPPED),
        ("gzip", gzip.compress(CSV[:7]) + gzip.compress(CSV[7:]) + b"\0\0"),
        ("deflate", zlib.compress(CSV)),
        ("identity", CSV),
        ("", CSV),
    ],
)
def test_a_body_is_unpacked(server: Server, make: Make, coding: str, sent: bytes) -> None:
    """One gzip member or several, with padding; other codings of urllib3; and unpacked bodies."""
    server.routes["csv"] = lambda h: h.say(200, sent, Content_Encoding=coding)
    assert make().request("GET", f"{server.url}/csv").content == CSV


@pytest.mark.parametrize(
    "sent",
    [GZIPPED[:-9], GZIPPED[:40] + b"\xff" * 9 + GZIPPED[49:], b"<html>", GZIPPED + b"<html>"],
)
def test_what_is_no_whole_gzip_is_no_answer(server: Server, make: Make, sent: bytes) -> None:
    """A cut, damaged or wrongly named gzip is requested again, and never used in part."""
    server.routes["csv"] = lambda h: h.say(200, sent, Content_Encoding="gzip")
    with pytest.raises(ConnectionLost, match="gzip"):
        make().request("GET", f"{server.url}/csv")


def test_an_empty_body_is_none_however_it_is_packed(server: Server, make: Make) -> None:
    """A proxy may name a coding for an empty body."""
    server.routes["none"] = lambda h: h.say(200, b"", Content_Encoding="gzip")
    assert make().request("GET", f"{server.url}/none").content == b""


def test_a_body_of_empty_parts_ends_soon(server: Server, make: Make) -> None:
    """The number of members is bounded, because empty ones cost work that no bound of bytes or seconds covers."""
    sent = gzip.compress(b"", mtime=0) * 40_000
    server.routes["parts"] = lambda h: h.say(200, sent, Content_Encoding="gzip")
    begun_s = time.process_time()
    with pytest.raises(ConnectionLost, match="more than 10,000 parts"):
        make().request("GET", f"{server.url}/parts")
    assert time.process_time() - begun_s < 2


def test_parts_larger_than_a_piece(server: Server, make: Make) -> None:
    """A member may end anywhere in a piece."""
    parts = [random.Random(7).randbytes(size) for size in (300_000, 1, 262_144, 0, 5)]
    sent = b"".join(gzip.compress(part) + bytes(3) for part in parts)
    server.routes["parts"] = lambda h: h.say(200, sent, Content_Encoding="gzip")
    assert make().request("GET", f"{server.url}/parts").content == b"".join(parts)
