"""Answers with records: what cannot be read is set aside by itself, byte by byte."""

import json
import time
from contextlib import suppress
from datetime import datetime

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.record_list import taken_apart
from crm_pipeline.connectors.record_page import (
    NO_INSTANT,
    NO_JSON,
    NO_KEY,
    NO_UTF8,
    TOO_DEEP,
    RecordReader,
)
from crm_pipeline.kernel.errors import MalformedResponse


class Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None
    more: bool = False


class Key(msgspec.Struct):
    id: str | int
    at: str | None = None


READER = RecordReader(
    Envelope, Key, list_name="data", id_of=lambda key: str(key.id), modified_of=lambda key: key.at
)
GOOD = b'{"id": "a", "at": "2026-01-01T00:00:00Z", "x": "\xc3\xa9"}'


def page_with(*records: bytes) -> bytes:
    return b'{"more": true, "data": [' + b", ".join(records) + b"]}"


def test_a_page_that_can_be_read_is_read_whole() -> None:
    """Records are the bytes that came; nothing is set aside."""
    page = READER.read(page_with(GOOD, b'{"id": 5}'), owner="acme")
    assert [bytes(text) for text in page.texts] == [GOOD, b'{"id": 5}']
    assert (page.seen, page.envelope.more, page.rejected) == (2, True, [])
    batch = batch_of(
        ids=[str(key.id) for key in page.keys],
        modified_at=page.instants,
        texts=page.texts,
        owner="acme",
    )
    assert batch.column("record").to_pylist()[0] == GOOD.decode()


@pytest.mark.parametrize(
    ("bad", "reason", "source_id"),
    [
        (b'{"id": "b", "x": "\\ud83d"}', NO_JSON, "b"),
        (b'{"id": "b", "x": "\xff"}', NO_UTF8, "b"),
        (b'{"id": "b", "x": NaN}', NO_JSON, "b"),
        (b'{"id": 7, "x": nul}', NO_JSON, "7"),
        (b'{"id": "b", "x": [1, 2}', NO_JSON, "b"),
        (b"", NO_JSON, ""),
        (b'{"id": "b", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}", TOO_DEEP, "b"),
        (b'{"x": 1}', NO_KEY, ""),
        (b'{"id": null}', NO_KEY, ""),
        (b"5", NO_KEY, ""),
        (b'"a, ] text"', NO_KEY, ""),
        (b'{"id": "b", "at": "0000-01-01T00:00:00Z"}', NO_INSTANT, "b"),
        (b'{"id": "b", "at": "99999-01-01T00:00:00Z"}', NO_INSTANT, "b"),
        (b'{"id": "b", "at": "2026-02-30T00:00:00Z"}', NO_INSTANT, "b"),
        (b'{"id": "b", "at": "yesterday"}', NO_INSTANT, "b"),
    ],
)
def test_one_bad_record_is_set_aside(bad: bytes, reason: str, source_id: str) -> None:
    """With its reason, its id where that is plain to see, and its bytes; the others go on."""
    page = READER.read(page_with(GOOD, bad, b'{"id": "c"}'), owner="acme")
    assert [key.id for key in page.keys] == ["a", "c"]
    assert [bytes(text) for text in page.texts] == [GOOD, b'{"id": "c"}']
    [reject] = page.rejected
    assert (reject.reason, reject.raw, reject.source_id) == (reason, bad, source_id)
    assert len(page.instants) == 2
    assert page.envelope.more


@pytest.mark.parametrize(
    ("bad", "source_id"),
    [
        (b'{"owner": {"id": "o"}, "id": "b", "x": "\\ud83d"}', "b"),
        (b'{"owner": {"id": "o"}, "x": "\\ud83d"}', ""),
        (b'{"links": [{"id": "o"}, {"x": [1]}], "name": "id", "id": 7, "x": nul}', "7"),
        (b'{"owner": {"x": ], "id": "o"}, "x": NaN}', ""),
        (b'{"id": {"id": "o"}, "x": NaN}', ""),
    ],
)
def test_a_record_is_filed_under_its_own_id(bad: bytes, source_id: str) -> None:
    """The records that it points to have ids, too: theirs would say that others were set aside."""
    [reject] = READER.read(page_with(GOOD, bad), owner="acme").rejected
    assert (reject.raw, reject.source_id) == (bad, source_id)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[' + b"{" * 32_000 + b"]" * 32_000 + b"]}",
        b'{"data":[' + b"[" * 32_000 + b"}" * 32_000 + b"]}",
        b'{"x":"' + b'\\"' * 32_000,
        b'{"data":[' + b'{"id":1,"x":[0,' * 2_000 + b"nul" + b"]}" * 2_000 + b"]}",
        b'{"data":[' + b'{"id":1,"x":"a"b",' * 2_000 + b"]}",
        b'{"data":[{' + b",{" * 16_000 + b"]" * 16_000 + b"}]}",
        b'{"data":[{' + b",[],[" * 8_000 + b"]}",
    ],
)
def test_taking_apart_takes_time_by_length(body: bytes) -> None:
    """Signs that never close, and a text that never ends, are looked at once each."""
    begun_s = time.process_time()
    taken_apart(body, "data")
    with suppress(MalformedResponse):
        READER.read(body, owner="acme")
    assert time.process_time() - begun_s < 2


@pytest.mark.parametrize(
    ("bad", "source_id", "is_torn"),
    [
        (b'{"owner": {"id": "z"}, "x": NaN, "id": "b"}', "b", False),
        (b'{"owner": {"id": "z"}, "x": NaN}', "", False),
        (b'{"name": "id", "list": [{"id": 5}], "x": nul, "id": 7}', "7", False),
        (b'{"id": "b", "id": "d", "x": NaN}', "", False),
        (b'{"id": "b", "x": [1, 2}', "b", True),
    ],
)
def test_the_id_of_a_record_is_its_own(bad: bytes, source_id: str, is_torn: bool) -> None:
    """What stands within a record has ids, too; and one that is not closed may take others in."""
    [reject] = READER.read(page_with(GOOD, bad), owner="acme").rejected
    assert (reject.source_id, reject.is_torn) == (source_id, is_torn)
    assert reject.is_named is (source_id != "" and not is_torn)


def test_a_page_of_one_bad_record_is_a_page() -> None:
    """A refresh often reads one record; that it is bad makes the answer no other kind of answer."""
    page = READER.read(page_with(b'{"id": "b", "x": "\\ud83d"}'), owner="acme")
    assert (page.keys, page.seen) == ([], 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data": 5}',
        b'{"data": {"id": "a"}}',
        page_with(GOOD)[:-2],
        b'{"data": [1, 2, 3]}',
        b'{"data": [{"error": "no"}]}',
        b'{"data": [{"id": "a"}], "more": "yes"}',
        b'{"more": true, "data": [{"id": NaN}], "more": 5}',
    ],
)
def test_an_answer_of_another_form_is_no_answer(body: bytes) -> None:
    """What stands around the records is wrong, or nothing in it looks like a record."""
    with pytest.raises(MalformedResponse):
        READER.read(body, owner="acme")


def test_an_empty_list_is_an_answer() -> None:
    """As is null, where the declared type allows it."""
    assert READER.read(b'{"data": []}', owner="acme").seen == 0
    assert READER.read(b'{"data": null}', owner="acme").seen == 0


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, max_size=5), st.dictionaries(st.text(), VALUES, max_size=3), st.booleans())
def test_a_page_taken_apart_has_the_elements_of_the_list(
    elements: list[object], around: dict[str, object], ascii_only: bool
) -> None:
    """Whatever stands in the elements and around them, other lists of that name included."""
    around.pop("data", None)
    whole = {"before": {"data": [1]}, **around, "data": elements, "after": [{"data": []}]}
    body = json.dumps(whole, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    emptied, found = taken_apart(body, "data")
    assert [json.loads(one) for one in found] == elements
    assert emptied is not None
    assert json.loads(emptied) == {**whole, "data": []}


RECORDS = [b'{"id": "%d", "name": "Person %d", "tags": ["a", "}, {"]}' % (n, n) for n in range(6)]


@pytest.mark.parametrize("touched", [(1,), (0,), (5,), (1, 4), (1, 3, 5)])
@pytest.mark.parametrize(
    ("sign", "wrong"),
    [
        (b"Person", b'Per"son'),
        (b'"name"', b'name"'),
        (b'"]}', b'"]'),
        (b'"]}', b'"}'),
        (b'"]}', b'"]}}'),
        (b'"]}', b'"]}]'),
        (b'"]}', b'\\"]}'),
        (b'"]}', b""),
    ],
)
def test_a_broken_record_takes_no_other_with_it(
    touched: tuple[int, ...], sign: bytes, wrong: bytes
) -> None:
    """A quotation mark or a bracket too many, or too few, belongs to its own record."""
    sent = [one.replace(sign, wrong) if n in touched else one for n, one in enumerate(RECORDS)]
    page = READER.read(page_with(*sent), owner="acme")
    assert page.texts == [one for n, one in enumerate(RECORDS) if n not in touched]
    assert [one.raw for one in page.rejected] == [sent[n] for n in touched]
    assert page.envelope.more


def test_a_page_whose_ends_are_broken_is_told_apart() -> None:
    """Records begin as the broken ones begin; no other stands beyond doubt."""
    bad = [one.replace(b"Person", b'Per"son') for one in RECORDS]
    page = READER.read(page_with(bad[0], *RECORDS[1:5], bad[5]), owner="acme")
    assert page.texts == RECORDS[1:5]


def test_what_stands_in_a_broken_record_is_no_record() -> None:
    """Although it has an id, and stands behind a comma."""
    bad = b'{"id": "b", "name": "Per"son", "tags": [{"id": "x"}, {"id": "y"}, {"id": "z"}]}'
    page = READER.read(page_with(*RECORDS[:3], bad, *RECORDS[3:]), owner="acme")
    assert page.texts == RECORDS
    assert [one.raw for one in page.rejected] == [bad]


@pytest.mark.parametrize(
    "records",
    [
        (b'{"id": "a", "x": 1', b'{"id": "c"}'),
        (b'{"id": "a"}, "x": {"y": 1}}', b'{"id": "c"}'),
        (b'{"x": 1, {"id": "c"}', b'{"id": "d", "x": 1}'),
        (b'{"id": "a", "x": [1', b'{"id": "b"}], "more": [{"id": "c"}'),
    ],
)
def test_a_list_that_cannot_be_told_apart_is_no_answer(records: tuple[bytes, ...]) -> None:
    """What may be a record, or a part of the broken one, is neither landed nor passed over."""
    with pytest.raises(MalformedResponse):
        READER.read(page_with(*records), owner="acme")


def test_what_was_set_aside_does_not_come_back_as_a_part_of_itself() -> None:
    """A record stands in it, and is landed from elsewhere or not at all."""
    raw = pa.RecordBatch.from_pydict(
        {"record": [(RECORDS[0].replace(b"Person", b'Per"son') + b", " + RECORDS[1]).decode()]}
    )
    keys = keys_of(
        raw,
        lambda body: READER.read(body, owner="acme"),
        list_name="data",
        id_of=lambda key: str(key.id),
        deleted_of=lambda _, __: False,
    )
    assert keys.column("_source_id").to_pylist() == [None]


INNER = st.dictionaries(st.sampled_from(["id", "x"]), st.integers(0, 9) | st.text("ab,}{ "))
FIELDS = (
    st.integers() | st.text('a"\\}{][, :') | st.lists(INNER | st.integers(), max_size=3) | INNER
)


@st.composite
def broken_pages(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Draw the records of a page, and the same with one sign too many or too few in some."""
    names = draw(st.permutations(["id", "n", "m"]))
    records, sent = list[bytes](), list[bytes]()
    for number in range(draw(st.integers(1, 7))):
        fields = {name: number + 100 if name == "id" else draw(FIELDS) for name in names}
        if draw(st.integers(0, 9)) == 0:
            fields.pop("m")
        record = json.dumps(fields).encode()
        records.append(record)
        if draw(st.integers(0, 2)) == 0:
            sign = draw(st.sampled_from([b'"', b"}", b"{", b"]", b","]))
            places = [n for n in range(len(record)) if record[n : n + 1] == sign]
            if places and draw(st.booleans()):
                place = draw(st.sampled_from(places))
                record = record[:place] + record[place + 1 :]
            else:
                place = draw(st.integers(0, len(record)))
                record = record[:place] + sign + record[place:]
        sent.append(record)
    return records, sent


@settings(max_examples=200, deadline=None)
@given(broken_pages())
def test_records_land_whole_or_are_set_aside_or_the_page_is_refused(
    drawn: tuple[list[bytes], list[bytes]],
) -> None:
    """Whatever is broken in others: none is lost, and nothing lands that is no record."""
    records, sent = drawn
    try:
        page = READER.read(page_with(*sent), owner="acme")
    except MalformedResponse:
        return
    texts = list(map(bytes, page.texts))
    assert set(texts) <= {*records, *sent}
    for record, one in zip(records, sent, strict=True):
        if record == one:
            assert [record in texts, *(record in bad.raw for bad in page.rejected)].count(True) == 1


def test_datetimes_are_instants_too() -> None:
    """Some vendors' stamps are numbers, which their readers turn into datetimes."""
    reader = RecordReader(
        Envelope,
        Key,
        list_name="data",
        id_of=lambda key: str(key.id),
        modified_of=lambda key: datetime.fromisoformat(key.at) if key.at else None,
    )
    assert reader.read(page_with(GOOD, b'{"id": 2}'), owner="acme").instants.null_count == 1
