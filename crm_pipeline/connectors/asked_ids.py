"""The ids of a read of single records, each once and in the vendor's form, and what came of each.

An id is never silently absent: each has an `Outcome`. A record counts as deleted only where the vendor says so.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

Status = Literal[
    "read", "deleted", "merged", "not_found", "malformed", "refused", "unreadable", "withheld"
]
IdForm = Callable[[str], str]
"""Returns an id as the vendor writes it; raises ValueError with the reason where the text is no id."""

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True)
class Outcome:
    """What came of one id.

    Attributes:
        status: `read`: the record is in a page. `deleted`: the vendor says that it is. `merged`: the vendor says that it
            is now `into`. `not_found`: the vendor has none for this login, which says nothing about a deletion.
            `malformed`: it is no id, and nobody was asked. `refused`: the vendor has not answered about it.
            `unreadable`: the record came and is quarantined. `withheld`: its person was erased, so it does not land.
        reason: in a sentence; "" for `read`.
        source_id: the id as the vendor writes it; "" where it is malformed.
        into: the id of the record that it was merged into.
    """

    status: Status
    reason: str = ""
    source_id: str = ""
    into: str = ""


@dataclass(frozen=True)
class AskedIds:
    """The ids to ask for.

    Attributes:
        ids: as the vendor writes them, each once, in the order given.
        given: the texts that stand for each id.
        malformed: the other texts, with the reason.
    """

    ids: tuple[str, ...]
    given: Mapping[str, tuple[str, ...]]
    malformed: Mapping[str, Outcome]

    @classmethod
    def of(cls, ids: Sequence[str], form: IdForm) -> Self:
        """Return the ids of texts."""
        given: dict[str, list[str]] = {}
        malformed: dict[str, Outcome] = {}
        for text in dict.fromkeys(ids):
            try:
                given.setdefault(form(text), []).append(text)
            except ValueError as error:
                malformed[text] = Outcome("malformed", str(error))
        return cls(tuple(given), {one: tuple(texts) for one, texts in given.items()}, malformed)

    def chunks(self, size: int) -> Iterator[tuple[str, ...]]:
        """Yield the ids in parts of at most `size`."""
        for start in range(0, len(self.ids), size):
            yield self.ids[start : start + size]

    def named(self, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
        """Return outcomes by the texts that were given for the ids; those of other ids are left out."""
        return {
            text: replace(outcome, source_id=source_id)
            for source_id, outcome in outcomes.items()
            for text in self.given.get(source_id, ())
        }


def number(text: str) -> str:
    """Return an id that is a number of 64 bits.

    Raises:
        ValueError: it is none.
    """
    if not _NUMBER.fullmatch(text) or int(text) > _LARGEST:
        raise ValueError(
            "it is no id: ids of this object are whole numbers of up to 19 digits, without a leading 0"
        )
    return text


def uuid(text: str) -> str:
    """Return an id that is a UUID, in lower case.

    Raises:
        ValueError: it is none.
    """
    lowered = text.lower()
    if not _UUID.fullmatch(lowered):
        raise ValueError(
            "it is no id: ids of this object look like 2f6dcd60-0b5a-11ef-9d3c-6f1b0b5d9f6e"
        )
    return lowered


def word(text: str) -> str:
    """Return an id of which only is known that it is some printable text.

    Raises:
        ValueError: it is empty, or has characters that cannot be printed.
    """
    if not text.strip() or not text.isprintable():
        raise ValueError("it is no id: it is empty, or has characters that cannot be printed")
    return text
