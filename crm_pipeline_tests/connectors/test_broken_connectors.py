"""Each claim of the conformance tests fails on a connector or an emulator that is broken in just that way."""

import importlib
import inspect
import linecache
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline_tests.connectors import broken_connectors as broken
from crm_pipeline_tests.connectors.conformance import WAYS, Case, Way
from crm_pipeline_tests.connectors.conftest import Emulators
from crm_pipeline_tests.connectors.mutated_reads import forget
from crm_pipeline_tests.connectors.test_conformance_truth import Readings

Claim = Callable[..., None]


@dataclass(frozen=True)
class Break:
    """One way to break a connector or an emulator, and what notices it.

    Attributes:
        claim: name of the test function whose claim does not hold then.
        broken: what is broken, in words.
        notices: part of the line of the claim that fails.
        plant: breaks it.
        case: the same for a vendor's `case.py`.
        given: arguments of a claim that is put several times.
        way: vendor and read strategy.
    """

    claim: str
    broken: str
    notices: str
    plant: Callable[[pytest.MonkeyPatch], None] = lambda _: None
    case: Callable[[Case], Case] = lambda case: case
    given: Mapping[str, Any] = field(default_factory=dict)
    way: str = "pipedrive-cursor"

    def __str__(self) -> str:
        return f"{self.claim.removeprefix('test_')}: {self.broken}".replace(" ", "_")


IS_WHOLE = "assert harness.is_whole()"
NOT_RAISED = "with pytest.raises(CrmError) as caught:"
BREAKS = [
    Break(
        "test_every_vendor_has_a_case",
        "a vendor's tests lack a case.py",
        "assert has_case(vendor)",
        given={"vendor": "stranger"},
    ),
    Break(
        "test_a_case_has_every_route",
        "the case leaves a strategy out",
        "{route.name for route in case.routes}",
        case=lambda case: replace(case, routes=case.routes[:1]),
    ),
    Break(
        "test_what_is_lacking_has_a_reason",
        "the case gives no reason",
        'reason.endswith(".")',
        case=lambda case: replace(case, lacks={"marks": "none"}),
    ),
    Break(
        "test_every_record_once",
        "the connector loses a record of each page",
        IS_WHOLE,
        broken.page_loses_a_record,
    ),
    Break(
        "test_every_record_once",
        "the connector hands each page over twice",
        "len(ids) == len(set(ids))",
        broken.page_lands_twice,
    ),
    Break(
        "test_records_of_one_stamp_cross_pages",
        "the connector loses a record of each page",
        "assert",
        broken.page_loses_a_record,
    ),
    Break(
        "test_landing_is_lossless",
        "the connector does not request optional fields",
        "assert landed[key] == plain(",
        broken.optional_fields_are_not_requested,
    ),
    Break(
        "test_counts_are_reconciled",
        "the connector does not ask for the count behind the read",
        "assert done.vendor_count ==",
        broken.counts_are_not_asked_for,
        way="hubspot-list",
    ),
    Break(
        "test_nothing_is_waited_for",
        "the connector waits after each page",
        "clock.slept == []",
        broken.every_call_waits,
    ),
    Break(
        "test_every_call_is_in_the_accounts",
        "pages are not recorded",
        "== len(reading.calls)",
        broken.pages_are_not_recorded,
    ),
    Break(
        "test_planned_and_spent",
        "the plan states three times the calls",
        "done.planned_calls",
        broken.plan_is_three_times_too_high,
    ),
    Break(
        "test_no_secret_is_anywhere",
        "the connector logs its token",
        "if one in text] == []",
        broken.token_is_logged,
    ),
    Break(
        "test_no_secret_is_anywhere",
        "the connector writes its token into the manifest",
        "harness.leaks(",
        broken.token_stands_in_the_manifest,
    ),
    Break(
        "test_what_passes_loses_nothing",
        "a page that needed a second try is taken for empty",
        IS_WHOLE,
        broken.retried_page_is_empty,
    ),
    Break(
        "test_what_lasts_is_said",
        "a web page is taken for the end of the list",
        NOT_RAISED,
        broken.malformed_page_is_the_end,
        given={"fault": "login-page"},
    ),
    Break(
        "test_nothing_but_empty_answers",
        "an empty answer is taken for the end of the list",
        NOT_RAISED,
        broken.malformed_page_is_the_end,
    ),
    Break(
        "test_a_figure_for_the_wait_is_kept",
        "Retry-After is ignored",
        "caught.value.retry_after_s == WAIT_S",
        broken.retry_after_is_ignored,
    ),
    Break(
        "test_a_killed_read_goes_on",
        "the connector does not look at its checkpoint",
        "len(ids) == len(set(ids))",
        broken.checkpoint_is_not_read,
    ),
    Break(
        "test_a_login_that_ends_in_the_middle",
        "the login is renewed twice",
        "in harness.logins()] == [200]",
        broken.login_is_renewed_twice,
    ),
    Break(
        "test_a_refresh_token_that_was_revoked",
        "the error does not name the command",
        '"crm-pipeline login demo"',
        broken.refused_login_has_no_cure,
    ),
    Break(
        "test_a_refresh_token_that_was_revoked",
        "the error quotes the secrets",
        "assert secret not in",
        broken.refused_login_tells_the_secret,
    ),
    Break(
        "test_a_missing_scope_is_named",
        "the error does not name the scope",
        "assert scope in",
        broken.scope_is_not_named,
    ),
    Break(
        "test_an_object_that_the_account_lacks",
        "the error does not name the file",
        '"connections.yaml" in',
        broken.unknown_object_has_no_cure,
    ),
    Break(
        "test_a_field_that_vanishes",
        "a record is lost when a field vanishes",
        IS_WHOLE,
        broken.hidden_field_costs_a_record,
    ),
    Break(
        "test_one_audit_lists_several_objects",
        "the objects of an audit share their files",
        "(run.skipped, run.failed,",
        broken.objects_of_an_audit_share_files,
    ),
    Break(
        "test_records_that_were_read_before",
        "records that lack a field are counted and not read",
        "assert equals_the_account(",
        broken.lacking_records_are_not_read,
    ),
    Break(
        "test_a_kill_and_a_small_budget",
        "a backfill spends anything",
        "spent_today(",
        broken.backfill_spends_anything,
    ),
    Break(
        "test_a_field_that_goes_again",
        "a field that goes does not end its backfill",
        "assert ended is not None",
        broken.fields_that_go_end_nothing,
    ),
    Break(
        "test_a_page_that_comes_again",
        "the connector does not compare cursors",
        "isinstance(caught.value, ProtocolError",
        broken.repeated_page_is_read_on,
    ),
    Break(
        "test_an_empty_page_is_not_the_end",
        "an empty page is taken for the last one",
        IS_WHOLE,
        broken.empty_page_is_the_end,
    ),
    Break(
        "test_a_page_without_its_list",
        "null is taken for an empty list",
        NOT_RAISED,
        broken.malformed_page_is_the_end,
        given={"how": "null"},
    ),
    Break(
        "test_a_record_that_is_left_out",
        "counts are not compared",
        NOT_RAISED,
        broken.counts_are_not_compared,
        way="hubspot-list",
    ),
    Break(
        "test_one_bad_record_is_one_row_in_quarantine",
        "an unreadable record is dropped",
        IS_WHOLE,
        broken.unreadable_record_is_dropped,
    ),
    Break(
        "test_an_excluded_field_never_touches_the_disk",
        "records are stored as they came",
        "assert stored(harness, text) == []",
        broken.nothing_is_cut,
    ),
    Break(
        "test_a_hashed_field_is_stored_as_its_hash",
        "records are stored as they came",
        "assert stored(harness, text) == []",
        broken.nothing_is_cut,
    ),
    Break(
        "test_records_that_change_while_they_are_read",
        "an edit leaves the time of change as it was",
        "assert landed ==",
        broken.edit_leaves_the_time_of_change,
    ),
    Break(
        "test_the_published_table_is_the_account",
        "the connector marks live records as deleted",
        "assert dict(rows) ==",
        broken.live_records_are_marked_as_deleted,
    ),
    Break(
        "test_the_past_is_the_account_of_then",
        "versions that land later are not kept",
        "== truths",
        broken.later_versions_are_not_kept,
    ),
    Break(
        "test_what_was_planted_is_found_and_healed",
        "the audit does not compare modification times",
        'found["stale"] == len(stale)',
        broken.audit_compares_no_times,
    ),
    Break(
        "test_what_was_planted_is_found_and_healed",
        "an empty sweep is believed",
        "assert right(harness)",
        broken.empty_sweep_is_believed,
        way="salesforce-rest",
    ),
    Break(
        "test_an_audit_spends_what_its_plan_says",
        "the plan of an audit is too low",
        "abs(plan.cost - run.cost) <= 1",
        broken.plan_of_an_audit_is_too_low,
        given={"start": "2018-01"},
    ),
    Break(
        "test_the_losers_of_merges_are_no_ghosts",
        "merges are not looked at",
        '== {("equal", 0, 0)}',
        broken.merges_are_not_looked_at,
        way="hubspot-list",
    ),
    Break(
        "test_deleted_records_keep_their_values",
        "a deletion without values empties the record",
        "== {n: plain(then[n]) for n in kept}",
        broken.deleted_records_are_emptied,
        way="salesforce-rest",
    ),
    Break(
        "test_months_that_differ_are_healed",
        "the counts of months are not compared",
        "== (1, 1, 0)",
        broken.counts_of_months_are_not_compared,
        way="hubspot-list",
    ),
    Break(
        "test_months_that_differ_are_healed",
        "the audit does not compare content",
        '== ("content", 0, 0, 1)',
        broken.audit_compares_no_content,
    ),
    Break(
        "test_nothing_is_sent_beyond_an_allowance",
        "the allowance is ignored",
        "pytest.raises(AllowanceSpent)",
        broken.allowance_is_ignored,
    ),
    Break(
        "test_just_what_was_recalculated_lands",
        "equal values are said to differ",
        "dict.fromkeys(changed, 1)",
        broken.every_field_differs,
    ),
    Break(
        "test_a_list_that_is_empty_by_mistake",
        "an empty list is a complete one",
        "== (0, False)",
        broken.empty_list_of_fields_is_believed,
    ),
    Break(
        "test_a_sweep_that_is_cut",
        "no sweep notes where it stopped",
        "rest.compared ==",
        broken.sweeps_begin_again,
    ),
    Break(
        "test_an_edit_during_the_sweep",
        "the modification times of lists are ignored",
        '== ("", 2)',
        broken.times_of_lists_are_ignored,
    ),
    Break(
        "test_what_it_may_cost",
        "the sweep spends what it likes",
        "done.cost <= allowed",
        broken.sweep_spends_anything,
    ),
    Break(
        "test_an_empty_list_is_not_a_deletion",
        "an empty list is believed",
        "assert done.shrink is not None",
        broken.empty_list_is_believed,
    ),
    Break(
        "test_a_list_that_lacks_a_living_record_deletes_none",
        "what a list lacks is believed to be gone",
        "assert done.shrink is not None",
        broken.missing_records_are_not_asked_for,
    ),
    Break(
        "test_a_restored_record_with_its_old_time_lives_again",
        "a read by id counts by the time of change alone",
        "assert key in alive(harness)",
        broken.reads_by_id_supersede_no_deletion,
        way="salesforce-rest",
    ),
    Break(
        "test_no_date_loses_an_edit",
        "the Date header is believed",
        "assert done.watermark <=",
        broken.date_header_is_believed,
    ),
    Break(
        "test_the_check_up_tells_of_it",
        "any difference of clocks is tolerated",
        "assert found.level ==",
        broken.clock_is_always_right,
        given={"lie": "an hour ahead"},
    ),
    Break(
        "test_nonsense_in_counters_is_ignored_and_told",
        "every counter is believed",
        "assert limits_of(account) == before",
        broken.every_counter_is_believed,
    ),
    Break(
        "test_a_token_of_no_life",
        "a life of no seconds is believed",
        "assert harness.logins() == []",
        broken.token_life_is_believed,
        given={"life": "0"},
    ),
    Break(
        "test_a_vendor_that_wants_years",
        "a wait of 30 years is believed",
        '"The next try is due in',
        broken.wait_of_years_is_believed,
    ),
    Break(
        "test_no_call_is_refused_at_the_published_pace",
        "the limiter lets all calls through",
        "{entry.status for entry in harness.calls()}",
        broken.limiter_lets_all_through,
        way="hubspot-search",
    ),
    Break(
        "test_a_day_that_others_have_eaten",
        "the error names no wait",
        "caught.value.wait_s >= 60",
        broken.spent_budget_has_no_wait,
    ),
    Break(
        "test_a_hidden_object_is_that_objects_affair",
        "an object that is refused counts as asked",
        "seen(hidden, *others) ==",
        broken.unanswered_object_counts_as_asked,
    ),
    Break(
        "test_a_probe_waits_for_nobody",
        "a call that was throttled is repeated",
        "calls <= len(answers)",
        broken.throttled_probes_are_repeated,
    ),
    Break(
        "test_calls_of_others_are_not_waited_for",
        "calls are made without a permit",
        "assert calls == 0",
        broken.limiter_lets_through_what_would_wait,
    ),
    Break(
        "test_automation_costs_what_is_stated",
        "a refresh is stated too low",
        "spent[name] - one.refresh",
        broken.upkeep_is_stated_too_low,
    ),
    Break(
        "test_records_by_their_ids",
        "the connector loses a record of a read by ids",
        "assert landed ==",
        broken.point_read_loses_a_record,
    ),
    Break(
        "test_records_by_their_ids",
        "an id that is not there counts as deleted",
        "assert statuses(done) == {",
        broken.absent_record_counts_as_deleted,
    ),
    Break(
        "test_points_say_nothing_of_the_object",
        "the watermark is a moment of its own",
        'assert harness.landing.watermark("demo", case.object) is None',
        broken.point_read_moves_the_watermark,
    ),
    Break(
        "test_points_say_nothing_of_the_object",
        "records that were read by their ids count as landed",
        "one.changed > one.landed",
        broken.point_reads_count_as_landed,
    ),
]


def claims() -> dict[str, Claim]:
    """Return the tests of the conformance modules by name."""
    found: dict[str, Claim] = {}
    for path in sorted(Path(__file__).parent.glob("test_conformance*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        functions = inspect.getmembers(module, inspect.isfunction)
        found |= {name: claim for name, claim in functions if name.startswith("test_")}
    return found


def test_every_claim_has_a_break() -> None:
    """A new claim of the conformance tests comes with a way to break a connector that it notices."""
    assert claims().keys() == {each.claim for each in BREAKS}


@pytest.fixture(scope="module")
def emulators(postgres_url: str) -> Iterator[Emulators]:
    """Servers of this module alone: broken connectors leave things behind in them."""
    with ExitStack() as stack:
        yield Emulators(stack, postgres_url)


@pytest.mark.parametrize("each", BREAKS, ids=str)
def test_a_claim_fails_where_it_is_broken(
    each: Break, emulators: Emulators, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The claim fails, and in the line that is about what was broken."""
    claim = claims()[each.claim]
    way = next(way for way in WAYS if str(way) == each.way)
    way = Way(each.case(way.case), way.route)
    own = {"way": way, "case": way.case, "vendor": way.case.vendor, **each.given}
    server, database, _ = emulators.of(way.case)
    emulator: Any = server.emulations[way.case.vendor]
    if hasattr(emulator, "rotate"):
        emulator.rotate(on=False)  # each test begins with the first refresh token
    forget(database)
    each.plant(request.getfixturevalue("monkeypatch"))

    def argument(name: str) -> Any:
        if name in own:
            return own[name]
        if name == "reading":
            return Readings(emulators, tmp_path).of(way, request.getfixturevalue("caplog"))
        return request.getfixturevalue(name)

    arguments = {name: argument(name) for name in inspect.signature(claim).parameters}
    with pytest.raises((AssertionError, pytest.fail.Exception)) as caught:
        claim(**arguments)
    lines = [linecache.getline(str(at.path), at.lineno + 1) for at in caught.traceback]
    assert any(each.notices in line for line in lines), lines
