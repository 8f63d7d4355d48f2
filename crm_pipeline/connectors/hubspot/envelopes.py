"""Answers with records: their texts as received, and of each no more than its id and stamp.

A page of a list, a page of a search and a batch are one shape: `results`, and what goes with them.
Source: https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import compress, islice
from operator import attrgetter, lt
from typing import Any

import msgspec

from crm_pipeline.kernel.errors import ProtocolError

NOT_FOUND = "OBJECT_NOT_FOUND"


class _Stamps(msgspec.Struct):
    lastmodifieddate: str | int | None = None
    hs_lastmodifieddate: str | int | None = None


class _Key(msgspec.Struct):
    id: str
    properties: _Stamps = msgspec.field(default_factory=_Stamps)
    updatedAt: str | None = None  # noqa: N815 - the vendor's name
    archived: bool = False
    archivedAt: str | None = None  # noqa: N815 - the vendor's name


class _Keys(msgspec.Struct):
    results: list[_Key]


class _Next(msgspec.Struct):
    after: str | int


class _Paging(msgspec.Struct):
    next: _Next | None = None


class Complaint(msgspec.Struct):
    """One input of a batch that failed."""

    category: str = ""
    message: str = ""
    context: dict[str, Any] | None = None

    @property
    def ids(self) -> list[str]:
        """The inputs that it is about."""
        found = (self.context or {}).get("ids") or ()
        return [str(one) for one in found] if isinstance(found, list) else []


class _Envelope(msgspec.Struct):
    results: list[msgspec.Raw]
    total: int | None = None
    paging: _Paging | None = None
    numErrors: int | None = None  # noqa: N815 - the vendor's name
    errors: list[Complaint] | None = None


@dataclass
class Records:
    """Some records.

    Attributes:
        ids: as the vendor writes them.
        stamps: ISO 8601 instants: when each was edited or, if it is archived, archived.
        archived: of each.
        texts: each as received.
    """

    ids: list[str] = field(default_factory=list)
    stamps: list[str | None] = field(default_factory=list)
    archived: list[bool] = field(default_factory=list)
    texts: list[bytes | memoryview] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, other: "Records") -> None:
        """Put other records behind these."""
        self.ids += other.ids
        self.stamps += other.stamps
        self.archived += other.archived
        self.texts += other.texts

    def only(self, chosen: Sequence[bool]) -> "Records":
        """Return some of them."""
        return Records(
            list(compress(self.ids, chosen)),
            list(compress(self.stamps, chosen)),
            list(compress(self.archived, chosen)),
            list(compress(self.texts, chosen)),
        )

    def ordered(self) -> "Records":
        """Return them by id."""
        places = sorted(range(len(self.ids)), key=lambda place: int(self.ids[place]))
        return Records(
            [self.ids[place] for place in places],
            [self.stamps[place] for place in places],
            [self.archived[place] for place in places],
            [self.texts[place] for place in places],
        )


@dataclass(frozen=True)
class Answer:
    """What an answer holds.

    Attributes:
        total: how many records there are in all, where the answer says so.
        after: the mark behind this page; "" on the last one.
        failures: how many inputs of a batch failed; `complaints` says why.
    """

    records: Records
    total: int | None
    after: str
    failures: int
    complaints: tuple[Complaint, ...]


def read(body: bytes, stamp: str, owner: str, *, numeric: bool = True) -> Answer:
    """Read an answer.

    Args:
        body: of the answer.
        stamp: the property that changes with each edit.
        owner: for error texts.
        numeric: ids are numbers in words, by which records are in order; those of pipelines are not.

    Raises:
        ProtocolError: it is no such answer.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        keys = msgspec.json.decode(body, type=_Keys).results
        ids = [key.id for key in keys]
        sane = not numeric or _are_numbers(ids)
    except msgspec.DecodeError as error:
        raise _unlike(owner, str(error)) from None
    if not sane:
        raise _unlike(owner, "a record's id is not a number")
    failures = max(envelope.numErrors or 0, len(envelope.errors or ()))
    return Answer(
        records=Records(
            ids,
            _stamps(keys, stamp),
            [key.archived for key in keys],
            [memoryview(text) for text in envelope.results],
        ),
        total=envelope.total,
        after=_after(envelope.paging),
        failures=failures,
        complaints=tuple(envelope.errors or ()),
    )


def refuse_disorder(ids: Sequence[int], low: int, owner: str) -> None:
    """Refuse ids that do not rise, or begin below what was asked for: reading on would miss some.

    Raises:
        ProtocolError: they do not.
    """
    if ids and (ids[0] < low or not all(map(lt, ids, islice(ids, 1, None)))):
        raise ProtocolError(
            f"{owner}: HubSpot sent a page of other records than it was asked for.",
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )


def _are_numbers(ids: Sequence[str]) -> bool:
    together = "".join(ids)
    return not ids or ("" not in ids and together.isascii() and together.isdigit())


def _stamps(keys: Sequence[_Key], stamp: str) -> list[str | None]:
    """Return when each was edited; nearly all say it in the property, as ISO 8601."""
    known = stamp in _Stamps.__struct_fields__
    told = map(attrgetter(f"properties.{stamp}"), keys) if known else (None for _ in keys)
    return [
        found
        if isinstance(found, str) and found[10:11] == "T" and not key.archived
        else _stamp(key, stamp)
        for key, found in zip(keys, told, strict=True)
    ]


def _stamp(key: _Key, stamp: str) -> str | None:
    if key.archived:
        return key.archivedAt or key.updatedAt
    found = getattr(key.properties, stamp, None) or key.updatedAt
    return found if isinstance(found, str) and not found.isdigit() else _from_epoch(found)


def _from_epoch(found: str | int | None) -> str | None:
    """Write milliseconds since 1970, which stand for an instant in some accounts, as ISO 8601."""
    if not found:
        return None
    return datetime.fromtimestamp(int(found) / 1000, UTC).isoformat(timespec="milliseconds")


def _after(paging: _Paging | None) -> str:
    return "" if paging is None or paging.next is None else str(paging.next.after)


def _unlike(owner: str, what: str) -> ProtocolError:
    return ProtocolError(
        f"{owner}: an answer with records is not what HubSpot documents: {what}.",
        cure="Run again; if it persists, report it to the vendor with the time of the run.",
    )
