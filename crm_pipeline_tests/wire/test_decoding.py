"""Responses in declared types: right data, or one sentence that quotes nothing."""

import msgspec
import pytest

from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.wire.decoding import decoded
from crm_pipeline.wire.retry import RetryPolicy


class Item(msgspec.Struct):
    id: str
    kind: str = ""


class Answer(msgspec.Struct):
    items: list[Item]


GOOD = b'{"items": [{"id": "a", "more": [1]}], "new": true}'


def test_what_is_not_declared_is_ignored() -> None:
    """A vendor may add keys to its responses."""
    assert decoded(GOOD, Answer, owner="acme") == Answer([Item("a")])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "it is empty"),
        (b"  <!DOCTYPE html><html>secret@example.com", "it is a web page of"),
        (b"<html>", "it is a web page of 6 bytes"),
        (GOOD[:-9], "it ends in its middle"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"items": [{"id": 5}]}', r"Expected `str`, got `int` - at `\$.items\[0\].id`"),
        (b'{"items": [{}]}', "missing required field `id`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"items": [{"id": "\xff"}]}', "it is not UTF-8"),
        (b'{"items": [{"id": "\\ud83d"}]}', "it ends in its middle|malformed"),
        (b'{"items": ' + b"[" * 5000 + b"]" * 5000 + b"}", "Expected `object`"),
        (b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}", "it is nested too deep"),
    ],
)
def test_anything_else_is_one_sentence(body: bytes, said: str) -> None:
    """The error names the connection and the defect, and is retriable."""
    with pytest.raises(MalformedResponse, match=said) as caught:
        decoded(body, Answer, owner="acme", what="the list of items")
    assert str(caught.value).startswith("acme: the list of items is not what the vendor documents")
    assert "secret@" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "value",
    ["jane@example.com", "O'Brien, jane", 'the "jane" \' one', "back\\slash' jane", "jane'"],
)
def test_a_value_of_the_answer_is_never_quoted(value: str) -> None:
    """A response may hold personal data, with quotation marks of either kind in it."""

    class Coloured(msgspec.Struct, tag_field="colour", tag="red"):
        pass

    with pytest.raises(MalformedResponse) as caught:
        decoded(msgspec.json.encode({"colour": value}), Coloured, owner="acme")
    assert "jane" not in str(caught.value)
    assert str(caught.value).count("***") == 1


def test_a_malformed_answer_is_asked_for_three_times() -> None:
    """It is retried, but not more than twice."""
    bodies = [b"<html>", b"<html>", GOOD]
    policy = RetryPolicy(uniform=lambda *_: 0.0)
    assert policy.call(lambda: decoded(bodies.pop(0), Answer, owner="acme")).items
    tries: list[int] = []

    def always_wrong() -> Answer:
        tries.append(1)
        return decoded(b"<html>", Answer, owner="acme")

    with pytest.raises(MalformedResponse):
        policy.call(always_wrong)
    assert len(tries) == 3
