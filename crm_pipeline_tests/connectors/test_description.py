"""Metadata: a broken entry costs that entry at most, and a malformed response is an error."""

from typing import Required, TypedDict

import msgspec
import pytest

from crm_pipeline.connectors.description import Entries, decoded_leniently, entries, whole
from crm_pipeline.kernel.errors import MalformedResponse


class Entry(TypedDict, total=False):
    name: Required[str]
    label: str
    options: list[str]


class Envelope(msgspec.Struct):
    results: list[msgspec.Raw]
    after: str | None = None


GOOD = b'{"name":"a","label":"A","options":["x"],"new":{"not":"used"}}'


def read(*texts: bytes, must_have: tuple[str, ...] = ()) -> Entries[Envelope, Entry]:
    body = b'{"results":[' + b",".join(texts) + b'],"after":"7"}'
    what = "a description"
    return entries(
        body, Envelope, Entry, list_name="results", owner="hub", what=what, must_have=must_have
    )


def test_whole_entries_are_as_they_are() -> None:
    """What is declared is kept, what is not is dropped, and what stands around the list is there."""
    found = read(GOOD)
    assert found.rows == [{"name": "a", "label": "A", "options": ["x"]}]
    assert found.envelope.after == "7"
    assert read().rows == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b'{"name":"b","label":5}', {"name": "b"}),
        (b'{"name":"b","label":null,"options":{}}', {"name": "b"}),
        (b'{"name":"b","label":"x\\ud83d"}', {"name": "b", "label": "x\ufffd"}),
        (
            b'{"name":"b","label":"\\ud83d\\ude00\\\\ud83d"}',
            {"name": "b", "label": "\U0001f600\\ud83d"},
        ),
        (b'{"name":"b","label":"\xe9"}', {"name": "b", "label": "\ufffd"}),
        (b'{"name":"b\\ud83d"}', None),
        (b'{"name":null}', None),
        (b'{"label":"B"}', None),
        (b"[]", None),
        (b"null", None),
        (b"5", None),
        (b'{"name":"b","label":NaN}', None),
        (b'{"name":' + b"[" * 5_000 + b"]" * 5_000 + b"}", None),
    ],
)
def test_one_broken_entry_costs_no_other(text: bytes, kept: Entry | None) -> None:
    """An attribute of a wrong type is as good as absent; an entry without its name is left out."""
    found = read(GOOD, text)
    assert found.rows[1:] == ([kept] if kept else [])
    assert found.envelope.after == "7"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"results":{}}', b'{"results":null}', b'{"results":[5]}', b"{}"],
)
def test_what_is_no_description(body: bytes) -> None:
    """Nothing that cannot be read is taken for an object without fields."""
    with pytest.raises(MalformedResponse, match="hub: a description is not what"):
        entries(body, Envelope, Entry, list_name="results", owner="hub", what="a description")


def test_what_must_be_there() -> None:
    """Where the entry that says when records change cannot be read, the description is none."""
    assert len(read(GOOD, b'{"label":"stamp, or not"}', must_have=("stamp",)).rows) == 1
    for lost in (b'{"title":"stamp"}', b'{"name" : "stamp","label":NaN}'):
        with pytest.raises(MalformedResponse, match="its entry stamp cannot be read"):
            read(GOOD, lost, must_have=("id", "stamp"))


def test_what_stands_around_the_entries() -> None:
    """A text around the list that is cut inside of a character costs nothing but that character."""
    body = b'{"results":[' + GOOD + b'],"after":"cut \\ud83d"}'
    found = entries(body, Envelope, Entry, list_name="results", owner="hub", what="a description")
    assert (found.envelope.after, len(found.rows)) == ("cut \ufffd", 1)


def test_answers_without_records() -> None:
    """A label that nobody reads does not keep an answer from being read."""

    class Answer(msgspec.Struct):
        id: str

    for label in (b"cut \\ud83d", b"\xe9"):
        body = b'{"id":"7","label":"' + label + b'"}'
        assert decoded_leniently(body, Answer, owner="hub", what="an answer") == Answer("7")
    with pytest.raises(MalformedResponse, match="hub: an answer is not what"):
        decoded_leniently(b'{"id":7}', Answer, owner="hub", what="an answer")


@pytest.mark.parametrize(
    ("number", "read_as"), [(255, 255), (255.0, 255), (None, 0), (-1, 0), (1e300, 0), (0.0, 0)]
)
def test_whole_numbers(number: float | None, read_as: int) -> None:
    """A length is a whole number that a text can have, however it is written."""
    assert whole(number) == read_as
