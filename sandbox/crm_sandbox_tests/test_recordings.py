"""The comparison with recorded answers itself: each kind of difference is planted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from crm_sandbox_tests import contracts, recordings
from crm_sandbox_tests.contracts import Difference
from crm_sandbox_tests.recordings import Recording, differences, known, recorded, refuse

FILE = """
openapi: 3.1.0
paths:
  /things:
    get:
      responses:
        '200':
          headers:
            Date: {content: {text/plain: {example: 'Fri, 17 Nov 2023 16:25:06 GMT'}}}
            Location: {content: {text/plain: {example: /data/v58.0/things/001...}}}
            Mode: {content: {text/plain: {example: strict}}}
          content:
            application/json:
              example: '{"id": "001...", "at": "<datetime>", "count": <number>, "list": [{"a": 1}, ...]}'
        '204':
          headers: {}
  /things/none:
    get: {}
"""
GOOD: dict[str, Any] = {
    "id": "001000000000001AAA",
    "at": "2026-01-01T00:00:00.000+0000",
    "count": 3,
    "list": [{"a": 1.5}, {"a": 2}],
}
HEADERS = {
    "Date": "Sun, 01 Nov 2026 12:00:00 GMT",
    "Location": "/data/v64.0/things/001000000000001AAA",
    "Mode": "strict",
    "Content-Type": "application/json",
}


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recording:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "api.yml").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(recordings, "FOLDER", tmp_path)
    monkeypatch.setattr(contracts, "FOLDER", tmp_path)
    return recorded("shop", "api.yml", "GET", "/things")


def response(body: Any = GOOD, status: int = 200, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.json = lambda **_: body  # type: ignore[method-assign]
    made._content = b"something"
    made.headers.update(HEADERS | {name.replace("_", "-"): one for name, one in headers.items()})
    return made


def test_an_answer_of_the_same_form_passes(recording) -> None:
    """Values differ; keys, types, forms and headers are the recorded ones."""
    assert differences(recording, response()) == {}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"more": 1}, "$.more"),
        ({"count": "3"}, "$.count"),
        ({"count": True}, "$.count"),
        ({"count": None}, "$.count"),
        ({"id": "003000000000001AAA"}, "$.id"),
        ({"id": "001000000000001"}, "$.id"),
        ({"at": "2026-01-01T00:00:00Z"}, "$.at"),
        ({"list": []}, "$.list"),
        ({"list": [{"a": 1}, {"b": 1, "a": 1}]}, "$.list[*].b"),
        ({"list": [{"a": []}]}, "$.list[*].a"),
    ],
)
def test_a_planted_difference_is_found(recording, change: dict[str, Any], place: str) -> None:
    """A key, a type, a null, a form: each is named with its place, and nothing else is."""
    assert [*differences(recording, response(GOOD | change))] == [place]


def test_headers_status_and_values(recording) -> None:
    """A header that lacks, differs or tells too much, a status, and a value that has to be the recorded."""
    assert [*differences(recording, response(Mode="loose"))] == ["header Mode"]
    assert [*differences(recording, response(Location="/data/v64.0/shoes"))] == ["header Location"]
    assert [*differences(recording, response(Sforce_Locator="null"))] == ["header Sforce-Locator"]
    assert [*differences(recording, response(Content_Type="text/html"))] == ["header Content-Type"]
    assert [*differences(recording, response(status=201))] == ["status"]
    lacking = {key: one for key, one in GOOD.items() if key != "at"}
    assert differences(recording, response(lacking)) == {"$.at": "the key is missing"}
    assert [*differences(recording, response(), frozenset({"count"}))] == ["$.count"]


def test_known_differences() -> None:
    """A known difference hides no other, and one that has gone is named."""
    one, two = known("why", "$.a"), known("why", "$.b", optional=True)
    refuse("here", {"$.a": "x"}, [one, two])
    with pytest.raises(Difference, match=r"\$\.c: x \(and 1 more\)"):
        refuse("here", {"$.a": "x", "$.c": "x", "$.d": "x"}, [one, two])
    with pytest.raises(Difference, match=r"\$\.a: a known difference has gone: why"):
        refuse("here", {}, [one, two])


@pytest.mark.parametrize(("path", "status"), [("/things", 204), ("/things/none", 200), ("/x", 200)])
def test_what_was_not_recorded(recording, path: str, status: int) -> None:
    """An answer that a file names without recording one is no silent pass."""
    with pytest.raises(LookupError):
        recorded("shop", "api.yml", "GET", path, status)
