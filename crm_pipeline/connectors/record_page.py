"""The records of a JSON answer: their bytes as received, their keys, and those that cannot be read.

A whole answer is read at once. Only where that fails is it taken apart, record by record: what cannot be
read is set aside with its reason, and the others go on. An answer whose list cannot be told apart is no answer.
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
# The years 1 to 9999 in microseconds since 1970: what Python, and so our month counts, can name.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
# Texts between these are within those years whatever their offset, which is less than a day.
_FIRST_TEXT, _LAST_TEXT = "0001-01-03", "9999-12-30"


@dataclass
class RecordPage(Generic[EnvelopeT, KeyT]):
    """What an answer holds; `keys` and `texts` are parallel.

    Attributes:
        envelope: everything but the records.
        keys: of the records that can be read.
        texts: those records as received, each of them valid UTF-8.
        rejected: the records that cannot be read.
        instants: the time stamps of `keys`, for `json_records.batch_of`.
    """

    envelope: EnvelopeT
    keys: list[KeyT]
    texts: list[bytes | memoryview]
    rejected: list[Reject] = field(default_factory=list)
    instants: pa.Array = field(default_factory=lambda: pa.nulls(0, records.TIMESTAMP))

    @property
    def seen(self) -> int:
        """How many records the vendor sent, readable or not."""
        return len(self.texts) + len(self.rejected)

    def set_aside(self, is_bad: Sequence[bool], reason: str, ids: Sequence[str]) -> None:
        """Move records to the rejected ones.

        Args:
            is_bad: for each record, whether it goes.
            reason: what is wrong with those.
            ids: of all records.
        """
        kept = [not bad for bad in is_bad]
        for bad, text, source_id in zip(is_bad, self.texts, ids, strict=True):
            if bad:
                self.rejected.append(Reject(reason, bytes(text), source_id))
        self.keys = [key for key, keep in zip(self.keys, kept, strict=True) if keep]
        self.texts = [text for text, keep in zip(self.texts, kept, strict=True) if keep]


class RecordReader(Generic[EnvelopeT, KeyT]):
    """Reads answers of one form.

    Args:
        envelope: a struct whose attribute `list_name` is `list[msgspec.Raw]` (or that or None).
        key: a struct with what of a record is needed for its id, its stamp and whether it is deleted.
        list_name: the key of the list in the answer.
        id_name: the key of the id in a record, for records of which nothing else can be read.
        id_of: the id of a readable record as text.
        modified_of: its time stamp as ISO 8601 with `Z` or an offset, as a datetime, or None.
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
        """Return the records of an answer.

        Args:
            body: of the answer.
            owner: whose answer it is, for error texts.
            what: the answer in a few words.

        Raises:
            MalformedAnswer: it is not what the vendor documents, beyond single records.
        """
        page = self._whole(body) or self._apart(body, owner=owner, what=what)
        stamps = [self._modified_of(key) for key in page.keys]
        page.instants, is_readable = readable_instants(stamps)
        if not all(is_readable):
            ids = [self._id_of(key) for key in page.keys]
            page.set_aside([not one for one in is_readable], NO_INSTANT, ids)
        return page

    def _whole(self, body: bytes) -> RecordPage[EnvelopeT, KeyT] | None:
        """Read all records at once; None where some of them do not let us."""
        try:
            envelope = msgspec.json.decode(body, type=self._envelope)
            keys = getattr(msgspec.json.decode(body, type=self._rows), self._list_name)
        except UNREADABLE:
            return None
        if not is_utf8(body):
            return None  # msgspec does not look into texts that it skips
        texts = getattr(envelope, self._list_name)
        return RecordPage(envelope, list(keys or ()), [memoryview(one) for one in texts or ()])

    @property
    def _rows(self) -> Any:
        return _rows(self._list_name, cast("Hashable", self._key))

    def _apart(self, body: bytes, *, owner: str, what: str) -> RecordPage[EnvelopeT, KeyT]:
        """Read record by record.

        Raises:
            MalformedAnswer: what stands around the records cannot be read either.
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
            key, reason = self._one(text)
            if key is None:
                source_id, is_torn = own_id(text, self._id_name)
                page.rejected.append(Reject(reason, text, source_id, is_torn))
            else:
                page.keys.append(key)
                page.texts.append(text)
        if page.rejected and not page.texts and not any(one.source_id for one in page.rejected):
            # Not one of the elements looks like a record: the answer is of another form.
            raise malformed(body, msgspec.DecodeError(NO_KEY), owner=owner, what=what)
        return page

    def _one(self, text: bytes) -> tuple[KeyT | None, str]:
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
        return self._one(text)[0] is not None


def is_utf8(body: bytes) -> bool:
    """Say whether bytes are UTF-8; three times as fast as decoding them."""
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


def readable_instants(stamps: Instants) -> tuple[pa.Array, list[bool]]:
    """Return the stamps that can be landed as instants, and of each stamp whether it is one of them.

    None and "" are no stamp, which is fine.
    """
    instants = _instants(stamps)
    if instants is not None:
        return instants, [True] * len(stamps)
    is_readable = [_instants([stamp]) is not None for stamp in stamps]
    kept = [stamp for stamp, is_good in zip(stamps, is_readable, strict=True) if is_good]
    return as_instants(kept), is_readable


def as_instants(stamps: Instants) -> pa.Array:
    """Return stamps as an array of instants.

    Raises:
        pa.ArrowInvalid: one is none.
    """
    if isinstance(next(filter(None, stamps), None), datetime):
        return pa.array(stamps, records.TIMESTAMP)
    # As `records.stamps` does it, with fewer steps: there are many small answers.
    return pa.array([one or None for one in stamps], pa.string()).cast(records.TIMESTAMP)


def instants_or_none(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return texts as instants, null where one is none; and of each whether it is one, or "" or null."""
    instants = _in_range_or_none(lambda: records.instants(texts))
    if instants is not None:
        return instants, pa.repeat(pa.scalar(value=True), len(texts))
    stamps = texts.to_pylist()
    _, is_readable = readable_instants(stamps)
    kept = [stamp if good else None for stamp, good in zip(stamps, is_readable, strict=True)]
    return records.instants(pa.array(kept, pa.string())), pa.array(is_readable, pa.bool_())


def _in_range(instants: pa.Array) -> bool:
    found = pc.min_max(instants)
    # As numbers: what lies outside has no name in Python.
    low, high = found["min"].value, found["max"].value
    return low is None or (low >= _FIRST_US and high <= _LAST_US)


def _instants(stamps: Instants) -> pa.Array | None:
    """Return stamps as instants; None where one of them is none that can be landed."""
    return _in_range_or_none(lambda: as_instants(stamps), is_sure=_are_surely_in_range(stamps))


def _are_surely_in_range(stamps: Instants) -> bool:
    """Say whether texts that are instants lie in range; a tenth of the time of looking at the instants."""
    texts = [stamp for stamp in stamps if isinstance(stamp, str)]
    if len(texts) + stamps.count(None) < len(stamps):
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
