"""The keys of HubSpot's records: id, time of the last edit or of archiving, archived flag.

Sources: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide and, for owners and pipelines,
the pages named in `snapshots`.
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

# The vendor's ids have 64 bits; a longer one would have no position in a list.
_LONGEST_ID = 19
NO_MODIFIED = "the record does not say when it was edited"
_NO_INSTANT = "no instant"


class _Modified(msgspec.Struct):
    lastmodifieddate: str | int | None = None
    hs_lastmodifieddate: str | int | None = None


class Key(msgspec.Struct):
    """The parts of a record that give its keys."""

    id: str
    # Required: without it, it is unknown which list the record belongs to.
    archived: bool
    properties: _Modified = msgspec.field(default_factory=_Modified)
    updatedAt: str | None = None  # noqa: N815 - the vendor's name
    archivedAt: str | None = None  # noqa: N815 - the vendor's name


class _Next(msgspec.Struct):
    after: str | int


class Paging(msgspec.Struct):
    """The paging of a response; its `link` is never followed."""

    next: _Next | None = None

    @property
    def after(self) -> str:
        """The cursor of the next page; "" on the last one."""
        return "" if self.next is None else str(self.next.after)


class InputError(msgspec.Struct):
    """The error of a batch about some of its inputs."""

    category: str = ""
    context: dict[str, msgspec.Raw] | None = None

    @property
    def ids(self) -> list[str]:
        """The ids of the failed inputs."""
        try:
            listed = msgspec.json.decode((self.context or {})["ids"], type=list[str | int])
        except (KeyError, msgspec.DecodeError):
            return []
        return [str(record_id) for record_id in listed]


class KeyFields(msgspec.Struct):
    """A response around its records."""

    results: list[msgspec.Raw]
    total: Count | None = None
    paging: Paging | None = None
    errors: list[InputError] | None = None


ResponsePage = RecordPage[KeyFields, Key]


class HubSpotKeys:
    """Implements `connectors.base.RecordKeys` for all objects but those of lists, see `list_keys`."""

    version = 2

    def needed(self, obj: str) -> frozenset[str]:  # noqa: ARG002 - the same for all objects
        """Return the names of the fields that reading records needs."""
        return frozenset({*Key.__struct_fields__, *_Modified.__struct_fields__, "hs_object_id"})

    def copies(self, obj: str, field: str) -> tuple[tuple[str, ...], ...]:  # noqa: ARG002 - of all objects
        """Return where records have the earlier values of a property."""
        return (("propertiesWithHistory", field),)

    def of(
        self,
        obj: str,
        schema: Schema,  # noqa: ARG002 - keys are not among the properties
        raw: pa.RecordBatch,
        *,
        shape: Shape,  # noqa: ARG002 - there is only one
        route: str,  # noqa: ARG002 - all routes return the same record
        origin: str | None,  # noqa: ARG002 - archived records have a flag
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of records."""
        is_list = obj in SNAPSHOTS

        def read(body: bytes) -> ResponsePage:
            page = response_page(body, type_of(obj).cursor_field, obj, numeric=not is_list)
            if deleted is None and not is_list and page.instants.null_count:
                # Rejected records are checked by the same rule again.
                _set_aside(page, page.instants.is_null().to_pylist(), NO_MODIFIED)
            return page

        return keys_of(
            raw,
            read,
            list_name="results",
            id_of=attrgetter("id"),
            # Archived owners still own records; they are not deleted.
            deleted_of=lambda key, _: key.archived and not is_list,
        )


def response_page(
    body: bytes, cursor_field: str, owner: str, *, numeric: bool = True, keys_only: bool = False
) -> ResponsePage:
    """Return the records of a response.

    Args:
        body: of the response.
        cursor_field: the property with the time of the last change.
        owner: named in error texts.
        numeric: ids are numbers as texts, by which records are ordered; those of pipelines are not.
        keys_only: the records will be read again by id, which checks their modification times.

    Raises:
        MalformedResponse: the response is not of the documented form, apart from single records.
    """
    reader = _reader(cursor_field, keys_only)
    page = reader.read(body, owner=owner, what="an answer with records of HubSpot")
    ids = [key.id for key in page.keys]
    if numeric and not _are_numbers(ids):
        _set_aside(page, [not is_number(one) for one in ids], NO_KEY)
    return page


def _set_aside(page: ResponsePage, is_bad: list[bool], reason: str) -> None:
    page.instants = page.instants.filter(pa.array([not bad for bad in is_bad], pa.bool_()))
    page.set_aside(is_bad, reason, [key.id for key in page.keys])


@cache
def _reader(cursor_field: str, keys_only: bool) -> RecordReader[KeyFields, Key]:
    of = _modified_of(cursor_field)
    return RecordReader(
        KeyFields,
        Key,
        list_name="results",
        id_of=attrgetter("id"),
        modified_of=(lambda key: _readable(of(key))) if keys_only else of,
    )


def is_number(text: str) -> bool:
    """Return whether a text is a number, as ids of all records but pipelines are."""
    return _are_numbers([text])


def _are_numbers(ids: list[str]) -> bool:
    merged = "".join(ids)
    if not ids:
        return True
    is_short = max(map(len, ids)) <= _LONGEST_ID
    return is_short and "" not in ids and merged.isascii() and merged.isdigit()


def _modified_of(cursor_field: str) -> Callable[[Key], str | None]:
    """Return a function for the time when a record was edited or, if it is archived, archived."""
    if cursor_field not in _Modified.__struct_fields__:
        return lambda key: _instant(key, None)
    property_of = attrgetter(f"properties.{cursor_field}")

    def of(key: Key) -> str | None:
        value = property_of(key)
        # The fast path: nearly all records have the property as ISO 8601.
        if isinstance(value, str) and value[10:11] == "T" and not key.archived:
            return value
        return _instant(key, value)

    return of


def _instant(key: Key, value: str | int | None) -> str | None:
    if key.archived:
        return key.archivedAt or key.updatedAt
    at = value or key.updatedAt
    return _from_epoch(at) if isinstance(at, int) or (at or "").isdigit() else at


def _from_epoch(milliseconds: str | int | None) -> str | None:
    """Return milliseconds since 1970, which some accounts have for instants, as ISO 8601."""
    if not milliseconds:
        return None
    try:
        at = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    except (ValueError, ArithmeticError, OSError):
        return _NO_INSTANT
    return at.isoformat(timespec="milliseconds")


def _readable(text: str | None) -> str | None:
    """Return a modification time that can be compared with a window; None for others."""
    try:
        is_instant = datetime.fromisoformat(text or "").tzinfo is not None
    except ValueError:
        return None
    return text if is_instant else None
