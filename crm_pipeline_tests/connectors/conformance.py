"""What a vendor's `case.py` says, so that the conformance tests can put the same claims to its connector.

The claims stand in `test_conformance_*.py`. Nothing here or there knows a vendor: a case is found by its folder.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors.registry import vendors
from crm_pipeline.kernel.errors import CrmError

ENDLESS = "9" * 300
PAGE = 12
"""How many records a page has: so few that a small world takes many."""
CONTACTS = 80
ONE_STAMP = "2026-10-10T10:10:10+00:00"
"""What a third of the records share as their stamp."""

CLAIMS = frozenset({"resume", "scope", "marks", "losers"})
"""What a case may declare as impossible: going on after a kill, scopes, marks of deleted records, and of the
losers of merges."""


@dataclass(frozen=True)
class EmulatedRecord:
    """What an emulator's tables say of a record: when it changed last (old ones may not know), and its free text."""

    modified_at: datetime | None
    text: str | None


@dataclass(frozen=True)
class RouteCase:
    """One of a vendor's ways of reading.

    Attributes:
        name: as `route:` in connections.yaml.
        method, path: of requests that bring records; no method is any, and `path` is a regular expression
            for the path with its query.
        body: a regular expression for the body of those requests, where path and method do not tell.
        records: the key of the list of records in an answer; "" where pages are files.
        repeats: the path of what names the next page, where that is not the page itself; `named` is what such
            an answer holds.
        lacks: claims that cannot be put to this route, with the reason.
    """

    name: str
    method: str
    path: str
    body: str = ""
    records: str = ""
    repeats: str = ""
    named: bytes = b""
    lacks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One vendor.

    Attributes:
        vendor: its folder's name.
        object: what is read: an object with free text, deletions, restores and merges.
        objects: what connections.yaml lists, the object among them.
        absent: an object that the account does not have.
        unknown: an id of the object that no record ever had.
        auth: the lines under `auth:` of a login whose tokens expire.
        metered: the same for a login that the company's budget of a day counts for.
        environ: the secrets that they name; all of them are looked for where they must not be.
        high_limits: limits at which no call waits; pages have `PAGE` records by `pages`.
        routes: each that the vendor's `limits.yaml` lists.
        small_chunks: constants of the connector, as `module.NAME` -> value: chunks as small as a page.
        text: the field of the free text.
        fresh: fields of a new record, besides the text.
        table, column: where the object's records are published, and which column holds the text.
        vanishing: a field that somebody hides.
        token_path: of the requests for tokens.
        throttled: status, body and headers of a refusal for too many calls at once.
        widen: lifts the emulator's ceilings and makes its pages small.
        publish_limits: sets the published ceilings again; jobs are done at once, as nobody shall wait for them.
        live: the live records by id, from the emulator.
        deleted_ids: the ids of deleted ones that the vendor still tells of.
        fetch: the live records by id as another client gets them, with all fields.
        normal_form: a record, landed or fetched, in one form for comparison.
        csv_form: the same where a page is a file, which holds nothing but texts.
        text_of: the free text of a landed record.
        revoke: ends the refresh token.
        exhaust_budget: lets another app use up the company's budget of the day.
        impossible_counters: headers of the counters with impossible values, one set for each response.
        without_scope: takes a scope away and returns its name.
        lacks: claims that cannot be put to this vendor, with the reason.
    """

    vendor: str
    object: str
    objects: tuple[str, ...]
    absent: str
    unknown: str
    auth: str
    metered: str
    environ: Mapping[str, str]
    high_limits: str
    pages: str
    routes: tuple[RouteCase, ...]
    small_chunks: Mapping[str, int]
    text: str
    fresh: Mapping[str, Any]
    table: str
    column: str
    vanishing: str
    token_path: str
    throttled: Mapping[str, Any]
    widen: Callable[[Any], None]
    publish_limits: Callable[[Any], None]
    live: Callable[[Any], dict[str, EmulatedRecord]]
    deleted_ids: Callable[[Any], set[str]]
    fetch: Callable[[str], dict[str, dict[str, Any]]]
    normal_form: Callable[[Mapping[str, Any]], dict[str, Any]]
    text_of: Callable[[Mapping[str, Any]], str | None]
    revoke: Callable[[Any], None]
    exhaust_budget: Callable[[Any], None]
    without_scope: Callable[[Any], str]
    impossible_counters: tuple[Mapping[str, str], ...]
    csv_form: Callable[[Mapping[str, Any]], dict[str, str]] | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.vendor


@dataclass(frozen=True)
class Way:
    """A route of a vendor."""

    case: Case
    route: RouteCase

    def __str__(self) -> str:
        return f"{self.case.vendor}-{self.route.name}"

    def needs(self, reported: str) -> None:
        """Skip a claim that this vendor or route declares impossible, with its reason."""
        reason = self.route.lacks.get(reported) or self.case.lacks.get(reported)
        if reason:
            pytest.skip(reason)


def has_case(vendor: str) -> bool:
    """Say whether a vendor's tests have a case."""
    return (Path(__file__).parent / vendor / "case.py").exists()


def case_of(vendor: str) -> Case:
    """Return the case of a vendor."""
    module = importlib.import_module(f"{__package__}.{vendor}.case")
    found: Case = module.CASE
    return found


# `test_conformance.py` finds vendors without a case.
CASES = [case_of(vendor) for vendor in vendors() if has_case(vendor)]
WAYS = [Way(case, route) for case in CASES for route in case.routes]


def assert_clear(error: CrmError, secrets: list[str], *, names: str = "demo") -> None:
    """A text that names the connection and what to do, and no secret, with all that it came from."""
    assert names in str(error)
    assert error.cure
    seen: BaseException | None = error
    while seen is not None:
        for secret in secrets:
            assert secret not in repr(seen) + str(seen)
        seen = seen.__cause__ or seen.__context__
