"""Zoho's answers about an org, its modules and its exports, as far as they are used here.

Nearly all have one form: a list under a key of its own, and beside it whether there is more.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec

from crm_pipeline.wire.decoding import Count

T = TypeVar("T")
NO_BODY = frozenset({204, 304})
"""Statuses under which an answer has no body, and means that there is nothing."""


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A list of an answer, and whether there is more behind it."""

    entries: list[T]
    has_more: bool = False


class Info(msgspec.Struct):
    """What stands beside a list."""

    more_records: bool | None = None
    next_page_token: str | None = None


class Licence(msgspec.Struct):
    """What the org has paid for."""

    paid: bool | None = None
    paid_type: str | None = None
    users: Count | None = msgspec.field(name="users_license_purchased", default=None)


class Organization(msgspec.Struct):
    """What an org tells of itself."""

    id: str | int | None = None
    zgid: str | int | None = None
    # Nothing but days and amounts depends on these: what is no text is unknown.
    time_zone: Any = None
    iso_code: Any = None
    currency: Any = None
    licence: Licence | None = msgspec.field(name="license_details", default=None)


class Currency(msgspec.Struct):
    """One of the org's currencies."""

    iso_code: str | None = None
    is_base: bool | None = None


class Right(msgspec.Struct):
    """What a user may do or see: a profile, or a role."""

    id: str | int | None = None


class User(msgspec.Struct):
    """The user that a login is of."""

    id: str | int | None = None
    email: str | None = None
    profile: Right | None = None
    role: Right | None = None


class Layout(msgspec.Struct):
    """One layout of a module."""

    # It becomes a part of addresses.
    id: Annotated[str, msgspec.Meta(pattern=r"^\d{1,30}$")] | int
    sections: msgspec.Raw = msgspec.Raw(b"[]")


class JobDetails(msgspec.Struct):
    """The job that an answer names."""

    id: Annotated[str, msgspec.Meta(pattern=r"^\d{1,30}$")]


class NewJob(msgspec.Struct):
    """The answer to a new export."""

    details: JobDetails


class Words(msgspec.Struct):
    """Why an export failed; what it says is for people only."""

    code: Any = ""
    message: Any = ""


class JobResult(msgspec.Struct):
    """What an export says of its file."""

    count: Count | None = None
    more_records: bool | None = None
    next_page_token: str | None = None
    download_url: str | None = None
    error: Words | None = msgspec.field(name="error_message", default=None)


class JobState(msgspec.Struct):
    """How far an export is."""

    state: str
    result: JobResult | None = None


@lru_cache(maxsize=32)
def _list_form(key: str, kind: Any) -> type[Any]:
    return msgspec.defstruct("Answer", [(key, list[kind]), ("info", Info | None, None)])


def list_form(key: str, kind: type[Any]) -> type[Any]:
    """Return the form of an answer with a list."""
    return _list_form(key, cast("Hashable", kind))
