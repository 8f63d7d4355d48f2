"""Types of Zoho's responses about an org, its modules and its exports.

Nearly all have the same form: a list under a key of its own, and whether there is more.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar, cast

import msgspec

from crm_pipeline.wire.decoding import Count

T = TypeVar("T")
NO_BODY = frozenset({204, 304})
"""Statuses of responses without a body, which mean an empty result."""


@dataclass(frozen=True)
class ListPage(Generic[T]):
    """The list of a response, and whether there is more."""

    entries: list[T]
    has_more: bool = False


class Info(msgspec.Struct):
    """The paging information of a list."""

    more_records: bool | None = None
    next_page_token: str | None = None


class Licence(msgspec.Struct):
    """The org's licence."""

    paid: bool | None = None
    paid_type: str | None = None
    users: Count | None = msgspec.field(name="users_license_purchased", default=None)


class Organization(msgspec.Struct):
    """An org."""

    id: str | int | None = None
    zgid: str | int | None = None
    # Only days and amounts depend on these: a value that is no text is unknown.
    time_zone: Any = None
    iso_code: Any = None
    currency: Any = None
    licence: Licence | None = msgspec.field(name="license_details", default=None)


class Currency(msgspec.Struct):
    """One of the org's currencies."""

    iso_code: str | None = None
    is_base: bool | None = None


class UserRight(msgspec.Struct):
    """A profile or a role of a user."""

    id: str | int | None = None


class User(msgspec.Struct):
    """The user of a login."""

    id: str | int | None = None
    email: str | None = None
    profile: UserRight | None = None
    role: UserRight | None = None


class Layout(msgspec.Struct):
    """One layout of a module."""

    # The id becomes a part of paths.
    id: Annotated[str, msgspec.Meta(pattern=r"^\d{1,30}$")] | int
    sections: msgspec.Raw = msgspec.Raw(b"[]")


class JobDetails(msgspec.Struct):
    """The job that a response names."""

    id: Annotated[str, msgspec.Meta(pattern=r"^\d{1,30}$")]


class NewJob(msgspec.Struct):
    """The response to a new export."""

    details: JobDetails


class JobError(msgspec.Struct):
    """Why an export failed; the texts are only shown."""

    code: Any = ""
    message: Any = ""


class JobResult(msgspec.Struct):
    """The result of an export."""

    count: Count | None = None
    more_records: bool | None = None
    next_page_token: str | None = None
    download_url: str | None = None
    error: JobError | None = msgspec.field(name="error_message", default=None)


class JobState(msgspec.Struct):
    """The state of an export."""

    state: str
    result: JobResult | None = None


@lru_cache(maxsize=32)
def _list_form(key: str, kind: Any) -> type[Any]:
    return msgspec.defstruct("Response", [(key, list[kind]), ("info", Info | None, None)])


def list_form(key: str, kind: type[Any]) -> type[Any]:
    """Return the type of a response with a list."""
    return _list_form(key, cast("Hashable", kind))
