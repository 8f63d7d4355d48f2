"""The keys of Pipedrive's records: id, time of change, deletion mark; and the paging of their responses.

Sources: https://developers.pipedrive.com/docs/api/v1 and
https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.pipedrive.catalog import DELETED, ITEMS, Item, Listing
from crm_pipeline.connectors.record_page import NO_KEY, RecordPage, RecordReader
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.wire.decoding import decoded

# v1's text for a missing date.
_NO_DATE = "0000-00-00"
_NO_TIME = "the record does not say when it changed"
_LONGEST_ID = 19
# Leads and their labels have UUIDs; all other ids are numbers.
WITH_UUID = frozenset({"leads", "leadLabels"})
"""Objects whose ids are UUIDs."""


class Key(msgspec.Struct):
    """The fields of a record that its keys are made of."""

    id: int | str
    update_time: str | None = None
    modified: str | None = None
    is_deleted: bool | int | None = False
    active_flag: bool | int | None = True


class _ChangesKey(Key, kw_only=True):
    """The same of the record with a deal's changes; such a record needs `stages`."""

    stages: msgspec.Raw


class _ParticipantsKey(Key, kw_only=True):
    """The same of the record with a deal's participants."""

    participants: msgspec.Raw


_COMPOSED: Mapping[str, type[Key]] = {
    "deal_changes": _ChangesKey,
    "deal_participants": _ParticipantsKey,
}


class _Paging(msgspec.Struct):
    more_items_in_collection: bool | None = None
    next_start: int | None = None


class Additional(msgspec.Struct):
    """The paging information of a response: v2 has a cursor, v1 an offset."""

    next_cursor: str | None = None
    pagination: _Paging | None = None
    more_items_in_collection: bool | None = None
    next_start: int | None = None

    @property
    def has_more(self) -> bool | None:
        """Whether v1 has more records; None where the response does not say."""
        return (self.pagination or self).more_items_in_collection

    @property
    def start(self) -> int | None:
        """The offset of v1's next page; None at the end."""
        return (self.pagination or self).next_start if self.has_more else None


class KeyFields(msgspec.Struct):
    """The envelope of a response with records."""

    data: list[msgspec.Raw] | None
    additional_data: msgspec.Raw = msgspec.Raw(b"null")


ResponsePage = RecordPage[KeyFields, Key]


class PipedriveKeys:
    """Implements `connectors.base.RecordKeys`."""

    version = 2

    def needed(self, obj: str) -> frozenset[str]:
        """Return the names of the fields that reading records needs."""
        return frozenset(_COMPOSED.get(obj, Key).__struct_fields__)

    def copies(self, obj: str, field: str) -> tuple[tuple[str, ...], ...]:  # noqa: ARG002 - there are none
        """Return no paths: values are not repeated beside the fields."""
        return ()

    def of(
        self,
        obj: str,
        schema: Schema,  # noqa: ARG002 - keys are system fields
        raw: pa.RecordBatch,
        *,
        shape: Shape,  # noqa: ARG002 - there is only one
        route: str,  # noqa: ARG002 - records are the same by each strategy
        origin: str | None,
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        item = ITEMS[obj]
        marks = [origin == DELETED] * raw.num_rows
        if (
            origin is None
            and deleted is not None
            and any(listing.deleted for listing in item.listings)
        ):
            # Older batches have no origin: a record keeps the deletion mark that it was landed with.
            marks = deleted.to_pylist()
        # Rejected records are read by the rule that rejected them.
        by_time = item.paging in {"cursor", "offset"} and any(
            listing.since for listing in item.listings
        )
        bounded = deleted is None and by_time
        return keys_of(
            raw,
            lambda body: response_page(body, item, obj, bounded=bounded),
            list_name="data",
            id_of=_id_of,
            deleted_of=lambda key, row: bool(marks[row]) or is_deleted(key, item),
        )


def response_page(body: bytes, item: Item, owner: str, *, bounded: bool = False) -> ResponsePage:
    """Return the records of a response.

    Args:
        body: of the response.
        item: the object.
        owner: for error texts.
        bounded: the request had a time filter, so each record needs a time of change.

    Raises:
        MalformedResponse: the response is defective, not only single records.
    """
    page = _reader(item.name).read(body, owner=owner, what="an answer with records of Pipedrive")
    ids = list(map(_id_of, page.keys))
    if not _are_ids(ids, item):
        _set_aside(page, [not _are_ids([one], item) for one in ids], NO_KEY)
    if bounded and page.instants.null_count:
        _set_aside(page, page.instants.is_null().to_pylist(), _NO_TIME)
    return page


def _set_aside(page: ResponsePage, is_bad: list[bool], reason: str) -> None:
    page.instants = page.instants.filter(pa.array([not bad for bad in is_bad], pa.bool_()))
    page.set_aside(is_bad, reason, list(map(_id_of, page.keys)))


def is_deleted(key: Key, item: Item) -> bool:
    """Return whether a record has a deletion mark."""
    return {
        "is_deleted": bool(key.is_deleted),
        "active_flag": not key.active_flag,
        "": False,
    }[item.deleted_key]


def additional(raw: msgspec.Raw, owner: str) -> Additional:
    """Return the paging information of a response.

    Raises:
        MalformedResponse: it has another form.
    """
    # Responses of v1 may have an empty list instead.
    if bytes(memoryview(raw)).split() in ([b"null"], [b"[]"]):
        return Additional()
    what = "what an answer says of further pages"
    return decoded(memoryview(raw), Additional, owner=owner, what=what)


def next_page_of(page: RecordPage[KeyFields, Any], listing: Listing, owner: str) -> Additional:
    """Return the paging information of a list's response.

    Raises:
        MalformedResponse: the response holds no list, or an empty one although more pages follow.
    """
    following = additional(page.envelope.additional_data, owner)
    if not page.seen and (following.next_cursor or following.has_more):
        raise MalformedResponse(f"{owner}: an answer holds no records, although more are to come.")
    if page.envelope.data is None and not listing.is_v1:
        # v1 writes an empty list as null; deletions are decided as for any empty list.
        raise MalformedResponse(f"{owner}: an answer holds no list (its data are null).")
    return following


def is_number(text: str) -> bool:
    """Return whether a text is a numeric id."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID


@cache
def _reader(name: str) -> RecordReader[KeyFields, Key]:
    cursor_field = ITEMS[name].cursor_field
    return RecordReader(
        KeyFields,
        _COMPOSED.get(name, Key),
        list_name="data",
        id_of=_id_of,
        modified_of=lambda key: _instant(getattr(key, cursor_field)) if cursor_field else None,
    )


def _id_of(key: Key) -> str:
    return str(key.id)


def _are_ids(ids: list[str], item: Item) -> bool:
    if item.name in WITH_UUID:
        return all(text and text.isascii() and text.isprintable() for text in ids)
    return all(map(is_number, ids))


def _instant(text: str | None) -> str | None:
    """Return an instant with its offset: v1 writes UTC without one."""
    if not text or text.startswith(_NO_DATE):
        return None
    if text[-1] == "Z" or "+" in text or "-" in text[10:]:
        return text
    return f"{text.replace(' ', 'T')}Z"
