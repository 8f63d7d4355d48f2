"""Prospeo's responses as declared types.

The frame of a response is strict: one that differs is asked for again. What it says of a person or a company has been
paid for: a value of another type than declared is left out, and the others are kept.
"""

from typing import Any, TypeVar, cast

import msgspec

from crm_pipeline.wire.decoding import UNREADABLE, Count

S = TypeVar("S", bound=msgspec.Struct)
Text = str | None
Whole = int | None
Number = int | float | None


class Email(msgspec.Struct):
    """The part `email` of a person; the value is real only where `revealed` is true."""

    status: Text = None
    revealed: bool = False
    email: Text = None


class Mobile(msgspec.Struct):
    """The part `mobile` of a person, likewise."""

    status: Text = None
    revealed: bool = False
    mobile: Text = None
    mobile_international: Text = None


class Place(msgspec.Struct):
    """Where a person or a company is."""

    city: Text = None
    state: Text = None
    country: Text = None
    country_code: Text = None
    time_zone: Text = None


class Job(msgspec.Struct):
    """One entry of a job history."""

    title: Text = None
    current: bool | None = None
    start_year: Whole = None
    start_month: Whole = None
    departments: list[str] | None = None
    seniority: Text = None


class PersonPart(msgspec.Struct):
    """A person."""

    person_id: Text = None
    first_name: Text = None
    last_name: Text = None
    full_name: Text = None
    linkedin_url: Text = None
    current_job_title: Text = None
    headline: Text = None
    last_job_change_detected_at: Text = None
    job_history: list[Job] | None = None
    location: Place | None = None
    email: Email | None = None
    mobile: Mobile | None = None


class Phone(msgspec.Struct):
    """The number of a company's headquarters."""

    phone_hq: Text = None
    phone_hq_international: Text = None


class Revenue(msgspec.Struct):
    """A range of yearly revenue."""

    min: Number = None
    max: Number = None


class CompanyPart(msgspec.Struct):
    """A company; funding, technology and postings have no documented form."""

    company_id: Text = None
    name: Text = None
    domain: Text = None
    website: Text = None
    description: Text = None
    type: Text = None
    industry: Text = None
    employee_count: Whole = None
    employee_range: Text = None
    founded: Whole = None
    linkedin_url: Text = None
    location: Place | None = None
    phone_hq: Phone | None = None
    revenue_range: Revenue | None = None
    funding: dict[str, Any] | None = None
    technology: dict[str, Any] | None = None
    job_postings: dict[str, Any] | None = None


class Match(msgspec.Struct):
    """One match: of a single call, of a bulk call with its identifier, or of a search."""

    identifier: str = ""
    free_enrichment: bool | None = None
    person: msgspec.Raw = msgspec.Raw(b"null")
    company: msgspec.Raw = msgspec.Raw(b"null")


class Single(Match, kw_only=True):
    """The response of a single enrichment."""

    error: bool


class Named(msgspec.Struct):
    """A record that is echoed with its identifier."""

    identifier: str


class Bulk(msgspec.Struct):
    """The response of a bulk enrichment; misses are identifiers, or the records themselves."""

    error: bool
    matched: list[Match]
    total_cost: Count | None = None
    not_matched: list[str | Named] = []
    invalid_datapoints: list[str | Named] = []


class Pagination(msgspec.Struct):
    """The place of a page."""

    current_page: Count
    total_page: Count
    total_count: Count


class Results(msgspec.Struct):
    """The response of a search."""

    error: bool
    results: list[Match]
    pagination: Pagination


class AccountPart(msgspec.Struct):
    """How an account stands."""

    remaining_credits: Count
    used_credits: Count
    current_plan: str = ""
    next_quota_renewal_date: Text = None


class AccountInformation(msgspec.Struct):
    """The response of `account-information`; one client shows the content without its wrapper."""

    error: bool
    response: AccountPart | None = None
    remaining_credits: Count | None = None
    used_credits: Count | None = None
    current_plan: str = ""
    next_quota_renewal_date: Text = None

    def content(self) -> AccountPart | None:
        """Return the content, in its wrapper or without."""
        if self.response is not None:
            return self.response
        if self.remaining_credits is None or self.used_credits is None:
            return None
        return AccountPart(
            self.remaining_credits,
            self.used_credits,
            self.current_plan,
            self.next_quota_renewal_date,
        )


def identifiers(entries: list[str | Named]) -> list[str]:
    """Return the identifiers of misses."""
    return [entry if isinstance(entry, str) else entry.identifier for entry in entries]


def kept(raw: msgspec.Raw, kind: type[S]) -> S | None:
    """Return a part of a response in its type, without the values that have another type; None for no object."""
    try:
        return cast("S | None", msgspec.json.decode(raw, type=kind | None))
    except UNREADABLE:
        pass
    try:
        parts = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return None
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.name in parts:
            value = _value(parts[field.name], field.type)
            if value is not None:
                values[field.name] = value
    return kind(**values)


def _value(raw: msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        nested = [part for part in getattr(kind, "__args__", ()) if _is_struct(part)]
        return kept(raw, nested[0]) if nested else None


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
