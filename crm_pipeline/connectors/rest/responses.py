"""One page of a source: the records as text, their keys, and what the response says about paging.

The same reader gives the keys of records that landed long ago.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import requests

from crm_pipeline.connectors.json_keys import keys_of as stored_keys
from crm_pipeline.connectors.json_records import batch_of
from crm_pipeline.connectors.record_page import RecordPage, RecordReader
from crm_pipeline.connectors.rest import times
from crm_pipeline.connectors.rest.source import Resource, keys_of
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import MalformedResponse
from crm_pipeline.kernel.identity import fingerprint
from crm_pipeline.model.schema import Schema
from crm_pipeline.store.landing.manifest import Shape
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.wire.decoding import UNREADABLE, malformed

_LIST = "records"
_Value = str | int | float | bool | None
DELETED = "deleted"
"""The origin of records of a list of deleted ones."""


class _Envelope(msgspec.Struct):
    records: list[msgspec.Raw] | None = None


@dataclass(frozen=True)
class Form:
    """The parts of a resource that the keys of its records depend on."""

    primary_key: str
    modified: str | None
    deleted: str | None
    equals: str | bool | int | None

    @classmethod
    def of(cls, resource: Resource) -> "Form":
        """Return the form of a resource."""
        incremental, flag = resource.incremental, resource.deleted
        return cls(
            resource.primary_key,
            incremental.field if incremental else None,
            flag.field if flag else None,
            flag.equals if flag else None,
        )


class RecordKeys:
    """Reads the records of one resource, and their keys."""

    def __init__(self, resource: Resource) -> None:
        form = Form.of(resource)
        self._equals = form.equals
        key, getters = _key_type(form)
        read_time = times.reader(resource.incremental)
        self._deleted_of = getters[2]
        self.id_of: Callable[[Any], str] = lambda one: _id_text(getters[0](one))
        self.reader: RecordReader[_Envelope, Any] = RecordReader(
            _Envelope,
            key,
            list_name=_LIST,
            id_name=keys_of(form.primary_key)[-1],
            id_of=self.id_of,
            modified_of=lambda one: read_time(getters[1](one)),
        )

    def is_deleted(self, key: Any) -> bool:
        """Return whether a record says that it is deleted."""
        if self._equals is None:
            return False
        value = self._deleted_of(key)
        return bool(
            value == self._equals and isinstance(value, bool) == isinstance(self._equals, bool)
        )

    def read(self, body: bytes, *, owner: str) -> RecordPage[_Envelope, Any]:
        """Return the records of a body with the list `records`."""
        page = self.reader.read(body, owner=owner)
        ids = [self.id_of(key) for key in page.keys]
        if not all(ids):
            page.set_aside([not one for one in ids], "its id is empty", ids)
            page.instants = page.instants.filter(pa.array([bool(one) for one in ids], pa.bool_()))
        return page


class SourceKeys:
    """Implements `connectors.base.RecordKeys` for the resources of a source."""

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        self._resources = resources
        forms = [
            (
                name,
                repr(Form.of(one)),
                one.incremental and (one.incremental.format, one.incremental.time_zone),
            )
            for name, one in sorted(resources.items())
        ]
        # Other rules give other keys, so records that landed by the former ones are read again.
        self.version = int(fingerprint(forms)[:7], 16)

    def needed(self, obj: str) -> frozenset[str]:
        """Return the fields that the keys of an object are made of."""
        resource = self._resources.get(obj)
        if resource is None:
            return frozenset()
        form = Form.of(resource)
        return frozenset(name for name in (form.primary_key, form.modified, form.deleted) if name)

    def copies(self, obj: str, field: str) -> tuple[tuple[str, ...], ...]:  # noqa: ARG002
        """Return none: a source names each value once."""
        return ()

    def of(
        self,
        obj: str,
        schema: Schema,  # noqa: ARG002
        raw: pa.RecordBatch,
        *,
        shape: Shape,  # noqa: ARG002
        route: str,  # noqa: ARG002
        origin: str | None,
        deleted: pa.Array | None,
    ) -> pa.RecordBatch:
        """Return the key columns of stored records."""
        resource = self._resources[obj]
        keys = record_keys(resource)
        was_deleted = deleted.to_pylist() if origin is None and deleted is not None else None

        def is_deleted(key: Any, row: int) -> bool:
            if origin == DELETED or (was_deleted and was_deleted[row]):
                return True
            return keys.is_deleted(key)

        return stored_keys(
            raw,
            lambda body: keys.read(body, owner=obj),
            list_name=_LIST,
            id_of=keys.id_of,
            deleted_of=is_deleted,
        )


class ListPage:
    """One page of a resource.

    Args:
        response: of the API.
        resource: that was asked.
        asked_at: when, by our clock.
        owner: the connection and the object, for error texts.
        is_deleted: the list has deleted records only.

    Raises:
        MalformedResponse: there is no list of records where the source says.
    """

    def __init__(
        self,
        response: requests.Response,
        resource: Resource,
        *,
        asked_at: datetime,
        owner: str,
        is_deleted: bool = False,
        records: str | None = None,
    ) -> None:
        self.asked_at = asked_at
        self._response = response
        body = _list_of(response.content, records or resource.records, owner)
        self.digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        keys = record_keys(resource)
        page = keys.read(b'{"%b":%b}' % (_LIST.encode(), body), owner=owner)
        self.rejected: list[Reject] = page.rejected
        self.ids: Sequence[str] = [keys.id_of(key) for key in page.keys]
        self.texts = page.texts
        self.seen = page.seen
        self.batch = batch_of(
            ids=self.ids,
            modified_at=page.instants,
            texts=page.texts,
            deleted=[is_deleted or keys.is_deleted(key) for key in page.keys],
            owner=owner,
        )

    @property
    def last_modified_at(self) -> datetime | None:
        """The latest time of change."""
        latest: datetime | None = pc.max(self.batch.column("_modified_at")).as_py()
        return latest

    def is_before(self, at: datetime) -> bool:
        """Return whether all records with a time of change changed before an instant; False where none has one."""
        latest = self.last_modified_at
        return latest is not None and latest < at

    def value(self, path: str) -> object:
        """Return a value of the response by its path, or of a header by `header:NAME`; None where there is none."""
        kind, _, name = path.partition(":")
        if kind == "header" and name:
            return self._response.headers.get(name)
        value: Any = self._around
        for key in keys_of(path):
            value = value.get(key) if isinstance(value, dict) else None
        return cast("object", value)

    def link(self, relation: str) -> str:
        """Return the address of a relation in the header Link; "" where there is none."""
        for relations, link in self._response.links.items():
            if relation in str(relations).lower().split():
                return str(link.get("url", ""))
        return ""

    def without(self, other: "ListPage | None") -> "ListPage":
        """Leave out records that another page has in the same words; return this page."""
        if other is None:
            return self
        before = {key: bytes(text) for key, text in zip(other.ids, other.texts, strict=True)}
        rows = zip(self.ids, self.texts, strict=True)
        fresh = [before.get(key) != bytes(text) for key, text in rows]
        if not all(fresh):
            self.batch = self.batch.filter(pa.array(fresh, pa.bool_()))
        return self

    def within(self, window: Window | None) -> pa.RecordBatch:
        """Return the records of a window; with an open start also those without a time of change."""
        if window is None or not self.batch.num_rows:
            return self.batch
        modified = self.batch.column("_modified_at")
        inside = pc.less(modified, pa.scalar(window.to_at, modified.type))
        if window.from_at is None:
            return self.batch.filter(pc.fill_null(inside, fill_value=True))
        is_after = pc.greater_equal(modified, pa.scalar(window.from_at, modified.type))
        return self.batch.filter(pc.fill_null(pc.and_(inside, is_after), fill_value=False))

    @cached_property
    def _around(self) -> Any:
        return msgspec.json.decode(self._response.content, type=dict[str, Any] | list[Any])


def record_keys(resource: Resource) -> RecordKeys:
    """Return the reader of a resource's records."""
    found = _READERS.get(id(resource))
    if found is None or found[0] is not resource:
        found = _READERS[id(resource)] = (resource, RecordKeys(resource))
    return found[1]


_READERS: dict[int, tuple[Resource, RecordKeys]] = {}


def one_record(body: bytes, path: str, owner: str) -> bytes | None:
    """Return the text of a record in a response; None where it has none."""
    text = _at(body, path, owner)
    return text if text[:1] == b"{" and text != b"{}" else None


def _list_of(body: bytes, path: str, owner: str) -> bytes:
    """Return the text of the list in a response; a single record and null become lists."""
    text = _at(body, path, owner)
    if text[:1] == b"[":
        return text
    if text == b"null":
        return b"[]"
    if text[:1] == b"{":
        return b"[%b]" % text
    raise malformed(
        body,
        msgspec.DecodeError("there is no list of records"),
        owner=owner,
        what="an answer with records",
    )


def _at(body: bytes, path: str, owner: str) -> bytes:
    """Return the text at a path."""
    text: bytes = body.strip()
    for key in keys_of(path):
        try:
            inner = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except UNREADABLE as error:
            raise malformed(body, error, owner=owner, what="an answer with records") from None
        if key not in inner:
            raise MalformedResponse(
                f"{owner}: the answer has no '{path}', where the source says that the records are; it has "
                f"{', '.join(sorted(inner)[:10]) or 'nothing'}.",
                cure="Compare `records` with an answer of the API: `crm-pipeline preview` shows what comes.",
            )
        text = bytes(inner[key])
    return text


def _id_text(value: _Value) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def _key_type(form: Form) -> tuple[Any, list[Callable[[Any], _Value]]]:
    """Return a struct with the parts of a record that its keys are made of, and a getter for each part."""
    paths = [
        keys_of(path) if path else () for path in (form.primary_key, form.modified, form.deleted)
    ]
    required = {paths[0]}
    tree: dict[str, Any] = {}
    for path in paths:
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
        if path:
            node.setdefault(path[-1], path in required)
    kind, names = _struct(tree, paths[0])
    return kind, [_getter(names, path) for path in paths]


def _struct(tree: Mapping[str, Any], needed: tuple[str, ...]) -> tuple[Any, dict[str, Any]]:
    fields: list[Any] = []
    names: dict[str, Any] = {}
    rename: dict[str, str] = {}
    for number, (key, below) in enumerate(
        sorted(tree.items(), key=lambda item: item[0] != (needed or ("",))[0])
    ):
        attribute = f"f{number}"
        rename[attribute] = key
        is_needed = bool(needed) and key == needed[0]
        if isinstance(below, dict):
            kind, inner = _struct(below, needed[1:] if is_needed else ())
            names[key] = (attribute, inner)
            fields.append((attribute, kind) if is_needed else (attribute, kind | None, None))
        else:
            names[key] = (attribute, None)
            fields.append(
                (attribute, int | str | float) if is_needed else (attribute, _Value, None)
            )
    return msgspec.defstruct("Key", fields, rename=rename), names


def _getter(names: Mapping[str, Any], path: tuple[str, ...]) -> Callable[[Any], _Value]:
    if not path:
        return lambda _: None
    attributes: list[str] = []
    for key in path:
        attribute, names = names[key]
        attributes.append(attribute)
    if len(attributes) == 1:
        [only] = attributes
        return lambda key: cast("_Value", getattr(key, only))

    def get(value: Any) -> _Value:
        for attribute in attributes:
            if value is None:
                return None
            value = getattr(value, attribute)
        return cast("_Value", value)

    return get
