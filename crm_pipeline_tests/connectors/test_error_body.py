"""What errors say may be of any type; reading it makes no error of its own."""

from typing import Any

import pytest
import requests

from crm_pipeline.connectors.error_body import (
    error_body,
    objects,
    part,
    sentence,
    word,
    words,
)

ODD: list[Any] = [None, True, 5, 1.5, "x", [], {}, [5, None, {}], {"a": []}, [["a"]]]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"5", b'{"a":', b"\xff", b'{"a":"\\ud83d"}', b"[" * 100_000]
)
def test_nonsense_says_nothing(body: bytes) -> None:
    """An error without a JSON object is one without words."""
    response = requests.Response()
    response._content = body
    assert error_body(response) == {}


@pytest.mark.parametrize("body", [b'{"a":1}', b'[{"a":1}]', b'[5,{"a":1},{"b":2}]'])
def test_an_error_may_stand_in_a_list(body: bytes) -> None:
    """Salesforce lists its errors; the first one counts."""
    response = requests.Response()
    response._content = body
    assert error_body(response) == {"a": 1}


@pytest.mark.parametrize("found", ODD)
def test_any_type_is_taken(found: Any) -> None:
    """A list where a text was expected, a text where a list was: what fits is read, the rest is nothing."""
    assert isinstance(word(found), str)
    assert isinstance(sentence(found), str)
    assert all(isinstance(one, str) for one in words(found))
    assert all(isinstance(one, dict) for one in objects(found))
    assert isinstance(part(found), dict)


def test_texts_are_short_and_on_one_line() -> None:
    """A megabyte of escape sequences is not what a terminal or a log gets."""
    assert sentence("a\x1b[2J\r\nb" * 99_999).isprintable()
    assert len(sentence("x" * 99_999)) == 300
    assert (word("NO_SCOPE"), word(429)) == ("NO_SCOPE", "429")
