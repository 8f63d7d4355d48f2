"""Answers with records: texts as received, ids and stamps, and what is not such an answer."""

import pytest

from crm_pipeline.connectors.hubspot import envelopes
from crm_pipeline.kernel.errors import ProtocolError

STAMP = "lastmodifieddate"
ONE = b'{"id":"5","properties":{"email":"a@b.example","lastmodifieddate":"2026-01-02T03:04:05.678Z"},"archived":false}'


def read(body: bytes) -> envelopes.Answer:
    return envelopes.read(body, STAMP, "hub.contacts")


def test_texts_are_as_received() -> None:
    """No blank and no order of keys is lost."""
    odd = ONE.replace(b'":', b'" : ')
    found = read(
        b'{"results":[' + odd + b'],"paging":{"next":{"after":"7","link":"x"}},"total":12}'
    )
    assert bytes(found.records.texts[0]) == odd
    assert found.records.ids == ["5"]
    assert found.records.stamps == ["2026-01-02T03:04:05.678Z"]
    assert (found.after, found.total, found.failures) == ("7", 12, 0)


@pytest.mark.parametrize("value", ['"1767323045678"', "1767323045678"])
def test_stamps_may_be_milliseconds(value: str) -> None:
    """Some accounts show instants as a number."""
    body = b'{"results":[{"id":"5","properties":{"lastmodifieddate":%s}}]}' % value.encode()
    assert read(body).records.stamps == ["2026-01-02T03:04:05.678+00:00"]


def test_an_archived_record_is_stamped_by_its_end() -> None:
    """When it was edited last is older news."""
    body = (
        b'{"results":[{"id":"5","properties":{"lastmodifieddate":"2026-01-02T00:00:00Z"},'
        b'"archived":true,"archivedAt":"2026-03-01T00:00:00Z"}]}'
    )
    assert read(body).records.stamps == ["2026-03-01T00:00:00Z"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html></html>",
        b'{"results":null}',
        b'{"status":"COMPLETE"}',
        b'{"results":[{"id":5}]}',
        b'{"results":[{"id":"5x"}]}',
        b'{"results":[{"id":"5"}',
        b'{"results":[null]}',
    ],
)
def test_anything_else_is_an_error(body: bytes) -> None:
    """Nothing that cannot be read is taken for an empty page."""
    with pytest.raises(ProtocolError, match=r"hub\.contacts"):
        read(body)


def test_failures_count_in_either_form() -> None:
    """A number, or a list of complaints, says that a batch is not whole."""
    assert read(b'{"results":[],"numErrors":2}').failures == 2
    found = read(
        b'{"results":[],"errors":[{"category":"OBJECT_NOT_FOUND","subCategory":{},"context":{"ids":["9"]}}]}'
    )
    assert found.failures == 1
    assert found.complaints[0].ids == ["9"]


@pytest.mark.parametrize("ids", [[4], [5, 5], [7, 6]])
def test_disorder_is_refused(ids: list[int]) -> None:
    """A page that begins too low, or does not rise, is another than the one asked for."""
    with pytest.raises(ProtocolError):
        envelopes.refuse_disorder(ids, 5, "hub.contacts")
    envelopes.refuse_disorder([5, 6, 9], 5, "hub.contacts")


def test_records_are_put_in_order() -> None:
    """By number, not by text; what belongs to one stays with it."""
    texts: list[bytes | memoryview] = [b"nine", b"ten", b"two"]
    mixed = envelopes.Records(["9", "10", "2"], ["a", "b", "c"], [False] * 3, texts)
    assert mixed.ordered().ids == ["2", "9", "10"]
    assert mixed.ordered().texts == [b"two", b"nine", b"ten"]
