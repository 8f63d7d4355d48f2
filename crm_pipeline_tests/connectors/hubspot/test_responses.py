"""Responses with records: texts as received, ids and modification times, and malformed responses."""

import pyarrow as pa
import pytest

from crm_pipeline.connectors.hubspot import responses
from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import MalformedResponse, ProtocolError
from crm_pipeline.store.landing import records

STAMP = "lastmodifieddate"
ONE = b'{"id":"5","properties":{"email":"a@b.example","lastmodifieddate":"2026-01-02T03:04:05.678Z"},"archived":false}'


def read(body: bytes) -> responses.RecordsResponse:
    return responses.read(body, STAMP, "hub.contacts")


def stamps(answer: responses.RecordsResponse) -> list[str]:
    told = [at.as_py().isoformat(timespec="milliseconds") for at in answer.records.instants]
    return [one.replace("+00:00", "Z").replace(".000Z", "Z") for one in told]


def test_texts_are_as_received() -> None:
    """No blank and no order of keys is lost."""
    odd = ONE.replace(b'":', b'" : ')
    found = read(
        b'{"results":[' + odd + b'],"paging":{"next":{"after":"7","link":"x"}},"total":12}'
    )
    assert bytes(found.records.texts[0]) == odd
    assert found.records.ids == ["5"]
    assert stamps(found) == ["2026-01-02T03:04:05.678Z"]
    assert (found.after, found.total, found.errors) == ("7", 12, ())


@pytest.mark.parametrize("value", ['"1767323045678"', "1767323045678"])
def test_stamps_may_be_milliseconds(value: str) -> None:
    """Some accounts show instants as a number."""
    body = (
        b'{"results":[{"id":"5","properties":{"lastmodifieddate":%s},"archived":false}]}'
        % value.encode()
    )
    assert stamps(read(body)) == ["2026-01-02T03:04:05.678Z"]


def test_an_archived_record_is_stamped_by_its_end() -> None:
    """When it was edited last is older news."""
    body = (
        b'{"results":[{"id":"5","properties":{"lastmodifieddate":"2026-01-02T00:00:00Z"},'
        b'"archived":true,"archivedAt":"2026-03-01T00:00:00Z"}]}'
    )
    assert stamps(read(body)) == ["2026-03-01T00:00:00Z"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html></html>",
        b'{"results":null}',
        b'{"status":"COMPLETE"}',
        b'{"results":[{"name":"5"}]}',
        b'{"results":[],"total":-1}',
        b'{"results":[],"paging":[]}',
        b'{"results":{}}',
        b'{"results":[{"id":"5"}',
        b'{"results":[null]}',
    ],
)
def test_anything_else_is_an_error(body: bytes) -> None:
    """Nothing that cannot be read is taken for an empty page."""
    with pytest.raises(MalformedResponse, match=r"hub\.contacts"):
        read(body)


@pytest.mark.parametrize(
    ("text", "source_id", "reason"),
    [
        (b'{"archived":false,"id":"6","properties":{"email":"\\ud83d"}}', "6", "no JSON"),
        (b'{"archived":false,"id":"6","properties":{"email":"\xe9"}}', "6", "not UTF-8"),
        (b'{"archived":false,"id":"6","properties":{"amount":NaN}}', "6", "no JSON"),
        (
            b'{"archived":false,"id":"6","properties":{"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}}",
            "6",
            "too deep",
        ),
        (
            b'{"archived":false,"id":"6","properties":{"lastmodifieddate":"99999-01-01T00:00:00Z"}}',
            "6",
            "no instant",
        ),
        (
            b'{"archived":false,"id":"6","properties":{"lastmodifieddate":"0000-01-01T00:00:00Z"}}',
            "6",
            "no instant",
        ),
        (
            b'{"archived":false,"id":"6","properties":{"lastmodifieddate":99999999999999999}}',
            "6",
            "no instant",
        ),
        (
            b'{"archived":false,"id":"6","properties":{"lastmodifieddate":"soon"}}',
            "6",
            "no instant",
        ),
        (
            b'{"archived":false,"id":"6","properties":{"lastmodifieddate":"\xc2\xb2"}}',
            "6",
            "no instant",
        ),
        (
            b'{"archived":false,"id":"6","properties":{"lastmodifieddate":[]}}',
            "6",
            "not of the documented type",
        ),
        (b'{"archived":false,"id":"6x"}', "6x", "not of the documented type"),
        (b'{"archived":false,"id":"' + b"6" * 40 + b'"}', "6" * 40, "not of the documented type"),
        (b'{"id":6}', "6", "not of the documented type"),
        (b'{"id":"6","archived":null}', "6", "not of the documented type"),
        (b'{"id":"6"}', "6", "not of the documented type"),
        (b"null", "", "not of the documented type"),
        (b'{"archived":false,"id":"6","properties":{"email":}}', "6", "no JSON"),
    ],
)
def test_one_bad_record_costs_no_other(text: bytes, source_id: str, reason: str) -> None:
    """It is set aside with its bytes, its id where it can be told, and what is wrong with it."""
    body = (
        b'{"results":[' + ONE + b"," + text + b"," + ONE.replace(b'"5"', b'"7"') + b'],"total":3}'
    )
    found = read(body)
    assert found.records.ids == ["5", "7"]
    assert found.records.rejected[0].raw == text
    assert found.total == 3
    [rejected] = found.records.rejected
    assert rejected.source_id == source_id
    assert reason in rejected.reason
    assert len(found.records.instants) == len(found.records.ids)
    assert found.records.seen == len(found.records) + 1


def test_errors_of_a_batch() -> None:
    """They name the inputs that failed."""
    found = read(
        b'{"results":[],"errors":[{"category":"OBJECT_NOT_FOUND","subCategory":{},"context":{"ids":["9"]}}]}'
    )
    assert found.errors[0].ids == ["9"]


@pytest.mark.parametrize("ids", [[4], [5, 5], [7, 6]])
def test_disorder_is_refused(ids: list[int]) -> None:
    """A page that begins too low, or does not rise, is another than the one asked for."""
    with pytest.raises(ProtocolError):
        responses.refuse_disorder(ids, 5, "hub.contacts")
    responses.refuse_disorder([5, 6, 9], 5, "hub.contacts")


def test_records_are_put_in_order() -> None:
    """By number, not by text; what belongs to one stays with it."""
    texts: list[bytes | memoryview] = [b"nine", b"ten", b"two"]
    at = [parse_instant(f"2026-01-0{day}T00:00:00Z") for day in (1, 2, 3)]
    mixed = responses.Records(["9", "10", "2"], pa.array(at, records.TIMESTAMP), [False] * 3, texts)
    assert mixed.ordered().ids == ["2", "9", "10"]
    assert mixed.ordered().texts == [b"two", b"nine", b"ten"]
    assert [one.as_py().day for one in mixed.ordered().instants] == [3, 1, 2]
