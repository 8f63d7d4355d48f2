"""Snapshots of objects that were read in another way before, or not at all."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from crm_pipeline.connectors.salesforce import csv_page
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.stages.raw import Extraction, extract
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline_tests.harness import Harness


def read(harness: Harness, obj: str, **options: object) -> Extraction:
    settings = ObjectSettings(obj, **options)  # type: ignore[arg-type]
    with harness.account() as account:
        return extract(account, settings, None, mode="refresh", landing=harness.landing)


@pytest.mark.parametrize("route", ["rest", "bulk"])
def test_a_snapshot_carries_the_stamps_of_its_records(harness: Harness, route: str) -> None:
    """Without them an older version from a window would win over the newer one of a snapshot."""
    harness.extract("Account")
    account = harness.org.rows("Account")[0]["Id"]
    harness.advance()
    harness.org.edit("Account", account, Name="Renamed")
    harness.advance()
    done = read(harness, "Account", snapshot=True, route=route)
    stamps = [
        duckdb.sql(f"SELECT _modified_at FROM '{batch.path}' WHERE _source_id = '{account}'")
        for batch in harness.landing.batches("demo", "Account")
    ]
    [(first,), (second,)] = [row for found in stamps for row in found.fetchall()]
    assert first < second
    assert done.records == harness.org.count("Account", include_deleted=True)


def test_an_empty_snapshot_stands(harness: Harness) -> None:
    """Two empty snapshots in a row are the same."""
    for row in harness.org.rows("Invoice__c", include_deleted=True):
        harness.org.hard_delete("Invoice__c", row["Id"])
    first, again = (read(harness, "Invoice__c", snapshot=True) for _ in range(2))
    assert (first.records, again.window_id) == (0, first.window_id)


def test_a_snapshot_that_lost_a_row_to_quarantine_is_new(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same records beside a row that could not land are not the same reading; with that row again they are."""
    first = read(harness, "Account", snapshot=True, route="bulk")
    batches = csv_page.CsvPage.batches

    def without_it(page: csv_page.CsvPage) -> Iterator[pa.RecordBatch]:
        found = [batch.filter(pc.not_equal(batch["Name"], "Spoilt")) for batch in batches(page)]
        page._rejected.append(Reject("2 cells where 9 were expected", b"x"))
        yield from found

    monkeypatch.setattr(csv_page.CsvPage, "batches", without_it)
    harness.org.create("Account", Name="Spoilt")
    again = read(harness, "Account", snapshot=True, route="bulk")
    assert again.window_id != first.window_id
    kept = harness.paths("quarantine/demo/Account/*/*.parquet")
    assert again.changed
    assert kept
    third = read(harness, "Account", snapshot=True, route="bulk")
    assert (third.window_id, third.changed, third.quarantined) == (again.window_id, False, 1)
    assert third.read == third.records + third.known + third.quarantined
    assert harness.paths("quarantine/demo/Account/*/*.parquet") == kept


def test_windows_need_a_stamp(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """`snapshot: false` for an object without a stamp is refused; it would land again at each refresh."""
    monkeypatch.setattr(
        "crm_pipeline.connectors.salesforce.account.describe.cursor_field", lambda _: None
    )
    with pytest.raises(ConfigError, match="has no modification time"):
        read(harness, "Account", snapshot=False)
