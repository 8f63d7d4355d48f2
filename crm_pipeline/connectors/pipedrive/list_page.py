"""One answer of a list: the records as text, their keys, and what comes behind.

v2 names the next page by a cursor, v1 by an offset; both may leave out what there is nothing to say
about. Source: https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

from datetime import datetime

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.pipedrive.catalog import Item, Listing
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import ProtocolError

_MICROSECONDS = 1_000_000
_NEVER = "0000"


class _Paging(msgspec.Struct):
    more_items_in_collection: bool | None = None


class _Additional(msgspec.Struct):
    next_cursor: str | None = None
    pagination: _Paging | None = None
    more_items_in_collection: bool | None = None


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None
    additional_data: msgspec.Raw = msgspec.Raw(b"null")


class _Keys(msgspec.Struct):
    id: int | str
    update_time: str | None = None
    modified: str | None = None
    is_deleted: bool | int | None = False
    active_flag: bool | int | None = True


class _KeyRows(msgspec.Struct):
    data: list[_Keys] | None


def _is_ended(key: _Keys, item: Item) -> bool:
    return {
        "is_deleted": bool(key.is_deleted),
        "active_flag": not key.active_flag,
        "": False,
    }[item.ended_by]


class ListPage:
    """One answer of a list.

    Attributes:
        asked_at: when the vendor was asked, by its clock.
        ids: of the records, as they came.
        batch: the records in the shape `json`.
        cursor: of the next page; None at the end of a v2 list.
        more: what v1 says about more records; None where it says nothing.

    Raises:
        ProtocolError: the answer is not what Pipedrive documents.
    """

    def __init__(
        self, body: bytes, item: Item, listing: Listing, *, asked_at: datetime, owner: str
    ) -> None:
        self.asked_at = asked_at
        try:
            envelope = msgspec.json.decode(body, type=_Envelope)
            keys = msgspec.json.decode(body, type=_KeyRows).data or []
            told = _additional(envelope.additional_data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _unreadable(owner, "is not what Pipedrive documents") from None
        self.cursor = told.next_cursor or None
        self.more = (
            told.pagination.more_items_in_collection
            if told.pagination
            else told.more_items_in_collection
        )
        if envelope.data is None and not (item.paging == "offset" and self.more is False):
            # An empty list of v1 may come as null, with its paging; anything else is no answer.
            raise _unreadable(owner, "holds no list (its data are null)")
        if not keys and (self.cursor or self.more):
            raise _unreadable(owner, "holds no records, although more are to come")
        self.ids = [str(key.id) for key in keys]
        self.batch = batch_of(
            ids=self.ids,
            stamps=[_instant(getattr(key, item.stamp) if item.stamp else None) for key in keys],
            texts=[memoryview(record) for record in envelope.data or ()],
            deleted=[listing.deleted or _is_ended(key, item) for key in keys],
            owner=owner,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def within(self, window: Window | None) -> pa.RecordBatch:
        """Return the records of a window; those without a stamp belong to one that is open-ended."""
        if window is None or not len(self):
            return self.batch
        stamps = self.batch.column("_modified_at")
        inside = pc.less(stamps, pa.scalar(window.to_at, stamps.type))
        if window.from_at is None:
            return self.batch.filter(pc.fill_null(inside, fill_value=True))
        is_after = pc.greater_equal(stamps, pa.scalar(window.from_at, stamps.type))
        return self.batch.filter(pc.fill_null(pc.and_(inside, is_after), fill_value=False))

    @property
    def newest(self) -> datetime | None:
        """The latest stamp of the page."""
        found: datetime | None = pc.max(self.batch.column("_modified_at")).as_py()
        return found

    @property
    def oldest(self) -> datetime | None:
        """The earliest stamp of the page."""
        found: datetime | None = pc.min(self.batch.column("_modified_at")).as_py()
        return found


def seconds_of(batch: pa.RecordBatch) -> list[int]:
    """Return the stamps of records that all have one, as whole seconds since 1970."""
    stamps = batch.column("_modified_at").cast(pa.int64())
    found: list[int] = pc.divide(stamps, _MICROSECONDS).to_pylist()
    return found


def _additional(raw: msgspec.Raw) -> _Additional:
    # Anything but an object says nothing: null, and lists in old answers.
    if bytes(memoryview(raw)[:1]) != b"{":
        return _Additional()
    return msgspec.json.decode(raw, type=_Additional)


def _instant(text: str | None) -> str | None:
    """Return a stamp with its zone: v1 writes UTC without saying so."""
    if not text or text.startswith(_NEVER):
        return None
    if text.endswith("Z") or "+" in text:
        return text
    return f"{text.replace(' ', 'T')}Z"


def _unreadable(owner: str, what: str) -> ProtocolError:
    return ProtocolError(
        f"{owner}: an answer {what}.",
        cure="Nothing of it was kept. Run again; if it persists, report it to the vendor with the time of "
        "the run.",
    )
