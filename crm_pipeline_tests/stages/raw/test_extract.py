"""Extraction from the vendor to landing: what is read, what is refused, and what a refresh skips."""

import json

import duckdb
import pytest

from crm_pipeline.connectors.salesforce import csv_page
from crm_pipeline.kernel.clock import Month, Window, parse_instant
from crm_pipeline.kernel.errors import (
    AuthFailed,
    BudgetExhausted,
    CountMismatch,
    JobFailed,
    NotPermitted,
)
from crm_pipeline_tests.harness import START, Harness, HarnessMaker

ROUTES = ["rest", "bulk"]


def landed(harness: Harness, obj: str = "Contact") -> dict[str, dict[str, str | None]]:
    """The newest landed version of each record, as texts, whatever its shape."""
    versions: dict[str, tuple[object, ...]] = {}
    found: dict[str, dict[str, str | None]] = {}
    for batch in harness.landing.batches("demo", obj):
        relation = duckdb.sql(f"SELECT * FROM read_parquet('{batch.path}')")
        for row in (dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()):
            version = (row["_modified_at"] or "", row["_extracted_at"], row["_batch_id"])
            if row["_source_id"] in versions and versions[row["_source_id"]] > version:
                continue
            versions[row["_source_id"]] = version
            record = json.loads(row["record"]) if "record" in row else row
            found[row["_source_id"]] = {**record, "_deleted": row["_deleted"]}
    return found


def ids(harness: Harness, obj: str = "Contact") -> set[str]:
    return {row["Id"] for row in harness.org.rows(obj, include_deleted=True)}


@pytest.mark.parametrize("route", ROUTES)
def test_every_record_of_the_org_lands(harness: Harness, route: str) -> None:
    """A first read lands every record, deleted ones with their mark, and commits the window."""
    done = harness.extract(route=route)
    assert set(landed(harness)) == ids(harness)
    assert (
        done.records
        == done.read
        == done.vendor_count
        == harness.org.count("Contact", include_deleted=True)
    )
    assert done.deleted == sum(
        row["IsDeleted"] for row in harness.org.rows("Contact", include_deleted=True)
    )
    assert (done.reconciled, done.changed, done.route) == (True, True, route)
    assert done.watermark == parse_instant(START)
    assert sum(done.months.values()) == done.records


@pytest.mark.parametrize("route", ROUTES)
def test_values_land_as_they_are(harness: Harness, route: str) -> None:
    """Texts that other tools turn into numbers or nulls survive, byte for byte."""
    nasty = [
        "01234",
        "NA",
        "NULL",
        "null",
        "nan",
        "1e5",
        "1234567890123456789",
        "a\nb",
        'q"q',
        "é😀",
    ]
    chosen = sorted(ids(harness))[: len(nasty)]
    for record, value in zip(chosen, nasty, strict=True):
        harness.org.edit("Contact", record, Title=value)
    harness.advance()
    harness.extract(route=route)
    rows = landed(harness)
    assert [rows[record]["Title"] for record in chosen] == nasty


def test_bulk_pages_by_locator(harness: Harness) -> None:
    """A Bulk result of many pages lands whole, and the checkpoint is empty afterwards."""
    harness.org.set_bulk(page_rows=25)
    done = harness.extract(route="bulk")
    assert set(landed(harness)) == ids(harness)
    assert len(harness.landing.batches("demo", "Contact")) == -(-done.records // 25)
    assert harness.paths("**/spool/*") == []


def test_route_goes_by_volume(make_harness: HarnessMaker) -> None:
    """Few records are read by REST, many by Bulk; the reason names the numbers."""
    with make_harness(contacts=10_500) as harness:
        few, many = harness.extract("User"), harness.extract("Contact")
    assert (few.route, many.route) == ("rest", "bulk")
    assert "10,500 records" in many.reason
    assert "rest 9 calls" in many.reason
    assert "bulk 9 calls" in many.reason


def test_the_commit_keeps_what_the_plan_said(harness: Harness) -> None:
    """The window has both the planned and the real cost."""
    done = harness.extract()
    (window,) = harness.landing.windows("demo", "Contact")
    assert (window.planned_cost, window.cost) == (done.planned_cost, done.cost)
    assert done.planned_cost > 0


def test_windows_of_months_join_to_the_whole(harness: Harness) -> None:
    """Month after month lands the same records as one read, and the watermark follows the gap-free union."""
    edge = Month.parse("2025-01")
    harness.extract(window=Window(edge.start_at, Month.parse("2027-01").start_at))
    assert harness.landing.watermark("demo", "Contact") is None
    done = harness.extract(window=Window(None, edge.start_at))
    assert set(landed(harness)) == ids(harness)
    assert done.watermark == parse_instant(START)


def test_refresh_without_changes_lands_nothing(harness: Harness) -> None:
    """Two refreshes with nothing changed land nothing and leave no file but the window's commit."""
    harness.extract(route="bulk")
    before = harness.paths("landing/**/*.parquet")
    for _ in range(2):
        harness.advance(5)
        done = harness.extract(mode="refresh")
        assert (done.records, done.changed) == (0, False)
    assert harness.paths("landing/**/*.parquet") == before
    assert done.watermark == harness.clock.now().replace(microsecond=0)


def test_refresh_lands_edits_creations_deletions_and_a_restore(harness: Harness) -> None:
    """Changes since the last window land once, as further versions."""
    harness.extract(route="bulk")
    first, second, third, *_ = sorted(row["Id"] for row in harness.org.rows("Contact"))
    gone = next(
        r["Id"] for r in harness.org.rows("Contact", include_deleted=True) if r["IsDeleted"]
    )
    harness.advance()
    harness.org.edit("Contact", first, Title="Chief")
    harness.org.delete("Contact", second)
    harness.org.restore("Contact", gone)
    new = harness.org.create("Contact", LastName="New")
    harness.advance()
    done = harness.extract(mode="refresh")
    rows = landed(harness)
    assert done.records == 4
    assert rows[first]["Title"] == "Chief"
    assert (rows[second]["_deleted"], rows[gone]["_deleted"], rows[new]["_deleted"]) == (1, 0, 0)
    assert third in rows
    harness.advance()
    assert harness.extract(mode="refresh").records == 0


def test_two_edits_within_one_second_are_both_seen(harness: Harness) -> None:
    """The second of two edits in one second lands although its id and modification time have landed."""
    harness.extract()
    record = min(ids(harness))
    harness.advance()
    harness.org.edit("Contact", record, Title="one")
    stamp = harness.clock.now()
    harness.advance(1)
    harness.extract(mode="refresh")
    harness.org.edit("Contact", record, stamp=stamp, Title="two")
    harness.advance(1)
    harness.extract(mode="refresh")
    assert landed(harness)[record]["Title"] == "two"


def test_late_commits_within_the_lookback_are_found(harness: Harness) -> None:
    """A record that becomes visible with a modification time before the watermark lands with the next refresh."""
    harness.extract()
    harness.advance()
    new = harness.org.create(
        "Contact", LastName="Late", stamp=parse_instant("2026-11-23T09:55:00Z")
    )
    assert harness.extract(mode="refresh").records == 1
    assert new in landed(harness)


def test_an_unchanged_snapshot_lands_nothing(harness: Harness) -> None:
    """A snapshot with the same records as the last one is not committed; the last one stays."""
    first = harness.extract("OpportunityStage")
    again = harness.extract("OpportunityStage", mode="refresh")
    assert (first.changed, again.changed, again.window_id) == (True, False, first.window_id)
    stage = harness.org.rows("OpportunityStage")[0]["Id"]
    harness.org.edit("OpportunityStage", stage, MasterLabel="Renamed")
    changed = harness.extract("OpportunityStage", mode="refresh")
    assert changed.changed
    assert landed(harness, "OpportunityStage")[stage]["MasterLabel"] == "Renamed"


@pytest.mark.parametrize(("route", "path"), [("rest", "/queryAll"), ("bulk", "/results")])
def test_a_session_that_ends_where_refresh_tokens_rotate(
    make_harness: HarnessMaker, route: str, path: str
) -> None:
    """One login replaces an expired session, though it ends every earlier session and the refresh token as well."""
    with make_harness(kind="refresh_token") as harness:
        harness.org.rotate(on=True)
        harness.org.set_bulk(page_rows=50)
        harness.sandbox.faults.order("expire_session", path=path, nth=2)
        harness.extract(route=route)
        assert set(landed(harness)) == ids(harness)
        logins = [e for e in harness.sandbox.journal.entries() if e.path.endswith("/oauth2/token")]
        assert [entry.status for entry in logins] == [200, 200]


def test_failed_job_says_the_vendors_words(harness: Harness) -> None:
    """A Bulk job that fails is not retried blindly; the error carries its message."""
    harness.sandbox.faults.order(
        "fail_job", method="POST", path="/jobs/query", message="InternalServerError : try later"
    )
    with pytest.raises(JobFailed, match="InternalServerError : try later") as caught:
        harness.extract(route="bulk")
    assert "route: rest" in caught.value.cure
    assert harness.landing.windows("demo", "Contact") == []
    harness.extract(route="bulk")
    assert set(landed(harness)) == ids(harness)


def test_bulk_refusal_falls_back_to_rest(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that Bulk does not support is read by REST, and the route says so."""
    body = '[{"errorCode":"INVALIDENTITY","message":"Entity is not supported by the Bulk API."}]'
    harness.sandbox.faults.order("status", method="POST", path="/jobs/query", status=400, body=body)
    assert harness.extract(route="bulk").route == "rest"
    assert set(landed(harness)) == ids(harness)


def test_renamed_field_is_reported(harness: Harness) -> None:
    """A renamed field is named in the extraction; the records land with the new name."""
    harness.extract()
    harness.org.rename_field("Contact", "Title", "Position__c")
    harness.advance()
    done = harness.extract()
    assert any("Contact.Title is gone" in change.text for change in done.schema_changes)
    assert any("Contact.Position__c is new" in change.text for change in done.schema_changes)
    assert all("Position__c" in row for row in landed(harness).values())


def test_counts_that_disagree_commit_nothing(harness: Harness) -> None:
    """If the vendor counts more than was read, twice, the window is refused with both numbers."""
    body = '{"totalSize":500,"done":true,"records":[]}'
    harness.sandbox.faults.order("status", path=r"/queryAll.*COUNT", status=200, body=body, times=4)
    with pytest.raises(CountMismatch, match="read 120 records"):
        harness.extract(route="rest")
    assert harness.landing.windows("demo", "Contact") == []


def test_hidden_object_names_what_to_grant(harness: Harness) -> None:
    """An object that the login may not see is refused with the cure, not read as empty."""
    harness.org.hide_object("Contact")
    with pytest.raises(NotPermitted, match="hidden from this login") as caught:
        harness.extract()
    assert "Grant Read" in caught.value.cure


def test_daily_budget_stops_at_our_share(harness: Harness) -> None:
    """At 90 % of the org's daily limit no more calls are made, and the error says when calls are available again."""
    harness.org.set_daily_limit(maximum=1000, used=890)

    def read_on() -> None:
        for _ in range(10):
            harness.extract("User")

    with pytest.raises(BudgetExhausted) as caught:
        read_on()
    assert caught.value.wait_s > 0
    assert harness.org.usage.used <= 901


def test_wrong_secret_says_which_variable_to_check(harness: Harness) -> None:
    """Refused credentials end the run with the vendor's reason and without the secret."""
    harness.settings.environ["DEMO_CLIENT_SECRET"] = "wrong-secret-value"  # type: ignore[index]
    with pytest.raises(AuthFailed) as caught:
        harness.extract()
    assert "secret" in caught.value.cure
    assert "wrong-secret-value" not in str(caught.value)


@pytest.mark.parametrize("line", ['"003x","2026-01-01T00:00:00.000Z"\n', '"","",""\n'])
def test_rows_that_cannot_land_are_quarantined(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """A CSV line with too few cells, or without an id, is kept aside with its reason and counted."""
    original = csv_page.CsvPage.batches

    def spoil(page: csv_page.CsvPage) -> object:
        import gzip

        names = page._plan.schema.names
        content = (
            gzip.decompress(page._file.read_bytes())
            if page._file.suffix == ".gz"
            else page._file.read_bytes()
        )
        head, first, rest = content.split(b"\n", 2)
        broken = b",".join([b'""'] * (len(names) if line.startswith('""') else 3))
        spoiled = b"\n".join([head, broken, rest])
        assert first
        page._file.write_bytes(gzip.compress(spoiled) if page._file.suffix == ".gz" else spoiled)
        return original(page)

    monkeypatch.setattr(csv_page.CsvPage, "batches", spoil)
    done = harness.extract("Opportunity", route="bulk")
    assert (done.quarantined, done.records) == (1, done.read - 1)
    assert done.reconciled
    [kept] = harness.paths("quarantine/demo/Opportunity/*/*.parquet")
    [(reason,)] = duckdb.sql(f"SELECT _reason FROM read_parquet('{kept}')").fetchall()
    assert reason in {
        "the record has no id",
        f"3 cells where {len(done.schema.names)} were expected",
    }
