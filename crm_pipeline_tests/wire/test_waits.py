"""The wait that the vendor asks for: the response's own figure wins over that of `classify_response`."""

import time
from email.utils import formatdate

import pytest
import requests

from crm_pipeline.kernel.errors import CrmError, Fatal, Unavailable
from crm_pipeline.wire.session import HttpSession

from .conftest import Server

SUPPOSED_S = 7.0
DAY_S = 86_400.0


def classify_response(response: requests.Response) -> CrmError | None:
    if response.status_code == 503:
        return Unavailable("busy", status=503, retry_after_s=SUPPOSED_S)
    return Fatal("refused") if response.status_code >= 400 else None


@pytest.mark.parametrize(
    ("told", "wait_s"),
    [
        ("0", 0.0),
        ("3", 3.0),
        ("1.5", 1.5),
        ("", SUPPOSED_S),
        ("soon", SUPPOSED_S),
        ("-1", SUPPOSED_S),
        ("nan", SUPPOSED_S),
        ("1e9", SUPPOSED_S),
        ("²", SUPPOSED_S),
        ("9" * 300, SUPPOSED_S),
        ("1000000000", DAY_S),
        ("Fri, 31 Dec 99999 23:59:59 GMT", SUPPOSED_S),
        ("Mon, 01 Jan 0001 00:00:00 +9999", SUPPOSED_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY_S),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_seconds(server: Server, told: str, wait_s: float) -> None:
    """`Retry-After` is used up to a day; without it, or with nonsense, the figure of `classify_response` stays."""
    headers = {"Retry_After": told} if told else {}
    server.routes["x"] = lambda h: h.say(503, b"", **headers)
    session = HttpSession("acme", classify_response=classify_response, allow_http=True)
    with pytest.raises(Unavailable) as caught:
        session.request("GET", f"{server.url}/x")
    session.close()
    assert caught.value.retry_after_s == wait_s


def test_a_moment(server: Server) -> None:
    """The wait until a date is counted from the vendor's own `Date`, whatever our clock says."""
    server.routes["x"] = lambda h: h.say(
        503, b"", Retry_After=formatdate(time.time() + 90, usegmt=True)
    )
    session = HttpSession("acme", classify_response=classify_response, allow_http=True)
    with pytest.raises(Unavailable) as caught:
        session.request("GET", f"{server.url}/x")
    session.close()
    assert caught.value.retry_after_s == pytest.approx(90, abs=2)


def test_a_final_refusal_has_no_wait(server: Server) -> None:
    """For an error that is not retriable the header changes nothing."""
    server.routes["x"] = lambda h: h.say(404, b"", Retry_After="3")
    session = HttpSession("acme", classify_response=classify_response, allow_http=True)
    with pytest.raises(Fatal):
        session.request("GET", f"{server.url}/x")
    session.close()


def test_nonsense_is_told_once(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A wait that cannot be true is one warning for any number of responses, with a shortened quotation."""
    server.routes["x"] = lambda h: h.say(503, b"", Retry_After="9" * 300)
    session = HttpSession("acme", classify_response=classify_response, allow_http=True)
    for _ in range(3):
        with pytest.raises(Unavailable):
            session.request("GET", f"{server.url}/x")
    session.close()
    told = capsys.readouterr().out
    assert told.count("Retry-After cannot be meant so") == 1
    assert "9" * 60 not in told
