"""What Pipedrive's answers say: the records' ids, time stamps and marks of deletion, and what comes behind.

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
from crm_pipeline.kernel.errors import MalformedAnswer
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.wire.decoding import decoded

# What v1 writes where there is no date.
_NEVER = "0000-00-00"
_NO_STAMP = "the record does not say when it changed"
_LONGEST_ID = 19
# Leads and their labels have UUIDs; everything else is numbered, and goes by its numbers.
_UNNUMBERED = frozenset({"leads", "leadLabels"})


class Key(msgspec.Struct):
    """What of a record its keys are made of."""

    id: int | str
    update_time: str | None = None
    modified: str | None = None
    is_deleted: bool | int | None = False
    active_flag: bool | int | None = True


class _ChangesKey(Key, kw_only=True):
    """Of the changes of a deal, which we put together: a deal without them is none."""

    stages: msgspec.Raw


class _ParticipantsKey(Key, kw_only=True):
    """Of the participants of a deal, likewise."""

    participants: msgspec.Raw


_COMPOSED: Mapping[str, type[Key]] = {
    "deal_changes": _ChangesKey,
    "deal_participants": _ParticipantsKey,
}


class _Paging(msgspec.Struct):
    more_items_in_collection: bool | None = None
    next_start: int | None = None


class Additional(msgspec.Struct):
    """What an answer says of those behind it: v2 names a cursor, v1 an offset."""

    next_cursor: str | None = None
    pagination: _Paging | None = None
    more_items_in_collection: bool | None = None
    next_start: int | None = None

    @property
    def more(self) -> bool | None:
        """What v1 says about more records; None where it says nothing."""
        return (self.pagination or self).more_items_in_collection

    @property
    def start(self) -> int | None:
        """Where v1 goes on; None at the end."""
        return (self.pagination or self).next_start if self.more else None


class KeyFields(msgspec.Struct):
    """What stands around the records of an answer."""

    data: list[msgspec.Raw] | None
    additional_data: msgspec.Raw = msgspec.Raw(b"null")


ResponsePage = RecordPage[KeyFields, Key]


class PipedriveKeys:
    """Implements `connectors.base.RecordKeys`."""

    version = 2

    def of(
        self,
        obj: str,
        schema: Schema,  # noqa: ARG002 - the keys are those of the vendor's own fields
        raw: pa.RecordBatch,
        *,
        shape: Shape,  # noqa: ARG002 - there is one
        route: str,  # noqa: ARG002 - a record is the same by each route
        origin: str | None,
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        item = ITEMS[obj]
        marks = [origin == DELETED] * raw.num_rows
        if origin is None and deleted is not None and any(one.deleted for one in item.listings):
            # Nobody noted the list, and the mark says it: what was deleted before it was landed stays so.
            marks = deleted.to_pylist()
        # What was set aside is tried by the rule that set it aside.
        in_time = item.paging in {"cursor", "offset"} and any(one.since for one in item.listings)
        bounded = deleted is None and in_time
        return keys_of(
            raw,
            lambda body: response_page(body, item, obj, bounded=bounded),
            list_name="data",
            id_of=_id_of,
            deleted_of=lambda key, row: bool(marks[row]) or is_ended(key, item),
        )


def response_page(body: bytes, item: Item, owner: str, *, bounded: bool = False) -> ResponsePage:
    """Read an answer with records.

    Args:
        body: of the answer.
        item: the object.
        owner: for error texts.
        bounded: what changed since a moment was asked for, so that each record has to say when it changed.

    Raises:
        MalformedAnswer: it is no such answer, beyond single records.
    """
    page = _reader(item.name).read(body, owner=owner, what="an answer with records of Pipedrive")
    ids = list(map(_id_of, page.keys))
    if not _are_ids(ids, item):
        _set_aside(page, [not _are_ids([one], item) for one in ids], NO_KEY)
    if bounded and page.instants.null_count:
        _set_aside(page, page.instants.is_null().to_pylist(), _NO_STAMP)
    return page


def _set_aside(page: ResponsePage, is_bad: list[bool], reason: str) -> None:
    page.instants = page.instants.filter(pa.array([not bad for bad in is_bad], pa.bool_()))
    page.set_aside(is_bad, reason, list(map(_id_of, page.keys)))


def is_ended(key: Key, item: Item) -> bool:
    """Say whether a record says of itself that it is deleted."""
    return {
        "is_deleted": bool(key.is_deleted),
        "active_flag": not key.active_flag,
        "": False,
    }[item.ended_by]


def additional(raw: msgspec.Raw, owner: str) -> Additional:
    """Read what an answer says of those behind it.

    Raises:
        MalformedAnswer: it is of another form.
    """
    # Old answers have an empty list where there is nothing to say.
    if bytes(memoryview(raw)).split() in ([b"null"], [b"[]"]):
        return Additional()
    what = "what an answer says of further pages"
    return decoded(memoryview(raw), Additional, owner=owner, what=what)


def behind(page: RecordPage[KeyFields, Any], listing: Listing, owner: str) -> Additional:
    """Return what the answer of a list says of those behind it.

    Raises:
        MalformedAnswer: it holds no list, or an empty one although more is to come.
    """
    told = additional(page.envelope.additional_data, owner)
    if not page.seen and (told.next_cursor or told.more):
        raise MalformedAnswer(f"{owner}: an answer holds no records, although more are to come.")
    if page.envelope.data is None and not listing.is_v1:
        # v1 writes an empty list as null; what that deletes is decided as for any empty list.
        raise MalformedAnswer(f"{owner}: an answer holds no list (its data are null).")
    return told


def is_number(text: str) -> bool:
    """Say whether a text is the id of a numbered record."""
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID


@cache
def _reader(name: str) -> RecordReader[KeyFields, Key]:
    stamp = ITEMS[name].stamp
    return RecordReader(
        KeyFields,
        _COMPOSED.get(name, Key),
        list_name="data",
        id_of=_id_of,
        modified_of=lambda key: _instant(getattr(key, stamp)) if stamp else None,
    )


def _id_of(key: Key) -> str:
    return str(key.id)


def _are_ids(ids: list[str], item: Item) -> bool:
    if item.name in _UNNUMBERED:
        return all(one and one.isascii() and one.isprintable() for one in ids)
    return all(map(is_number, ids))


def _instant(text: str | None) -> str | None:
    """Return a stamp with its zone: v1 writes UTC without saying so."""
    if not text or text.startswith(_NEVER):
        return None
    if text[-1] == "Z" or "+" in text or "-" in text[10:]:
        return text
    return f"{text.replace(' ', 'T')}Z"
