"""The records of a JSON response: their bytes as received, their keys, and the records that cannot be read.

A response is decoded at once. Only where that fails is it split record by record: a record that cannot be read is
rejected with its reason, and the others are landed. A response whose list cannot be split is malformed.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.record_list import own_id, records_apart
from crm_pipeline.store.landing import records
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.decoding import UNREADABLE, decoded, malformed

EnvelopeT = TypeVar("EnvelopeT")
KeyT = TypeVar("KeyT")
Instants = Sequence[str | datetime | None]

NO_JSON = "the record is no JSON"
NO_UTF8 = "the record is not UTF-8"
TOO_DEEP = "the record is nested too deep"
NO_KEY = "its id, time stamp or mark of deletion is not of the documented type"
NO_INSTANT = "a time stamp of the record is no instant between the years 1 and 9999"
# The years 1 to 9999 in microseconds since 1970: the range of Python's dates, which our month counts use.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
# Texts between these are within those years in any time zone, as offsets are less than a day.
_FIRST_TEXT, _LAST_TEXT = "0001-01-03", "9999-12-30"


@dataclass
class RecordPage(Generic[EnvelopeT, KeyT]):
    """The content of a response; `keys` and `texts` are parallel.

    Attributes:
        envelope: everything but the records.
        keys: of the records that can be read.
        texts: those records as received, each of them valid UTF-8.
        rejected: the records that cannot be read.
        instants: the modification times of `keys`, for `json_records.batch_of`.
    """

    envelope: EnvelopeT
    keys: list[KeyT]
    texts: list[bytes | memoryview]
    rejected: list[Reject] = field(default_factory=list)
    instants: pa.Array = field(default_factory=lambda: pa.nulls(0, records.TIMESTAMP))

    @property
    def seen(self) -> int:
        """The number of records that the vendor sent, readable or not."""
        return len(self.texts) + len(self.rejected)

    def set_aside(self, is_bad: Sequence[bool], reason: str, ids: Sequence[str]) -> None:
        """Move records to the rejected ones.

        Args:
            is_bad: for each record, whether it is rejected.
            reason: of the rejection.
            ids: of all records.
        """
        kept = [not bad for bad in is_bad]
        for bad, text, source_id in zip(is_bad, self.texts, ids, strict=True):
            if bad:
                self.rejected.append(Reject(reason, bytes(text), source_id))
        self.keys = [key for key, keep in zip(self.keys, kept, strict=True) if keep]
        self.texts = [text for text, keep in zip(self.texts, kept, strict=True) if keep]


class RecordReader(Generic[EnvelopeT, KeyT]):
    """Reads responses of one form.

    Args:
        envelope: a struct whose attribute `list_name` is `list[msgspec.Raw]` (or that or None).
        key: a struct with the parts of a record that give its id, its modification time and its deleted flag.
        list_name: the key of the list in the response.
        id_name: the key of the id in a record, for records that cannot be read otherwise.
        id_of: returns the id of a readable record as text.
        modified_of: returns its modification time as ISO 8601 with `Z` or an offset, as a datetime, or None.
    """

    def __init__(
        self,
        envelope: type[EnvelopeT],
        key: type[KeyT],
        *,
        list_name: str,
        id_name: str = "id",
        id_of: Callable[[KeyT], str],
        modified_of: Callable[[KeyT], str | datetime | None] = lambda _: None,
    ) -> None:
        self._envelope = envelope
        self._key = key
        self._list_name = list_name
        self._id_of = id_of
        self._modified_of = modified_of
        self._id_name = f'"{id_name}"'.encode()

    def read(
        self, body: bytes, *, owner: str, what: str = "an answer with records"
    ) -> RecordPage[EnvelopeT, KeyT]:
        """Return the records of a response.

        Args:
            body: of the response.
            owner: the connection, named in error texts.
            what: the response in a few words, for error texts.

        Raises:
            MalformedResponse: the response is not of the documented form, apart from single records.
        """
        page = self._read_at_once(body) or self._read_singly(body, owner=owner, what=what)
        modified_at = [self._modified_of(key) for key in page.keys]
        page.instants, is_readable = readable_instants(modified_at)
        if not all(is_readable):
            ids = [self._id_of(key) for key in page.keys]
            page.set_aside([not readable for readable in is_readable], NO_INSTANT, ids)
        return page

    def _read_at_once(self, body: bytes) -> RecordPage[EnvelopeT, KeyT] | None:
        """Return all records, decoded at once; None where some cannot be read."""
        try:
            envelope = msgspec.json.decode(body, type=self._envelope)
            keys = getattr(msgspec.json.decode(body, type=self._rows), self._list_name)
        except UNREADABLE:
            return None
        if not is_utf8(body):
            return None  # msgspec does not check strings that it skips
        texts = getattr(envelope, self._list_name)
        return RecordPage(envelope, list(keys or ()), [memoryview(text) for text in texts or ()])

    @property
    def _rows(self) -> Any:
        return _rows(self._list_name, cast("Hashable", self._key))

    def _read_singly(self, body: bytes, *, owner: str, what: str) -> RecordPage[EnvelopeT, KeyT]:
        """Return the records, decoded one by one.

        Raises:
            MalformedResponse: the text around the records cannot be read either.
        """
        emptied, elements = records_apart(body, self._list_name, self._is_record)
        if emptied is None:
            defect: Exception = msgspec.DecodeError("it has no list that could be read")
            try:
                msgspec.json.decode(body, type=self._envelope)
                msgspec.json.decode(body, type=self._rows)
            except UNREADABLE as error:
                defect = error
            raise malformed(body, defect, owner=owner, what=what)
        page = RecordPage[EnvelopeT, KeyT](
            decoded(emptied, self._envelope, owner=owner, what=what), [], []
        )
        for text in elements:
            key, reason = self._decoded(text)
            if key is None:
                source_id, is_torn = own_id(text, self._id_name)
                page.rejected.append(Reject(reason, text, source_id, is_torn))
            else:
                page.keys.append(key)
                page.texts.append(text)
        if page.rejected and not page.texts and not any(row.source_id for row in page.rejected):
            # No element looks like a record: the response is of another form.
            raise malformed(body, msgspec.DecodeError(NO_KEY), owner=owner, what=what)
        return page

    def _decoded(self, text: bytes) -> tuple[KeyT | None, str]:
        try:
            text.decode()
            msgspec.json.decode(text, type=msgspec.Raw)
            return msgspec.json.decode(text, type=self._key), ""
        except UnicodeDecodeError:
            return None, NO_UTF8
        except RecursionError:
            return None, TOO_DEEP
        except msgspec.ValidationError:
            return None, NO_KEY
        except msgspec.DecodeError:
            return None, NO_JSON

    def _is_record(self, text: bytes) -> bool:
        return self._decoded(text)[0] is not None


def is_utf8(body: bytes) -> bool:
    """Return whether bytes are UTF-8; three times as fast as decoding them."""
    if body.isascii():
        return True
    ends = pa.array([0, len(body)], pa.int64()).buffers()[1]
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(body)]).validate(
            full=True
        )
    except pa.ArrowInvalid:
        return False
    return True


def readable_instants(values: Instants) -> tuple[pa.Array, list[bool]]:
    """Return the values that can be landed as instants, and for each value whether it can.

    None and "" stand for no instant and can be landed.
    """
    instants = _instants(values)
    if instants is not None:
        return instants, [True] * len(values)
    is_readable = [_instants([value]) is not None for value in values]
    kept = [value for value, is_good in zip(values, is_readable, strict=True) if is_good]
    return as_instants(kept), is_readable


def as_instants(values: Instants) -> pa.Array:
    """Return values as an array of instants.

    Raises:
        pa.ArrowInvalid: a value is no instant.
    """
    if isinstance(next(filter(None, values), None), datetime):
        return pa.array(values, records.TIMESTAMP)
    # Like `records.instants`, with fewer steps, because there are many small responses.
    return pa.array([value or None for value in values], pa.string()).cast(records.TIMESTAMP)


def instants_or_none(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return texts as instants, null where one is invalid; and for each whether it is an instant, "" or null."""
    instants = _in_range_or_none(lambda: records.instants(texts))
    if instants is not None:
        return instants, pa.repeat(pa.scalar(value=True), len(texts))
    values = texts.to_pylist()
    _, is_readable = readable_instants(values)
    kept = [value if good else None for value, good in zip(values, is_readable, strict=True)]
    return records.instants(pa.array(kept, pa.string())), pa.array(is_readable, pa.bool_())


def _in_range(instants: pa.Array) -> bool:
    bounds = pc.min_max(instants)
    # As numbers, because Python's dates cannot hold values outside of the range.
    low, high = bounds["min"].value, bounds["max"].value
    return low is None or (low >= _FIRST_US and high <= _LAST_US)


def _instants(values: Instants) -> pa.Array | None:
    """Return values as instants; None where one of them cannot be landed."""
    return _in_range_or_none(lambda: as_instants(values), is_sure=_are_surely_in_range(values))


def _are_surely_in_range(values: Instants) -> bool:
    """Return whether texts that are instants are in range; ten times as fast as checking the instants."""
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) + values.count(None) < len(values):
        return False
    low, high = min(texts, default=_FIRST_TEXT), max(texts, default=_FIRST_TEXT)
    return low >= _FIRST_TEXT and high < _LAST_TEXT


def _in_range_or_none(read: Callable[[], pa.Array], *, is_sure: bool = False) -> pa.Array | None:
    try:
        instants = read()
    except (pa.ArrowInvalid, OverflowError, ValueError):
        return None
    return instants if is_sure or _in_range(instants) else None


@lru_cache(maxsize=64)
def _rows(list_name: str, key: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("Rows", [(list_name, list[key] | None)])
