"""Lists in answers that describe an account: objects, fields, pick lists. One broken entry is left out."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import structlog

from crm_pipeline.kernel.errors import MalformedAnswer
from crm_pipeline.wire.decoding import UNREADABLE, decoded

T = TypeVar("T")
_log = structlog.get_logger(__name__)


def readable(
    entries: Sequence[msgspec.Raw],
    kind: type[T],
    *,
    owner: str,
    what: str,
    may_lack: Callable[[msgspec.Raw], bool] = lambda _: True,
) -> list[T]:
    """Return the entries of a list that can be read, and warn about the others.

    Args:
        entries: as received.
        kind: what each of them should be.
        owner: whose answer it is, for error texts.
        what: the list in a few words, such as "the fields of Contact".
        may_lack: whether an entry that cannot be read may be left out.

    Raises:
        MalformedAnswer: none can be read, or one that must not be missing.
    """
    found: list[T] = []
    broken = 0
    for entry in entries:
        try:
            found.append(msgspec.json.decode(entry, type=kind))
        except UNREADABLE:
            broken += 1
            if not may_lack(entry):
                decoded(bytes(entry), kind, owner=owner, what=f"one of {what}")
    if broken and not found:
        raise MalformedAnswer(f"{owner}: none of {what} is what the vendor documents.")
    if broken:
        _log.warning(
            "entries of a list cannot be read and are left out",
            connection=owner,
            what=what,
            left_out=broken,
            cure="Run again; if it persists, report it to the vendor with the time of the run.",
        )
    return found
