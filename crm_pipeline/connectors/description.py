"""The entries of a description (fields, pick lists, types): what can be read of each, whatever the others are.

An attribute of a wrong type is as good as absent; of a list, such as the values of a field, the elements that
cannot be read are, and the log says nothing of them. An entry without what makes it an entry is left out, with a
word in the log. A description of which nothing can be read is a malformed answer.
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
"""A whole number of a description, which some write as 255.0; see `whole`."""
_LARGEST = 1 << 31
_UNKNOWN = "\ufffd"
# Halves of surrogate pairs, which stand for no character alone; a backslash before a backslash begins nothing.
_HALVES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


@dataclass(frozen=True)
class Entries(Generic[EnvelopeT, EntryT]):
    """What a description holds: everything around the entries, and those that can be read."""

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
    """Return the entries of a description.

    Args:
        body: of the answer.
        envelope: a struct whose attribute `list_name` is `list[msgspec.Raw]`.
        entry: a TypedDict; an entry without its required keys is left out.
        list_name: the key of the list in the answer.
        owner: whose answer it is, for texts.
        what: the answer in a few words.
        must_have: names of entries without which the others would be read wrongly.

    Raises:
        MalformedAnswer: it is no such answer, or none of its entries can be read, or not one that must be.
    """
    whole = _whole(body, envelope, entry, list_name)
    if whole is not None:
        return whole
    emptied, texts = taken_apart(body, list_name)
    # Where the list cannot be told apart, this says what is wrong.
    around = decoded(body if emptied is None else mended(emptied), envelope, owner=owner, what=what)
    read = [_one(text, entry) for text in texts]
    rows = [one for one in read if one is not None]
    if emptied is None or (texts and not rows):
        defect = msgspec.DecodeError("none of its entries can be read")
        raise malformed(body, defect, owner=owner, what=what)
    lost = [text for text, one in zip(texts, read, strict=True) if one is None]
    for name in must_have:
        if any(_names(text, name) for text in lost):
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
    """Return an answer without records in the declared type; what is no character in its texts is replaced.

    Raises:
        MalformedAnswer: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE:
        return decoded(mended(body), kind, owner=owner, what=what)


def whole(number: Whole) -> int:
    """Return a length or a number of digits; 0 where it cannot be one."""
    return int(number) if number and 0 < number < _LARGEST else 0


def _whole(
    body: bytes, envelope: type[EnvelopeT], entry: type[EntryT], list_name: str
) -> Entries[EnvelopeT, EntryT] | None:
    try:
        around = msgspec.json.decode(body, type=envelope)
        rows = msgspec.json.decode(body, type=_rows(list_name, cast("Hashable", entry)))
    except UNREADABLE:
        return None
    return Entries(around, list(getattr(rows, list_name)))


def _one(text: bytes, entry: type[EntryT]) -> EntryT | None:
    """Return what can be read of one entry; None where its required keys cannot be."""
    try:
        parts: Mapping[str, msgspec.Raw]
        parts = msgspec.json.decode(mended(text), type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return None
    found: dict[str, Any] = {}
    for name, kind in get_type_hints(entry).items():
        if name in parts:
            value = _value(parts[name], kind)
            if value is not None:
                found[name] = value
    required: frozenset[str] = getattr(entry, "__required_keys__", frozenset())
    is_whole = required <= found.keys() and not any(_UNKNOWN in str(found[key]) for key in required)
    return cast("EntryT", found) if is_whole else None


def _value(raw: msgspec.Raw, kind: Any) -> Any:
    """Return a value; of a list what can be read of it; None where it is of another type."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        # `list[X] | None` is a list as well.
        lists = [one for one in (kind, *get_args(kind)) if get_origin(one) is list]
        if not lists or bytes(memoryview(raw)[:1]) != b"[":
            return None
    [inner] = get_args(lists[0])
    each = msgspec.json.decode(raw, type=list[msgspec.Raw])
    return [one for one in (_value(part, inner) for part in each) if one is not None]


def _names(text: bytes, name: str) -> bool:
    """Say whether an entry that cannot be read may be the one of this name: it stands as a value in it."""
    return re.search(rb':\s*"' + re.escape(name.encode()) + b'"', text) is not None


def mended(text: bytes) -> bytes:
    """Replace what is no character: a label says less then, and is still one."""
    whole = text.decode("utf-8", "replace").encode()
    return _HALVES.sub(lambda half: rb"\ufffd" if half[1] else half[0], whole)


@lru_cache(maxsize=64)
def _rows(list_name: str, entry: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("Rows", [(list_name, list[entry])])
