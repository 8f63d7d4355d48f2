from __future__ import annotations

import pytest

from crm_sandbox.http import Parameters, Request, decoded, is_number

PAIRS = (("a", "1"), ("b", "x"), ("a", "2,3"))


def request(query: str = "", body: bytes = b"", kind: str = "", *, first: bool = False) -> Request:
    return Request("POST", "/", query, {"content-type": kind}, body, "x", first_wins=first)


def test_repeated_parameters() -> None:
    """A repeated parameter keeps all its values; which of them a look-up sees is the vendor's habit."""
    last, first = Parameters(PAIRS), Parameters(PAIRS, first_wins=True)
    assert (last["a"], first["a"], last["b"], first["b"]) == ("2,3", "1", "x", "x")
    for one in (last, first):
        assert one.every("a") == ["1", "2,3"]
        assert one.joined("a") == "1,2,3"
        assert (one.joined("c"), one.every("c")) == ("", [])
        assert (one.is_repeated("a"), one.is_repeated("b")) == (True, False)


def test_query_and_form() -> None:
    """Query strings and forms are read alike: a plus is a space, an empty value stays."""
    text = "a=x+y&b=&a=%2B"
    for one in (request(text).query, request(body=text.encode()).form):
        assert one == {"a": "+", "b": ""}
        assert one.every("a") == ["x y", "+"]
    assert request(text, first=True).query["a"] == "x y"


def test_multipart() -> None:
    """Texts of a body in parts are read by name; another kind of body has none."""
    part = b'--e\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = part % (b"a", b"1") + part % (b"b", "ü".encode()) + b"--e--\r\n"
    assert request(body=body, kind="multipart/form-data; boundary=e").multipart == {
        "a": "1",
        "b": "ü",
    }
    assert request(body=body, kind="text/plain").multipart == {}


@pytest.mark.parametrize("body", [b"{", b"\xff", b"NaN", b'"\\ud800"', b"[" * 5_000, b"1e999"])
def test_what_is_no_json(body: bytes) -> None:
    """What is no JSON, or cannot be written again, is refused as a ValueError, however deep it is."""
    with pytest.raises(ValueError, match=r"."):
        decoded(body)
    assert (decoded(b""), decoded(b"[1]")) == (None, [1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", True), ("9" * 18, True), ("9" * 19, False), ("²", False), ("٣", False), ("-1", False)],
)
def test_numbers(text: str, expected: bool) -> None:
    """A number is one that fits into 64 bits, in digits that every part of the sandbox reads."""
    assert is_number(text) is expected
