# ruff: noqa: PT012 - what must fail is a block of several steps
import gzip
import logging
import pickle
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
import requests

from crm_pipeline.kernel.clock import FrozenClock
from crm_pipeline.kernel.errors import (
    ConnectionLost,
    CrmError,
    Fatal,
    ProtocolError,
    Retriable,
)
from crm_pipeline.wire.retry import RetryPolicy
from crm_pipeline.wire.session import Timeouts, Times

from .conftest import CSV, GZIPPED, Handler, Make, Server

TOKEN = "hush-hush-0123456789"
QUICK = Timeouts(connect_s=2.0, read_s=0.05)


def everything_said(error: BaseException) -> str:
    """All texts that a log, a traceback or an event store could take from an error."""
    return "\n".join(
        [
            str(error),
            repr(error),
            "".join(traceback.format_exception(error)),
            str(vars(error)),
            repr(error.__cause__),
            repr(error.__context__),
            str(pickle.dumps(error)),
        ]
    )


def test_an_answer_comes_back_whole(server: Server, make: Make) -> None:
    """Parameters, headers and body arrive, and the vendor's response is returned."""
    server.routes["query"] = lambda h: h.say(
        200, b'{"done": true}', Content_Type="application/json"
    )
    answer = make().request(
        "POST", f"{server.url}/query", params={"q": "a b&c"}, headers={"X-A": "1"}, json={"k": "é"}
    )
    assert answer.json() == {"done": True}
    seen = server.seen[0]
    assert seen.path == "/query?q=a+b%26c"
    assert (seen.headers["X-A"], seen.headers["User-Agent"]) == ("1", "crm-pipeline")
    assert seen.body.decode("unicode_escape").encode("latin-1") == '{"k": "é"}'.encode("latin-1")


def test_the_judge_decides(server: Server, make: Make) -> None:
    """The error of `classify_response` is raised as it is, for requests and for streams."""
    server.routes["no"] = lambda h: h.say(400, b"bad words")
    session = make()
    with pytest.raises(Fatal, match="refused: bad words"):
        session.request("GET", f"{server.url}/no")
    with pytest.raises(Fatal, match="refused: bad words"), session.stream(f"{server.url}/no"):
        pytest.fail("a refused stream was opened")


def test_every_answer_is_observed_and_permitted(server: Server, make: Make) -> None:
    """The limiter is entered around each request and left also after errors; every response is observed."""
    server.routes["yes"] = lambda h: h.say(200, b"x", X_Used="1")
    server.routes["no"] = lambda h: h.say(400, b"", X_Used="2")
    log: list[str] = []

    @contextmanager
    def permit() -> Iterator[None]:
        log.append("in")
        try:
            yield
        finally:
            log.append("out")

    session = make(permit=permit, observe=lambda r, _: log.append(r.headers["X-Used"]))
    session.request("GET", f"{server.url}/yes")
    with pytest.raises(Fatal):
        session.request("GET", f"{server.url}/no")
    with session.stream(f"{server.url}/yes") as (_, chunks):
        assert b"".join(chunks) == b"x"
        assert log[-2:] == ["in", "1"]  # the permit is held until the stream is read
    assert log == ["in", "out", "1", "in", "out", "2", "in", "1", "out"]
    assert session.calls == 3


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_head_of_an_answer_has_a_time_of_its_own(
    server: Server,
    make: Make,
    is_stream: bool,
) -> None:
    """The time of the body is not part of it, because the header's date is compared with it."""
    clock = FrozenClock("2026-06-01T00:00:00Z")
    started_at = clock.now()

    def answer(handler: Handler) -> None:
        clock.advance(1)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.flush()
        is_here.wait(5)
        clock.advance(60)
        handler.wfile.write(b"whole")
        handler.close_connection = True

    is_here, seen = threading.Event(), list[Times]()
    server.routes["x"] = answer
    session = make(observe=lambda _, times: seen.append(times), clock=clock)
    now = clock.now
    # The second time that the session asks, the head is here.
    asked = iter([lambda: None, is_here.set])

    def told() -> datetime:
        at = now()
        next(asked, lambda: None)()
        return at

    clock.now = told  # type: ignore[method-assign]
    if is_stream:
        with session.stream(f"{server.url}/x") as (_, chunks):
            assert b"".join(chunks) == b"whole"
    else:
        assert session.request("GET", f"{server.url}/x").content == b"whole"
    assert seen == [Times(started_at, started_at + timedelta(seconds=1))]


def test_no_call_without_permit(server: Server, make: Make) -> None:
    """Where the limiter refuses, nothing is sent and nothing is counted."""
    server.routes["yes"] = lambda h: h.say(200)

    @contextmanager
    def permit() -> Iterator[None]:
        raise CrmError("budget spent")
        yield

    session = make(permit=permit)
    with pytest.raises(CrmError, match="budget spent"):
        session.request("GET", f"{server.url}/yes")
    assert (session.calls, server.seen) == (0, [])


def test_nobody_listens(make: Make) -> None:
    """An unreachable host is a retriable error that names owner, place and cure."""
    with socket.socket() as taken:
        taken.bind(
            ("127.0.0.1", 0)
        )  # and nobody listens: a port that is closed may be somebody else's
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConnectionLost) as caught:
            make().request("GET", f"{url}/x?access_token={TOKEN}")
    assert str(caught.value).startswith(f"acme: {url}/x did not answer")
    assert "Connection refused" in str(caught.value)
    assert "object at 0x" not in str(caught.value)
    assert "Pool(" not in str(caught.value)


def drop(handler: Handler) -> None:
    handler.hang_up()


def short(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CSV)))
    handler.end_headers()
    handler.wfile.write(CSV[: len(CSV) // 2])
    handler.hang_up()


def short_chunks(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"400\r\n" + CSV[:0x400] + b"\r\n")
    handler.hang_up()


def short_in_chunk(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"400\r\n" + CSV[:0x200])
    handler.hang_up()


def bad_chunks(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"zz\r\nnonsense\r\n")
    handler.hang_up()


def silent(handler: Handler) -> None:
    handler.server.done.wait(5)  # type: ignore[attr-defined]


def stalled(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(b"half")
    silent(handler)


def nonsense(handler: Handler) -> None:
    handler.wfile.write(b"this is not HTTP\r\n\r\n")
    handler.hang_up()


BROKEN = [drop, short, short_chunks, short_in_chunk, bad_chunks, silent, stalled, nonsense]


@pytest.mark.parametrize("way", ["request", "stream"])
@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.__name__)
def test_half_an_answer_is_never_an_answer(
    server: Server, make: Make, fault: Callable[[Handler], None], way: str
) -> None:
    """However a connection fails, the caller gets ConnectionLost, and no token is in any text."""
    import threading

    server.done = threading.Event()  # type: ignore[attr-defined]
    server.routes["x"] = fault
    url = f"{server.url}/x?access_token={TOKEN}&sid={TOKEN}&other={TOKEN}"
    session = make(timeouts=QUICK)
    with pytest.raises(ConnectionLost) as caught:
        if way == "request":
            session.request("GET", url, headers={"Authorization": f"Bearer {TOKEN}"})
        else:
            with session.stream(url) as (_, chunks):
                for _chunk in chunks:
                    pass
    server.done.set()  # type: ignore[attr-defined]
    assert isinstance(caught.value, Retriable)
    assert TOKEN not in everything_said(caught.value)
    assert f"{server.url}/x did not answer, or not to the end" in str(caught.value)


def test_an_error_body_that_breaks_off_is_a_lost_connection(server: Server, make: Make) -> None:
    """`classify_response` never gets half an error body, not even in a stream."""

    def broken(handler: Handler) -> None:
        handler.send_response(400)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"[{")
        handler.hang_up()

    server.routes["x"] = broken
    session = make()
    with pytest.raises(ConnectionLost), session.stream(f"{server.url}/x"):
        pytest.fail("opened")
    with pytest.raises(ConnectionLost):
        session.request("GET", f"{server.url}/x")


def test_a_stream_gives_the_bytes_as_received(server: Server, make: Make) -> None:
    """A gzip stays a gzip, byte by byte; an ordinary request is unpacked."""
    server.routes["csv"] = lambda h: h.say(200, GZIPPED, Content_Encoding="gzip")
    session = make()
    with session.stream(f"{server.url}/csv") as (response, chunks):
        assert response.headers["Content-Encoding"] == "gzip"
        received = b"".join(chunks)
    assert received == GZIPPED
    assert gzip.decompress(received) == CSV == session.request("GET", f"{server.url}/csv").content


def test_a_stream_is_read_in_pieces(server: Server, make: Make) -> None:
    """A page of any size passes in pieces of at most a megabyte."""
    body = b"x" * (3 << 20)
    server.routes["big"] = lambda h: h.say(200, body)
    with make().stream(f"{server.url}/big") as (_, chunks):
        sizes = [len(chunk) for chunk in chunks]
    assert sum(sizes) == len(body)
    assert max(sizes) <= 1 << 20


def test_the_readers_own_errors_stay_its_own(server: Server, make: Make) -> None:
    """A full disk while a stream is written down is not taken for a lost connection."""
    server.routes["csv"] = lambda h: h.say(200, CSV)
    session = make()
    for own in (OSError(28, "No space left on device"), requests.exceptions.Timeout("of another")):
        with pytest.raises(type(own)) as caught, session.stream(f"{server.url}/csv"):
            raise own
        assert caught.value is own


def test_a_stream_that_is_left_early_does_not_disturb_the_next(server: Server, make: Make) -> None:
    """After an abandoned stream the session goes on with a clean connection."""
    server.routes["csv"] = lambda h: h.say(200, CSV)
    server.routes["ok"] = lambda h: h.say(200, b"fine")
    session = make()
    with session.stream(f"{server.url}/csv") as (_, chunks):
        next(chunks)
    assert session.request("GET", f"{server.url}/ok").content == b"fine"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Server, make: Make, status: int) -> None:
    """A token does not travel: a redirect is an error that names the other host, not its query."""
    target = f"https://elsewhere.example/login?startURL={TOKEN}"
    server.routes["x"] = lambda h: h.say(status, b"moved", Location=target)
    session = make()
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            session.request("GET", f"{server.url}/x", headers={"Authorization": f"Bearer {TOKEN}"})
        assert "redirects to https://elsewhere.example." in str(caught.value)
        assert "login_url" in caught.value.cure
        assert caught.value.status == status
        assert TOKEN not in everything_said(caught.value)
    assert len(server.seen) == 2


@pytest.mark.parametrize("target", ["http://[::1", "http://[", "//", "\\\\host"])
def test_a_redirect_to_no_address_is_still_an_error(
    server: Server, make: Make, target: str
) -> None:
    """The Location header may hold anything."""
    server.routes["x"] = lambda h: h.say(302, Location=target)
    with pytest.raises(ProtocolError, match="redirects to"):
        make().request("GET", f"{server.url}/x")


def test_a_redirect_without_target_is_still_an_error(server: Server, make: Make) -> None:
    """A 302 without a target does not reach `classify_response` either."""
    server.routes["x"] = lambda h: h.say(302)
    with pytest.raises(ProtocolError):
        make().request("GET", f"{server.url}/x")


def test_not_modified_is_an_answer(server: Server, make: Make) -> None:
    """304 is left to `classify_response`."""
    server.routes["x"] = lambda h: h.say(304)
    assert make().request("GET", f"{server.url}/x").status_code == 304


def test_cookies_are_not_kept(server: Server, make: Make) -> None:
    """A cookie of one response is not sent with the next request."""
    server.routes["x"] = lambda h: h.say(200, Set_Cookie="sid=1; Path=/")
    session = make()
    session.request("GET", f"{server.url}/x")
    session.request("GET", f"{server.url}/x")
    assert [seen.headers.get("Cookie") for seen in server.seen] == [None, None]


def test_threads_share_a_session(server: Server, make: Make) -> None:
    """Eight threads get their own responses, and every call is counted."""

    def echo(handler: Handler) -> None:
        number = handler.path.split("=")[1]
        handler.say(200, number.encode(), Set_Cookie=f"c{number}=1")

    server.routes["echo"] = echo
    session = make()

    def call(number: int) -> bytes:
        return session.request("GET", f"{server.url}/echo", params={"n": str(number)}).content

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(200)))
    assert answers == [str(number).encode() for number in range(200)]
    assert session.calls == 200


def test_busy_then_well(server: Server, make: Make) -> None:
    """503 twice and then 200 is a success with retries."""
    statuses = iter([503, 503, 200])
    server.routes["x"] = lambda h: h.say(next(statuses), b"now")
    session = make()
    answer = RetryPolicy().call(lambda: session.request("GET", f"{server.url}/x"))
    assert answer.content == b"now"
    assert session.calls == 3


def test_dropped_then_well(server: Server, make: Make) -> None:
    """A download that broke off is complete after a retry."""
    faults = iter([drop, short, short_in_chunk, lambda handler: handler.say(200, CSV)])

    def answer(handler: Handler) -> None:
        next(faults)(handler)

    server.routes["x"] = answer
    session = make()

    def attempt() -> bytes:
        with session.stream(f"{server.url}/x") as (_, chunks):
            return b"".join(chunks)

    assert RetryPolicy().call(attempt) == CSV
    assert session.calls == 4


def test_a_connection_that_died_in_the_pool(server: Server, make: Make) -> None:
    """A kept connection that the server closed in between is at worst one retry."""

    def once(handler: Handler) -> None:
        handler.say(200, b"ok")
        handler.hang_up()

    server.routes["x"] = once
    session = make()
    answers = [
        RetryPolicy().call(lambda: session.request("GET", f"{server.url}/x")).content
        for _ in range(3)
    ]
    assert answers == [b"ok"] * 3


def test_nothing_secret_is_logged(
    server: Server, make: Make, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Retries of a failing request write no token to any log of ours."""
    caplog.set_level(logging.INFO)
    server.routes["x"] = drop
    session = make()
    with pytest.raises(ConnectionLost):
        RetryPolicy(attempts=3).call(
            lambda: session.request(
                "GET", f"{server.url}/x?sid={TOKEN}", headers={"Authorization": f"Bearer {TOKEN}"}
            )
        )
    shown = capsys.readouterr()
    said = caplog.text + shown.out + shown.err
    assert "retry" in said
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("length", "words"),
    [
        ("9" * 300, "2 bytes came, and the announced length cannot be true"),
        ("1000000000000", "2 bytes came, 999,999,999,998 are missing"),
        ("100", "2 bytes came, 98 are missing"),
        ("1, 2", "multiple unmatching values"),
    ],
)
def test_lengths_that_no_answer_has(server: Server, make: Make, length: str, words: str) -> None:
    """A length beyond the bytes received, of any size, or two lengths, is one sentence about the response."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", length)
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True

    server.routes["x"] = answer
    with pytest.raises(ConnectionLost, match=words) as caught:
        make().request("GET", f"{server.url}/x")
    assert "9" * 60 not in str(caught.value)


@pytest.mark.parametrize("length", ["-5", "many", "²", "1e9", "9" * 5_000])
def test_a_length_that_is_no_number(server: Server, make: Make, length: str) -> None:
    """It is ignored: the response is read to the end of the connection."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", length)
        handler.end_headers()
        handler.wfile.write(b"whole")
        handler.close_connection = True

    server.routes["x"] = answer
    assert make().request("GET", f"{server.url}/x").content == b"whole"
