"""What HubSpot's records say of themselves: their id, when they were edited or archived, whether they are.

Sources: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide and, of owners and pipelines,
the pages that `snapshots` names.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter

import msgspec
import pyarrow as pa

from crm_pipeline.connectors.hubspot.catalog import SNAPSHOTS, type_of
from crm_pipeline.connectors.json_keys import keys_of
from crm_pipeline.connectors.record_page import NO_KEY, RecordPage, RecordReader
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.wire.decoding import Count

# 64 bits are what the vendor's numbers have; what is longer would be no place in a list.
_LONGEST_ID = 19
NO_STAMP = "the record does not say when it was edited"
_NO_INSTANT = "no instant"


class _Stamps(msgspec.Struct):
    lastmodifieddate: str | int | None = None
    hs_lastmodifieddate: str | int | None = None


class Key(msgspec.Struct):
    """What of a record its keys are made of."""

    id: str
    # In each answer; where it is not, nobody knows which list the record belongs to.
    archived: bool
    properties: _Stamps = msgspec.field(default_factory=_Stamps)
    updatedAt: str | None = None  # noqa: N815 - the vendor's name
    archivedAt: str | None = None  # noqa: N815 - the vendor's name


class _Next(msgspec.Struct):
    after: str | int


class Paging(msgspec.Struct):
    """Where an answer goes on; its `link` is never followed."""

    next: _Next | None = None

    @property
    def after(self) -> str:
        """The mark behind this page; "" on the last one."""
        return "" if self.next is None else str(self.next.after)


class Complaint(msgspec.Struct):
    """One input of a batch that failed."""

    category: str = ""
    context: dict[str, msgspec.Raw] | None = None

    @property
    def ids(self) -> list[str]:
        """The inputs that it is about."""
        try:
            listed = msgspec.json.decode((self.context or {})["ids"], type=list[str | int])
        except (KeyError, msgspec.DecodeError):
            return []
        return [str(one) for one in listed]


class KeyFields(msgspec.Struct):
    """What stands around the records of an answer."""

    results: list[msgspec.Raw]
    total: Count | None = None
    paging: Paging | None = None
    errors: list[Complaint] | None = None


ResponsePage = RecordPage[KeyFields, Key]


class HubSpotKeys:
    """Implements `connectors.base.RecordKeys`."""

    version = 2

    def of(
        self,
        obj: str,
        schema: Schema,  # noqa: ARG002 - keys stand in keys of their own, which no property is
        raw: pa.RecordBatch,
        *,
        shape: Shape,  # noqa: ARG002 - there is one
        route: str,  # noqa: ARG002 - a record is the same by each route
        origin: str | None,  # noqa: ARG002 - archived records say so
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        is_list = obj in SNAPSHOTS

        def read(body: bytes) -> ResponsePage:
            page = response_page(body, type_of(obj).stamp, obj, numeric=not is_list)
            if deleted is None and not is_list and page.instants.null_count:
                # What was set aside is tried by the rule that set it aside.
                _set_aside(page, page.instants.is_null().to_pylist(), NO_STAMP)
            return page

        return keys_of(
            raw,
            read,
            list_name="results",
            id_of=attrgetter("id"),
            # Owners who left own what they owned; they are records like the others.
            deleted_of=lambda key, _: key.archived and not is_list,
        )


def response_page(
    body: bytes, stamp: str, owner: str, *, numeric: bool = True, keys_only: bool = False
) -> ResponsePage:
    """Read an answer with records.

    Args:
        body: of the answer.
        stamp: the property that changes with each edit.
        owner: for error texts.
        numeric: ids are numbers in words, by which records are in order; those of pipelines are not.
        keys_only: the records are read again by their ids: a stamp that is none matters there.

    Raises:
        MalformedAnswer: it is no such answer, beyond single records.
    """
    reader = _reader(stamp, keys_only)
    page = reader.read(body, owner=owner, what="an answer with records of HubSpot")
    ids = [key.id for key in page.keys]
    if numeric and not _are_numbers(ids):
        _set_aside(page, [not is_number(one) for one in ids], NO_KEY)
    return page


def _set_aside(page: ResponsePage, is_bad: list[bool], reason: str) -> None:
    page.instants = page.instants.filter(pa.array([not bad for bad in is_bad], pa.bool_()))
    page.set_aside(is_bad, reason, [key.id for key in page.keys])


@cache
def _reader(stamp: str, keys_only: bool) -> RecordReader[KeyFields, Key]:
    of = _stamp_of(stamp)
    return RecordReader(
        KeyFields,
        Key,
        list_name="results",
        id_of=attrgetter("id"),
        modified_of=(lambda key: _readable(of(key))) if keys_only else of,
    )


def is_number(text: str) -> bool:
    """Say whether a text is the id of a record, other than of a pipeline."""
    return _are_numbers([text])


def _are_numbers(ids: list[str]) -> bool:
    merged = "".join(ids)
    if not ids:
        return True
    is_short = max(map(len, ids)) <= _LONGEST_ID
    return is_short and "" not in ids and merged.isascii() and merged.isdigit()


def _stamp_of(stamp: str) -> Callable[[Key], str | None]:
    """Return what says when a record was edited or, if it is archived, archived."""
    if stamp not in _Stamps.__struct_fields__:
        return lambda key: _slowly(key, None)
    told = attrgetter(f"properties.{stamp}")

    def of(key: Key) -> str | None:
        found = told(key)
        # Nearly all say it in the property, as ISO 8601.
        if isinstance(found, str) and found[10:11] == "T" and not key.archived:
            return found
        return _slowly(key, found)

    return of


def _slowly(key: Key, told: str | int | None) -> str | None:
    if key.archived:
        return key.archivedAt or key.updatedAt
    found = told or key.updatedAt
    return _from_epoch(found) if isinstance(found, int) or (found or "").isdigit() else found


def _from_epoch(found: str | int | None) -> str | None:
    """Write milliseconds since 1970, which stand for an instant in some accounts, as ISO 8601."""
    if not found:
        return None
    try:
        at = datetime.fromtimestamp(int(found) / 1000, UTC)
    except (ValueError, ArithmeticError, OSError):
        return _NO_INSTANT
    return at.isoformat(timespec="milliseconds")


def _readable(found: str | None) -> str | None:
    """Return a stamp that can be compared with a window; None for others."""
    try:
        is_instant = datetime.fromisoformat(found or "").tzinfo is not None
    except ValueError:
        return None
    return found if is_instant else None
