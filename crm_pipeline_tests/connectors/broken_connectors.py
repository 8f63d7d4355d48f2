"""Connectors and emulators that are broken in one way each, for `test_broken_connectors.py`.

Each function breaks one thing through pytest's `MonkeyPatch`, which mends it after the test. Most break Pipedrive's
connector, whose reads take the least time; what Pipedrive cannot do is broken at HubSpot or Salesforce.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.connectors import checkup, metering
from crm_pipeline.connectors.api import VendorApi
from crm_pipeline.connectors.asked_ids import Outcome
from crm_pipeline.connectors.hubspot.account import HubSpotAccount
from crm_pipeline.connectors.oauth import token_endpoint
from crm_pipeline.connectors.oauth.token_endpoint import TokenEndpoint
from crm_pipeline.connectors.pipedrive import account as pipedrive
from crm_pipeline.connectors.pipedrive import errors, keys, planning, points
from crm_pipeline.connectors.pipedrive.account import PipedriveAccount
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.connectors.pipedrive.responses import ListPage
from crm_pipeline.connectors.pipedrive.scan import Scan
from crm_pipeline.connectors.vendor_clock import VendorClock
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CrmError,
    MalformedResponse,
    NotPermitted,
    WouldWait,
)
from crm_pipeline.ratelimit.limiter import RateLimiter
from crm_pipeline.stages.normalized import fold
from crm_pipeline.stages.normalized.arrivals import Arrivals
from crm_pipeline.stages.normalized.history import HistoryBuild
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.raw import account, snapshot
from crm_pipeline.stages.raw.audit import confirm, connection
from crm_pipeline.stages.raw.audit.merged import MergedAway
from crm_pipeline.stages.raw.audit.setting import AuditSetting
from crm_pipeline.stages.raw.kept_out import Cutter
from crm_pipeline.stages.raw.new_fields import backfill
from crm_pipeline.stages.raw.new_fields.backfill import _Filling
from crm_pipeline.stages.raw.present import Present
from crm_pipeline.stages.raw.snapshot import Verdict
from crm_pipeline.stages.raw.unstamped import landed_fields
from crm_pipeline.stages.raw.unstamped.field_sweep import FieldSweep
from crm_pipeline.store.field_backfills import FieldBackfill
from crm_pipeline.store.landing import watermark
from crm_pipeline.store.landing.manifest import WindowCommit
from crm_pipeline.store.sweeps import Sweeps
from crm_pipeline.wire import dates, session
from crm_pipeline_tests.connectors.conformance import PAGE
from crm_sandbox.pipedrive import credentials
from crm_sandbox.pipedrive.emulation import PipedriveSandbox

# Each `__init__` exports a function of the same name, so the modules are imported by their path.
extract = importlib.import_module("crm_pipeline.stages.raw.extract")
present = importlib.import_module("crm_pipeline.stages.raw.present")
probe = importlib.import_module("crm_pipeline.stages.raw.probe")
audit = importlib.import_module("crm_pipeline.stages.raw.audit.audit")
_NO_RECORDS = b'{"success": true, "data": [], "additional_data": {"next_cursor": null}}'


def _around(patch: pytest.MonkeyPatch, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute by what is made of it."""
    patch.setattr(owner, name, make(getattr(owner, name)))


def _page_after(patch: pytest.MonkeyPatch, change: Callable[[Lister, ListPage], None]) -> None:
    """Let something be done to each page that the connector has read."""

    def make(ask: Callable[..., ListPage]) -> Callable[..., ListPage]:
        def changed(lister: Lister, *given: Any) -> ListPage:
            page = ask(lister, *given)
            change(lister, page)
            return page

        return changed

    _around(patch, Lister, "fetch", make)


def _errors(
    patch: pytest.MonkeyPatch, owner: Any, name: str, kind: type[CrmError], **words: Any
) -> None:
    """Let errors of a kind that come out of a method hold other words."""

    def make(method: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any, **options: Any) -> Any:
            try:
                return method(*given, **options)
            except kind as error:
                vars(error).update(words)
                raise

        return changed

    _around(patch, owner, name, make)


# What a read brings


def page_loses_a_record(patch: pytest.MonkeyPatch) -> None:
    _around(patch, ListPage, "within", lambda of: lambda page, window: of(page, window).slice(1))


def page_lands_twice(patch: pytest.MonkeyPatch) -> None:
    def make(handed: Callable[..., Any]) -> Callable[..., Any]:
        def changed(scan: Scan, chunk: Any, following: str | None) -> Any:
            chunk.batches += chunk.batches
            return handed(scan, chunk, following)

        return changed

    _around(patch, Scan, "_landing_page", make)


def optional_fields_are_not_requested(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pipedrive.describe, "optional_of", lambda *_: ())  # type: ignore[attr-defined]


def counts_are_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HubSpotAccount, "count", lambda *_: None)


def every_call_waits(patch: pytest.MonkeyPatch) -> None:
    def change(lister: Lister, _: ListPage) -> None:
        lister.api._context.clock.sleep(1)

    _page_after(patch, change)


def pages_are_not_recorded(patch: pytest.MonkeyPatch) -> None:
    def make(record: Callable[..., None]) -> Callable[..., None]:
        def changed(limiter: RateLimiter, group: str, operation: str, **given: Any) -> None:
            if not operation.startswith("list "):
                record(limiter, group, operation, **given)

        return changed

    _around(patch, RateLimiter, "record", make)


def plan_is_three_times_too_high(patch: pytest.MonkeyPatch) -> None:
    def make(routes: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *given, **options: tuple(
            replace(strategy, calls=3 * strategy.calls, cost=3 * strategy.cost)
            for strategy in routes(*given, **options)
        )

    _around(patch, planning, "strategies", make)


def token_is_logged(patch: pytest.MonkeyPatch) -> None:
    def make(authorization: Callable[..., Mapping[str, str]]) -> Callable[..., Mapping[str, str]]:
        def changed(*given: Any) -> Mapping[str, str]:
            headers = authorization(*given)
            logging.getLogger(__name__).debug("headers %s", headers)
            return headers

        return changed

    _around(patch, VendorApi, "authorization", make)


def token_stands_in_the_manifest(patch: pytest.MonkeyPatch) -> None:
    def make(plan: Callable[..., Any]) -> Callable[..., Any]:
        def changed(account: PipedriveAccount, *given: Any) -> Any:
            token = account._api.token().access_token.reveal()
            return replace(plan(account, *given), reason=f"read as {token}")

        return changed

    _around(patch, PipedriveAccount, "plan", make)


# Faults on the way


def retried_page_is_empty(patch: pytest.MonkeyPatch) -> None:
    def make(ask: Callable[..., ListPage]) -> Callable[..., ListPage]:
        def changed(lister: Lister, *given: Any) -> ListPage:
            before = lister.api.usage.calls
            page = ask(lister, *given)
            if lister.api.usage.calls > before + 1:
                page.batch = page.batch.slice(0, 0)
            return page

        return changed

    _around(patch, Lister, "fetch", make)


def malformed_page_is_the_end(patch: pytest.MonkeyPatch) -> None:
    def make(ask: Callable[..., ListPage]) -> Callable[..., ListPage]:
        def changed(lister: Lister, listing: Any, params: Mapping[str, str]) -> ListPage:
            try:
                return ask(lister, listing, params)
            except MalformedResponse:
                at = lister.api.now()
                return ListPage(_NO_RECORDS, lister.item, listing, asked_at=at, owner=lister.owner)

        return changed

    _around(patch, Lister, "fetch", make)


def retry_after_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dates, "wait_s", lambda *_: None)


def checkpoint_is_not_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Scan, "_done_chunks", lambda _: {})


# Logins and permissions


def login_is_renewed_twice(patch: pytest.MonkeyPatch) -> None:
    def make(renew: Callable[..., None]) -> Callable[..., None]:
        def changed(api: VendorApi, stale: Any) -> None:
            renew(api, stale)
            if stale is not None:
                renew(api, api._token)

        return changed

    _around(patch, VendorApi, "_renew", make)


def refused_login_has_no_cure(patch: pytest.MonkeyPatch) -> None:
    _errors(patch, TokenEndpoint, "request", AuthFailed, cure="Try again.")


def refused_login_tells_the_secret(patch: pytest.MonkeyPatch) -> None:
    words = f"demo: {credentials.CLIENT_SECRET} was refused"
    _errors(patch, TokenEndpoint, "request", AuthFailed, message=words)


def scope_is_not_named(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(errors, "_SCOPES", {})


def unknown_object_has_no_cure(patch: pytest.MonkeyPatch) -> None:
    _errors(patch, PipedriveAccount, "_item", NotPermitted, cure="Try again.")


def hidden_field_costs_a_record(patch: pytest.MonkeyPatch) -> None:
    hidden: list[str] = []

    def make(hide: Callable[..., None]) -> Callable[..., None]:
        def changed(emulator: Any, name: str, field: str, **options: Any) -> None:
            hidden.append(field)
            hide(emulator, name, field, **options)

        return changed

    _around(patch, PipedriveSandbox, "hide_field", make)
    _around(patch, ListPage, "within", lambda of: lambda page, at: of(page, at).slice(bool(hidden)))


# Pages


def repeated_page_is_read_on(patch: pytest.MonkeyPatch) -> None:
    def make(page: Callable[..., ListPage]) -> Callable[..., ListPage]:
        def changed(scan: Scan, *given: Any, **options: Any) -> ListPage:
            scan._seen.clear()
            return page(scan, *given, **options)

        return changed

    _around(patch, Scan, "_page", make)


def empty_page_is_the_end(patch: pytest.MonkeyPatch) -> None:
    def make(behind: Callable[..., keys.Additional]) -> Callable[..., keys.Additional]:
        def changed(page: Any, *given: Any) -> keys.Additional:
            return behind(page, *given) if page.seen else keys.Additional()

        return changed

    _around(patch, keys, "next_page_of", make)


def counts_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(extract, "_reconcile", lambda *_: None)


def unreadable_record_is_dropped(patch: pytest.MonkeyPatch) -> None:
    def change(_: Lister, page: ListPage) -> None:
        page.rejected = []

    _page_after(patch, change)


# Changes and deletions


def edit_leaves_the_time_of_change(patch: pytest.MonkeyPatch) -> None:
    def make(edit: Callable[..., None]) -> Callable[..., None]:
        def changed(emulator: Any, obj: str, record: str, **fields: Any) -> None:
            row = next(row for row in emulator.rows(obj) if str(row["id"]) == record)
            at = row["update_time"]
            fields.setdefault("stamp", f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None)
            edit(emulator, obj, record, **fields)

        return changed

    _around(patch, PipedriveSandbox, "edit", make)


def live_records_are_marked_as_deleted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(keys, "is_deleted", lambda key, _: key.id % 2 == 0)


def missing_records_are_not_asked_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(snapshot, "_shown_by_vendor", lambda *_: "")


def reads_by_id_supersede_no_deletion(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ObjectInput, "is_confirmed", lambda _, place: place.is_complete)


def empty_list_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(extract, "evaluate_snapshot", lambda *_: Verdict())


def later_versions_are_not_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HistoryBuild, "_changed", lambda _, parent, seen: parent)


# Audits


def audit_compares_no_times(patch: pytest.MonkeyPatch) -> None:
    def make(difference: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any) -> Any:
            found = difference(*given)
            return replace(found, stale=found.stale.slice(0, 0))

        return changed

    _around(patch, audit, "difference", make)


def plan_of_an_audit_is_too_low(patch: pytest.MonkeyPatch) -> None:
    def make(plan: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any) -> Any:
            made = plan(*given)
            return replace(made, asked=made.asked - 5)

        return changed

    _around(patch, connection, "AuditPlan", make)


def merges_are_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MergedAway, "losers", lambda *_: "")


def deleted_records_are_emptied(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Arrivals, "_with_last_values", lambda *_: None)
    patch.setattr(fold, "last_values", lambda *_: None)


def empty_sweep_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(confirm, "_is_plausible", lambda *_, **__: True)
    patch.setattr(connection, "sight_of", lambda _: "")


def counts_of_months_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit._Count, "is_equal", True)


def audit_compares_no_content(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit, "changed_content", lambda *_: 0)


def allowance_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VendorApi, "spending", lambda *_: nullcontext())


# Sweeps


def every_field_differs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(landed_fields, "_DIFFERS", "true")


def empty_list_of_fields_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FieldSweep, "_refuse_gaps", lambda *_: None)


def sweeps_begin_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sweeps, "note", lambda *_: None)


def times_of_lists_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(landed_fields, "_SAME_TIME", "true")


def sweep_spends_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FieldSweep, "_left", lambda _: None)
    allowance_is_ignored(patch)


def objects_of_an_audit_share_files(patch: pytest.MonkeyPatch) -> None:
    def new_file(setting: AuditSetting, name: str) -> Path:
        return setting.folder.parent / f"{name}.parquet"

    patch.setattr(AuditSetting, "new_file", new_file)


# New fields


def lacking_records_are_not_read(patch: pytest.MonkeyPatch) -> None:
    def read(_: _Filling, state: FieldBackfill, ids: list[str], place: str) -> FieldBackfill:
        return replace(state, after=place, filled=state.filled + len(ids))

    patch.setattr(_Filling, "_read", read)


def backfill_spends_anything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(backfill, "_READ_AT_ONCE", PAGE)
    patch.setattr(_Filling, "_left", lambda _: None)


def fields_that_go_end_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Filling, "ended", lambda *_: None)


# Clock, counters, budgets


def date_header_is_believed(patch: pytest.MonkeyPatch) -> None:
    """Take the last `Date` for the vendor's clock, and the vendor's clock for the present."""
    last: list[datetime] = []

    def make(saw: Callable[..., None]) -> Callable[..., None]:
        def changed(clock: VendorClock, date: str | None, *given: Any) -> None:
            at = dates.instant(date)
            last[:] = [at] if at else []
            saw(clock, date, *given)

        return changed

    _around(patch, VendorClock, "saw", make)
    patch.setattr(VendorClock, "at", lambda _, own: last[0] if last else own)
    patch.setattr(present, "choose", lambda own, vendor, *_: Present(vendor, own, vendor))


def clock_is_always_right(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkup, "tolerated", lambda _: timedelta.max)


def every_counter_is_believed(patch: pytest.MonkeyPatch) -> None:
    def read(reported: metering.ReportedCounter) -> metering.Reading:
        digits = re.sub(r"[^0-9]", "", reported.allowed)[:6]
        return metering.Reading(reported.limit, 0, int(digits or 0) + 1_000_000)

    patch.setattr(metering, "read", read)


def token_life_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(token_endpoint, "lasting", lambda *_, **__: 0.0)


def wait_of_years_is_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(session, "_LONGEST_WAIT_S", 1e12)


def limiter_lets_all_through(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def permit(*_: Any, **__: Any) -> Iterator[float]:
        yield 0.0

    patch.setattr(RateLimiter, "permit", permit)


def limiter_lets_through_what_would_wait(patch: pytest.MonkeyPatch) -> None:
    def make(permit: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def changed(*given: Any, **options: Any) -> Iterator[float]:
            with ExitStack() as stack:
                try:
                    waited: float = stack.enter_context(permit(*given, **options))
                except WouldWait:
                    waited = 0.0
                yield waited

        return changed

    _around(patch, RateLimiter, "permit", make)


def spent_budget_has_no_wait(patch: pytest.MonkeyPatch) -> None:
    _errors(patch, VendorApi, "read", BudgetExhausted, wait_s=0.0)


# Fields that are kept out


def nothing_is_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cutter, "cut", lambda self, batch, rejected: batch)


# Single records by their ids


def point_read_loses_a_record(patch: pytest.MonkeyPatch) -> None:
    def make(page: Callable[..., Any]) -> Callable[..., Any]:
        return lambda batch, *given, **options: page(batch.slice(1), *given, **options)

    _around(patch, points, "point_page", make)


def absent_record_counts_as_deleted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(points, "NOT_FOUND", "gone")
    patch.setattr(
        points,
        "Outcome",
        lambda status, *given: Outcome("deleted" if given == ("gone",) else status),
    )


def point_read_moves_the_watermark(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WindowCommit, "is_point", False)
    patch.setattr(watermark, "gap_free_edge", lambda _: datetime(2026, 11, 23, 10, tzinfo=UTC))


def point_reads_count_as_landed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WindowCommit, "is_point", False)


# Upkeep


def unanswered_object_counts_as_asked(patch: pytest.MonkeyPatch) -> None:
    def make(news: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any) -> Any:
            try:
                return news(*given)
            except NotPermitted:
                return 0, None

        return changed

    _around(patch, probe, "_news", make)


def throttled_probes_are_repeated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(account, "replace", lambda policy, **_: policy)


def upkeep_is_stated_too_low(patch: pytest.MonkeyPatch) -> None:
    def make(of: Callable[..., Any]) -> Callable[..., Any]:
        def changed(obj: Any) -> Any:
            upkeep = of(obj)
            return replace(upkeep, refresh=upkeep.refresh - 5)

        return changed

    _around(patch, pipedrive.upkeep, "of", make)  # type: ignore[attr-defined]
