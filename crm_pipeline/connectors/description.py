"""The entries of a vendor's metadata (fields, pick lists, types), each read independently of the others.

An attribute of a wrong type counts as absent. So does an element that cannot be read in a list, such as the values
of a field; neither is logged. An entry without its required attributes is left out, with a warning in the log.
Metadata without any readable entry is a malformed response.
"""

import re
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
import structlog

from crm_pipeline.connectors.record_list import taken_apart
from crm_pipeline.wire.decoding import UNREADABLE, decoded, malformed

_log = structlog.get_logger(__name__)
EnvelopeT = TypeVar("EnvelopeT")
EntryT = TypeVar("EntryT")
T = TypeVar("T")
Whole = int | float | None
"""A whole number in metadata, which some vendors write as 255.0; see `whole`."""
_LARGEST = 1 << 31
_UNKNOWN = "\ufffd"
# Escaped halves of surrogate pairs, which are no characters; an escaped backslash is matched first, to skip it.
_HALVES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


@dataclass(frozen=True)
class Entries(Generic[EnvelopeT, EntryT]):
    """The content of a metadata response: everything around the entries, and the readable entries."""

    envelope: EnvelopeT
    rows: list[EntryT]


def entries(
    body: bytes,
    envelope: type[EnvelopeT],
    entry: type[EntryT],
    *,
    list_name: str,
    owner: str,
    what: str,
    must_have: Collection[str] = (),
) -> Entries[EnvelopeT, EntryT]:
    """Return the entries of a metadata response.

    Args:
        body: of the response.
        envelope: a struct whose attribute `list_name` is `list[msgspec.Raw]`.
        entry: a TypedDict; an entry without its required keys is left out.
        list_name: the key of the list in the response.
        owner: the connection, named in texts.
        what: the response in a few words, for texts.
        must_have: names of entries without which the others would be read wrongly.

    Raises:
        MalformedResponse: the response is of another form, no entry can be read, or a required one cannot.
    """
    complete = _complete(body, envelope, entry, list_name)
    if complete is not None:
        return complete
    emptied, texts = taken_apart(body, list_name)
    # Where the list cannot be split into elements, this raises the error that says why.
    around = decoded(body if emptied is None else mended(emptied), envelope, owner=owner, what=what)
    read = [_entry(text, entry) for text in texts]
    rows = [row for row in read if row is not None]
    if emptied is None or (texts and not rows):
        defect = msgspec.DecodeError("none of its entries can be read")
        raise malformed(body, defect, owner=owner, what=what)
    lost = [text for text, row in zip(texts, read, strict=True) if row is None]
    for name in must_have:
        if any(_may_be(text, name) for text in lost):
            defect = msgspec.DecodeError(f"its entry {name} cannot be read")
            raise malformed(body, defect, owner=owner, what=what)
    if lost:
        _log.warning(
            "entries of a description are left out",
            connection=owner,
            description=what,
            entries=len(lost),
            cure="Their form is not what the vendor documents; what they describe is not read.",
        )
    return Entries(around, rows)


def decoded_leniently(body: bytes, kind: type[T], *, owner: str, what: str) -> T:
    """Return a response without records in the declared type; bytes that are no characters are replaced.

    Raises:
        MalformedResponse: the response is not of that type.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        return decoded(mended(body), kind, owner=owner, what=what)


def whole(number: Whole) -> int:
    """Return a length or a number of digits; 0 where the number is implausible."""
    return int(number) if number and 0 < number < _LARGEST else 0


def _complete(
    body: bytes, envelope: type[EnvelopeT], entry: type[EntryT], list_name: str
) -> Entries[EnvelopeT, EntryT] | None:
    try:
        around = msgspec.json.decode(body, type=envelope)
        rows = msgspec.json.decode(body, type=_rows(list_name, cast("Hashable", entry)))
    except UNREADABLE:
        return None
    return Entries(around, list(getattr(rows, list_name)))


def _entry(text: bytes, entry: type[EntryT]) -> EntryT | None:
    """Return the readable attributes of an entry; None where a required one cannot be read."""
    try:
        parts: Mapping[str, msgspec.Raw]
        parts = msgspec.json.decode(mended(text), type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return None
    attributes: dict[str, Any] = {}
    for name, kind in get_type_hints(entry).items():
        if name in parts:
            value = _value(parts[name], kind)
            if value is not None:
                attributes[name] = value
    required: frozenset[str] = getattr(entry, "__required_keys__", frozenset())
    is_complete = required <= attributes.keys() and not any(
        _UNKNOWN in str(attributes[key]) for key in required
    )
    return cast("EntryT", attributes) if is_complete else None


def _value(raw: msgspec.Raw, kind: Any) -> Any:
    """Return a value, of a list its readable elements; None where it is of another type."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        # `list[X] | None` is a list as well.
        lists = [each for each in (kind, *get_args(kind)) if get_origin(each) is list]
        if not lists or bytes(memoryview(raw)[:1]) != b"[":
            return None
    [inner] = get_args(lists[0])
    elements = msgspec.json.decode(raw, type=list[msgspec.Raw])
    values = (_value(element, inner) for element in elements)
    return [value for value in values if value is not None]


def _may_be(text: bytes, name: str) -> bool:
    """Return whether an unreadable entry may have this name, because the name is one of its values."""
    return re.search(rb':\s*"' + re.escape(name.encode()) + b'"', text) is not None


def mended(text: bytes) -> bytes:
    """Return a text with the replacement character for whatever is no character; a label stays usable then."""
    valid = text.decode("utf-8", "replace").encode()
    return _HALVES.sub(lambda half: rb"\ufffd" if half[1] else half[0], valid)


@lru_cache(maxsize=64)
def _rows(list_name: str, entry: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("Rows", [(list_name, list[entry])])
