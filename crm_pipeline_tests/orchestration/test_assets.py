from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import AssetPartitionStatus

from crm_pipeline.connectors.base import Account, Usage
from crm_pipeline.kernel.clock import FrozenClock, Window, parse_instant
from crm_pipeline.kernel.errors import ContractError, CountMismatch, SecretMissing, StoreError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.orchestration import metadata, normalized, published_checks, raw
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.instance import quick_events
from crm_pipeline.orchestration.names import PLAIN
from crm_pipeline.orchestration.partitions import RANGE_END_TAG, RANGE_START_TAG, monthly
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.settings import Settings
from crm_pipeline.stages.normalized import Doubt, Normalized
from crm_pipeline.stages.published import Finding, Publication
from crm_pipeline.stages.raw import Extraction
from crm_pipeline.store.drift import Register
from crm_pipeline.store.drift.register import Noticed
from crm_pipeline.store.landing.manifest import Shrink
from crm_pipeline.store.landing.outstanding import Outstanding
from crm_pipeline_tests.freshness import looked_at

PLANNED_ONCE = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"
SCHEMA = Schema("Contact", "Contact", (Field("Id", "Id", "id"), Field("Email", "Email", "email")))
GONE = FieldChange(
    "Contact", "Fax", "removed", "'Fax', phone", "", "Contact.Fax is gone ('Fax', phone)"
)
DONE = Extraction(
    connection="acme",
    object="Contact",
    window=Window(None, parse_instant("2026-03-01T00:00:00Z")),
    window_id="w1",
    route="bulk",
    reason="many",
    records=5,
    read=6,
    known=1,
    deleted=1,
    quarantined=0,
    bytes=100,
    calls=4,
    planned_calls=5,
    vendor_count=6,
    vendor_count_before=6,
    reconciled=True,
    changed=True,
    schema=SCHEMA,
    schema_changes=[GONE],
    watermark=parse_instant("2026-03-01T00:00:00Z"),
    months={"2025-12": 2, "2026-02": 3},
    month_bytes={"2025-12": 40, "2026-02": 60},
    sample=[{"Id": "003", "Email": "ada@analytical.example"}],
)


class Offline(Workspace):
    """A workspace that opens nothing."""

    secret_missing = False

    @contextmanager
    def account(self, connection: str, *, waits: bool = True) -> Iterator[Account]:
        if self.secret_missing:
            raise SecretMissing("ACME_CLIENT_SECRET", owner=f"connection '{connection}'")
        yield SimpleNamespace(usage=Usage(DONE.calls + 2, None, None))  # type: ignore[misc]

    def fill_new_fields(self, *_: Any) -> None:
        """Fill nothing: the account shows no records."""


def run(
    settings: Settings,
    job: str,
    asset: list[str],
    instance: dg.DagsterInstance | None = None,
    last: str = "2026-02-01",
    **tags: str,
) -> dg.ExecuteInProcessResult:
    crm = Offline(settings, clock=FrozenClock("2026-03-01T00:00:00Z"))
    crm.secret_missing = bool(tags.pop("secret_missing", ""))
    definition = build_defs(settings, {"crm": crm}).resolve_job_def(job)
    months = {RANGE_START_TAG: "2026-01-01", RANGE_END_TAG: last}
    with quick_events():
        return definition.execute_in_process(
            asset_selection=[dg.AssetKey(asset)],
            instance=instance,
            tags={} if tags.pop("without_months", "") else {**months, **tags},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    [event] = result.filter_events(lambda event: event.is_step_failure)
    shown = event.step_failure_data.user_failure_data
    assert shown is not None
    return str(shown.description)


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_a_range_of_months_is_one_extraction(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run reads one window; every month is materialised with its number; a field that changed earlier is still open."""
    seen: list[tuple[Any, str]] = []

    def extract(account: Any, obj: Any, window: Any, *, mode: str, **_: Any) -> Extraction:
        seen.append((window, mode))
        return DONE

    monkeypatch.setattr(raw, "extract", extract)
    noticed = [Noticed(GONE, {})]
    Register(settings.data).note("acme", noticed, lambda _: "warn", origin="an earlier read")
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"])
    _, *events = result.asset_materializations_for_node("acme__raw__Contact")
    months = {
        event.partition: event.metadata["dagster/partition_row_count"].value for event in events
    }
    assert seen == [(DONE.window, "range")]
    assert months == {"2026-01-01": 2, "2026-02-01": 3}
    checked = checks_of(result)
    names = ("source_count", "absence", "quarantine", "freshness", "audit")
    assert checked == {**dict.fromkeys(names, True), "fields": False}


def test_a_materialisation_shows_counts_cost_schema_and_a_masked_preview(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read is told once; each month has its own numbers, the last one schema and preview; no personal data."""
    monkeypatch.setattr(raw, "extract", lambda *_, **__: DONE)
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"])
    whole, first, last = result.asset_materializations_for_node("acme__raw__Contact")
    assert (whole.partition, first.partition, last.partition) == (None, "2026-01-01", "2026-02-01")
    numbers = ("records_landed", "source_count", "api_calls", "api_calls_planned", "bytes")
    assert [whole.metadata[name].value for name in numbers] == [5, 6, 4, 5, 100]
    assert whole.metadata["api_calls_beside_the_read"].value == 2
    assert whole.metadata["window"].value == "the beginning up to 2026-03-01T00:00:00Z"
    assert whole.metadata["route"].value == "bulk"
    of_month = ("dagster/partition_row_count", "records_landed", "bytes")
    assert {name: entry.value for name, entry in first.metadata.items()} == dict(
        zip(of_month, (2, 2, 40), strict=True)
    )
    assert [last.metadata[name].value for name in of_month] == [3, 3, 60]
    shown = {"complete_up_to", "preview", "dagster/column_schema"}
    assert {*last.metadata} - {*of_month} == shown
    assert isinstance(last.metadata["complete_up_to"], dg.TimestampMetadataValue)
    assert isinstance(last.metadata["dagster/column_schema"].value, dg.TableSchema)
    assert r"a\*\*\*@a\*\*\*.example" in str(last.metadata["preview"].value)
    assert "ada@" not in str((whole, first, last))


def test_months_without_records_are_recorded_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no event, and are not missing: Dagster knows that they were read; others are missing."""
    done = replace(DONE, months={"2026-02": 5}, month_bytes={"2026-02": 100})
    monkeypatch.setattr(raw, "extract", lambda *_, **__: done)
    key = dg.AssetKey(["acme", "raw", "Contact"])
    months = monthly(settings.connection("acme"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(settings, "acme_backfill", [*key.path], instance, last="2026-08-01")
        events = result.asset_materializations_for_node("acme__raw__Contact")
        assert [event.partition for event in events] == [None, "2026-02-01", "2026-08-01"]
        assert events[0].metadata["months_read"].value == 8
        assert events[0].metadata["months_without_records"].value == "2026-01, 2026-03 to 2026-08"
        keys = months.get_partition_keys()
        states = instance.get_status_by_partition(key, keys, months)
        assert states is not None
        there = [name for name in keys if states[name] is AssetPartitionStatus.MATERIALIZED]
        assert there == keys[:8] != keys
        # A later run does not take that back.
        run(settings, "acme_refresh", [*key.path], instance, last="2026-02-01")
        states = instance.get_status_by_partition(key, keys, months)
        assert states is not None
        assert there == [name for name in keys if states[name] is AssetPartitionStatus.MATERIALIZED]


def test_a_month_that_dagster_forgot_is_stated_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Landing says which months have been read; each read states them, not only its own."""
    monkeypatch.setattr(raw, "extract", lambda *_, **__: DONE)
    fresh = Offline(settings).fresh(settings.connection("acme"), "Contact")
    read = replace(
        fresh,
        history_from=parse_instant("2026-02-10T00:00:00Z"),
        read_to=parse_instant("2026-06-01T00:00:00Z"),
    )
    monkeypatch.setattr(Offline, "fresh", lambda *_: read)
    key = dg.AssetKey(["acme", "raw", "Contact"])
    months = monthly(settings.connection("acme"))
    with dg.DagsterInstance.ephemeral() as instance:
        run(settings, "acme_backfill", [*key.path], instance, last="2026-02-01")
        keys = months.get_partition_keys()
        states = instance.get_status_by_partition(key, keys, months)
    assert states is not None
    assert [name for name in keys if states[name] is AssetPartitionStatus.MATERIALIZED] == keys[:5]


def test_a_backfill_of_the_web_interface_gets_an_event_of_each_month(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster's backfills wait for these events, and fail at one without a partition."""
    monkeypatch.setattr(raw, "extract", lambda *_, **__: DONE)
    tags = {"dagster/backfill": "abcdefgh"}
    asset = ["acme", "raw", "Contact"]
    result = run(settings, "acme_backfill", asset, last="2026-04-01", **tags)
    events = result.asset_materializations_for_node("acme__raw__Contact")
    assert [event.partition for event in events] == [f"2026-0{month}-01" for month in (1, 2, 3, 4)]
    told = [event.partition for event in events if "window" in event.metadata]
    assert told == ["2026-04-01"]


def test_a_refresh_ignores_the_partitions_window(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode of the run decides: a refresh reads from the watermark."""
    seen: list[tuple[Any, str]] = []

    def extract(account: Any, obj: Any, window: Any, *, mode: str, **_: Any) -> Extraction:
        seen.append((window, mode))
        return replace(DONE, changed=False, records=0, months={})

    monkeypatch.setattr(raw, "extract", extract)
    result = run(settings, "acme_refresh", ["acme", "raw", "Contact"])
    shown = result.asset_materializations_for_node("acme__raw__Contact")[0].metadata
    assert seen == [(None, "refresh")]
    assert shown["changed"].value is False
    assert "preview" not in shown


def test_a_missing_secret_fails_its_own_run_and_names_the_variable(settings: Settings) -> None:
    """The definitions load; the run of that connection fails, once, with the cure."""
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"], secret_missing="yes")
    assert not result.success
    assert "ACME_CLIENT_SECRET" in failure_of(result)
    assert not result.filter_events(lambda event: event.is_step_up_for_retry)


def test_a_backfill_without_months_says_so(settings: Settings) -> None:
    """A range has to be chosen; the error says how."""
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"], without_months="yes")
    assert "has no partitions selected" in failure_of(result)


def test_counts_that_differ_fail_the_check_and_the_step(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window that was not committed is a failed check, and nothing is materialised."""

    def extract(*_: Any, **__: Any) -> Extraction:
        raise CountMismatch("read 5, but the vendor counts 6.")

    monkeypatch.setattr(raw, "extract", extract)
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"])
    assert checks_of(result) == {"source_count": False, "freshness": False}
    assert "counts 6" in failure_of(result)
    assert not result.get_asset_materialization_events()


def test_a_read_that_is_not_believed_is_red(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on, as its records have landed; the check says how many are missing and what to do."""
    shrink = Shrink(before=33, missing=33, is_empty=True)
    monkeypatch.setattr(raw, "extract", lambda *_, **__: replace(DONE, shrink=shrink))
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"])
    assert result.success
    assert checks_of(result)["absence"] is False
    [check] = [entry for entry in result.get_asset_check_evaluations() if not entry.passed][-1:]
    assert "the read was empty, and there were 33 records" in str(check.description)
    assert "crm-pipeline accept-shrink acme Contact" in str(check.description)
    assert check.metadata["records_missing"].value == 33
    shown = result.asset_materializations_for_node("acme__raw__Contact")[0].metadata
    assert shown["records_missing"].value == 33


def test_records_that_cannot_be_read_are_reported_until_they_are_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check fails after this run and the next ones; a run that reads the records makes it pass."""
    missing = Outstanding({"the record is no JSON": 2}, DONE.window.to_at)
    monkeypatch.setattr(raw, "extract", lambda *_, **__: DONE)
    monkeypatch.setattr(raw, "outstanding", lambda *_: missing)
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"])
    assert result.success
    [check] = [e for e in result.get_asset_check_evaluations() if e.check_name == "quarantine"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "2 records are missing since 2026" in str(check.description)
    assert "data/quarantine/acme/Contact" in str(check.description)
    shown = result.asset_materializations_for_node("acme__raw__Contact")[0].metadata
    assert shown["records_missing_unreadable"].value == 2


def test_a_description_that_is_not_believed_fails_the_check_and_the_step(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was read: the check of the fields fails and says why."""

    def extract(*_: Any, **__: Any) -> Extraction:
        raise ContractError("acme.Contact: 40 of 45 fields are not described any more.")

    monkeypatch.setattr(raw, "extract", extract)
    result = run(settings, "acme_backfill", ["acme", "raw", "Contact"])
    assert checks_of(result)["fields"] is False
    assert "40 of 45" in failure_of(result)


def test_lists_that_are_not_believed_are_red(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is built with the earlier lists; the check says how many rows stay because of it."""
    doubt = Doubt("Contact", "associations", "", "w1", records=120, rows=300)
    done = Normalized("contacts", None, changed=True, doubts=(doubt,))
    monkeypatch.setattr(normalized, "normalize", lambda *_, **__: done)
    result = run(settings, "acme_backfill", ["acme", "normalized", "contacts"])
    assert result.success
    assert checks_of(result) == {"contract": True, "absence": False, "mapping": True}
    [check] = [entry for entry in result.get_asset_check_evaluations() if not entry.passed]
    assert "300 rows of 120 records stay" in str(check.description)


def test_a_broken_contract_fails_the_check_and_the_step(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check lists rules, counts and keys; the table keeps its version."""

    def normalize(*_: Any, **__: Any) -> Normalized:
        raise ContractError(
            "acme.contacts breaks its contract.", failures=[("email is empty", 3, ["acme:1"])]
        )

    monkeypatch.setattr(normalized, "normalize", normalize)
    result = run(settings, "acme_backfill", ["acme", "normalized", "contacts"])
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    [line] = check.metadata["broken"].records  # type: ignore[attr-defined]
    assert [line.data[name] for name in ("rule", "severity", "policy", "rows", "such_as")] == [
        *("email is empty", "error", "block", 3, "acme:1")
    ]
    assert "breaks its contract" in failure_of(result)
    assert held_back(settings, "Contact") == (("contacts",), parse_instant("2026-03-01T00:00:00Z"))
    assert held_back(settings, "Account") == (("companies",), None)
    monkeypatch.setattr(
        normalized, "normalize", lambda *_, **__: Normalized("contacts", None, changed=False)
    )
    run(settings, "acme_backfill", ["acme", "normalized", "contacts"])
    assert held_back(settings, "Contact") == (("contacts",), None)


def test_a_table_that_could_not_be_built_is_held_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its records have landed and its rows are those of before, so nothing says that it is complete up to now."""

    def normalize(*_: Any, **__: Any) -> Normalized:
        raise StoreError("the disk is full.")

    monkeypatch.setattr(normalized, "normalize", normalize)
    result = run(settings, "acme_backfill", ["acme", "normalized", "contacts"])
    assert "the disk is full" in failure_of(result)
    assert held_back(settings, "Contact") == (("contacts",), parse_instant("2026-03-01T00:00:00Z"))


def held_back(settings: Settings, obj: str) -> tuple[tuple[str, ...], Any]:
    """The tables that an object feeds, and since when one of them stays as it was."""
    crm = Offline(settings, clock=FrozenClock("2026-03-02T00:00:00Z"))
    [fresh] = [row for row in crm.freshness("acme") if row.object == obj]
    return fresh.tables, fresh.held_back_since


def test_rules_between_tables_are_a_check_of_what_is_published() -> None:
    """A broken rule is told with its keys and fails nothing; notes and findings of another table are left out."""
    key = PLAIN.published("deals")
    findings = [
        Finding(
            "acme", "deals", "stage is that of the last history row", "warning", 2, 9, ("acme:1",)
        ),
        Finding("acme", "deals", "owner_key is a record of users", "warning", 0, 9),
        Finding("acme", "deals", "owner_key is a live record of users", "note", 3, 9, ("acme:2",)),
        Finding("acme", "leads", "owner_key is a record of users", "warning", 1, 9, ("acme:3",)),
    ]
    result = published_checks.consistency(key, "deals", findings)
    assert (result.passed, result.metadata["rules_warning"].value) == (True, 1)
    assert result.description == (
        "1 of 2 rules hold, 1 warn: acme: stage is that of the last history row (2 rows)."
    )
    [line] = result.metadata["broken"].records  # type: ignore[attr-defined]
    assert (line.data["rule"], line.data["rows"], line.data["such_as"]) == (
        "acme: stage is that of the last history row",
        2,
        "acme:1",
    )
    assert published_checks.consistency(key, "users", findings).description == "All 0 rules hold."


def test_a_published_table_is_as_fresh_as_our_last_look(settings: Settings) -> None:
    """Quiet accounts are fresh however old their data; one that cannot be had, is late or held back is named."""
    now = FrozenClock("2026-03-02T00:00:00Z").now()
    fresh = looked_at("Contact", now, tables=("contacts",))
    key = PLAIN.published("contacts")

    def check(**changes: Any) -> tuple[bool, str]:
        rows = [fresh, replace(fresh, connection="other", **changes)]
        result = published_checks.freshness(key, "contacts", rows)
        return result.passed, result.description or ""

    assert check() == (True, "Complete up to 2026-03-02 00:00 UTC.")
    assert check(state="failing", error="AuthFailed: <revoked>") == (
        False,
        "other/Contact: It cannot be had: AuthFailed: `<revoked>`",
    )
    assert not check(due_at=now + timedelta(minutes=1))[0]
    passed, text = check(held_back_since=now)
    assert not passed
    assert "held back since 2026-03-02 00:00 UTC" in text
    assert check(tables=("deals",), state="failing") == check()
    assert published_checks.freshness(key, "contacts", []).description == (
        "Nothing has been read for it yet."
    )


def test_a_damaged_table_that_was_built_again_is_reported(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The materialisation of a table, and of a publish, names the damaged file."""
    why = "/data/base-00000.parquet is damaged or gone"
    monkeypatch.setattr(
        normalized,
        "normalize",
        lambda *_, **__: Normalized("contacts", None, changed=True, repaired=why),
    )
    result = run(settings, "acme_backfill", ["acme", "normalized", "contacts"])
    [table] = result.get_asset_materialization_events()
    assert table.step_materialization_data.materialization.metadata["repaired"].value == why
    done = Publication(7, Path("crm-7.duckdb"), changed=True, repaired=("/data/crm-7.duckdb",))
    assert metadata.published(done, "contacts")["repaired"] == "/data/crm-7.duckdb"


@pytest.mark.parametrize("is_planned_once", [True, False])
def test_a_failure_beside_it_does_not_take_back_what_was_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_planned_once: bool
) -> None:
    """Another object of the run fails: the months of this one were read, whether Dagster plans them one by one or not."""

    def extract(account: Any, obj: Any, window: Any, **_: Any) -> Extraction:
        if obj.name != "Contact":
            raise CountMismatch("The count differs.", cure="Read again.")
        return DONE

    monkeypatch.setattr(raw, "extract", extract)
    monkeypatch.setenv(PLANNED_ONCE, str(is_planned_once).lower())
    crm = Offline(settings, clock=FrozenClock("2026-03-01T00:00:00Z"))
    months = monthly(settings.connection("acme"))
    keys = months.get_partition_keys()
    contact, account = (dg.AssetKey(["acme", "raw", name]) for name in ("Contact", "Account"))
    with dg.DagsterInstance.ephemeral() as instance:
        definition = build_defs(settings, {"crm": crm}).resolve_job_def("acme_backfill")
        result = definition.execute_in_process(
            asset_selection=[contact, account],
            instance=instance,
            tags={RANGE_START_TAG: keys[0], RANGE_END_TAG: keys[5]},
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        states = instance.get_status_by_partition(contact, keys, months)
    assert not result.success
    assert states is not None
    assert [states[name] for name in keys[:6]] == [AssetPartitionStatus.MATERIALIZED] * 6
