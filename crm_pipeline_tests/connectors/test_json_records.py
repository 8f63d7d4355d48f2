"""Records on their way from a JSON answer to landing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.kernel.errors import ProtocolError

TEXT = '{"id":"1","name":"Zoë 😀"}'


@pytest.mark.parametrize("text", [TEXT, TEXT.encode(), memoryview(TEXT.encode())])
def test_texts_arrive_in_any_form(text: Any) -> None:
    """Text, bytes, or a part of an answer: what lands is the same."""
    batch = batch_of(
        ids=["1", "2"], modified_at=["2026-01-02T03:04:05Z", None], texts=[text, TEXT], owner="a"
    )
    assert batch["record"].to_pylist() == [TEXT, TEXT]
    assert batch["_modified_at"].to_pylist() == [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None]
    assert batch["_deleted"].to_pylist() == [False, False]


def test_stamps_may_be_instants() -> None:
    """The first record need not have one."""
    at = datetime(2026, 1, 2, tzinfo=UTC)
    batch = batch_of(ids=["1", "2"], modified_at=[None, at], texts=[TEXT, TEXT], owner="a")
    assert batch["_modified_at"].to_pylist() == [None, at]


@pytest.mark.parametrize(
    ("stamp", "text"), [("soon", TEXT), ("2026-01-02T03:04:05Z", b'"\xff\xfe"')]
)
def test_what_cannot_be_read_is_an_error(stamp: str, text: Any) -> None:
    """Neither a stamp that is none nor bytes that are no text; the value itself is not told."""
    with pytest.raises(ProtocolError, match="acme") as found:
        batch_of(ids=["1"], modified_at=[stamp], texts=[text], owner="acme.contacts")
    assert "soon" not in str(found.value)
