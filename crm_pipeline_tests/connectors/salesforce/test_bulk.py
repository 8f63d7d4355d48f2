"""Bulk jobs and their pages of CSV."""

import gzip
from pathlib import Path

import pytest

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.salesforce.csv_page import CsvPage
from crm_pipeline.kernel.errors import Fatal, JobFailed, ProtocolError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.settings.bounds import Bounds
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline_tests.harness import Harness

NAMES = ("Id", "Name", "SystemModstamp")
STAMP = "2026-01-01T00:00:00.000Z"


def plan() -> Plan:
    schema = Schema("X", "X", tuple(Field(name, name, "string") for name in NAMES))
    return Plan("X", None, "bulk", "", schema, "SystemModstamp", False, None, 0)  # noqa: FBT003


def page(file: Path, expected: int | None) -> CsvPage:
    return CsvPage("acme.X", plan(), file, expected, [])


def csv(rows: list[tuple[str, ...]]) -> bytes:
    quoted = (",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    return ("\n".join(quoted) + "\n").encode()


def test_cells_with_lines_cross_the_blocks(tmp_path: Path) -> None:
    """Line breaks, quotes and commas in cells survive where a block of the parser ends in them."""
    rows = [(str(n), 'a\nb\r\n,"c"\n' * (n % 900), STAMP) for n in range(8_000)]
    content = csv([NAMES, *rows])
    assert len(content) > 3 * (8 << 20)
    members = [content[: 1 << 20], content[1 << 20 :]]  # a gzip may consist of several
    file = tmp_path / "page.csv.gz"
    file.write_bytes(b"".join(gzip.compress(member, 1) for member in members))
    read = [cell for batch in page(file, len(rows)).batches() for cell in batch["Name"].to_pylist()]
    assert read == [row[1] for row in rows]


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    """A page that ends early is never a short page, even if the vendor announced no number."""
    file = tmp_path / "page.csv.gz"
    file.write_bytes(gzip.compress(csv([NAMES, ("1", "a" * 999, STAMP)]))[:-12])
    with pytest.raises(ProtocolError, match="not readable CSV"):
        list(page(file, None).batches())


def test_one_bad_record_is_set_aside(tmp_path: Path) -> None:
    """A stamp that is none costs its own record only; the reason names the id and no value."""
    file = tmp_path / "page.csv"
    file.write_bytes(csv([NAMES, ("1", "a", "ada@lovelace.example"), ("2", "b", STAMP)]))
    rejected: list[Reject] = []
    read = CsvPage("acme.X", plan(), file, 2, rejected).batches()
    assert [cell for batch in read for cell in batch["_source_id"].to_pylist()] == ["2"]
    [reject] = rejected
    assert (reject.source_id, reject.raw) == ("1", b'"1","a","ada@lovelace.example"')
    assert "lovelace" not in reject.reason


def test_a_page_that_unpacks_for_ever_is_broken_off(tmp_path: Path) -> None:
    """More records than were announced, or more bytes than allowed, end a page before it fills the disk."""
    rows = csv([NAMES, *[("1", "a" * 999, STAMP)] * 40_000])
    file = tmp_path / "page.csv.gz"
    file.write_bytes(gzip.compress(rows, 1))
    batches = page(file, 10).batches()
    with pytest.raises(ProtocolError, match="announced 10 records and held more"):
        next(batches)
    small = CsvPage("acme.X", plan(), file, None, [], bounds=Bounds(file_mb=0))
    with pytest.raises(Fatal, match="not unpacked to its end") as caught:
        list(small.batches())
    assert "CRM_MAX_FILE_MB" in caught.value.cure


def test_a_job_that_cannot_be_removed_costs_nothing(harness: Harness) -> None:
    """All was read when the job is removed; a refusal then is no reason to read again."""
    body = '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]'
    order = harness.sandbox.faults.order("status", method="DELETE", status=404, body=body)
    assert harness.extract(route="bulk").reconciled
    assert order.consumed == 1


def test_a_job_that_never_ends_is_given_up(harness: Harness) -> None:
    """A job that stays in progress for hours fails with its state, and does not hold its place for ever."""
    harness.org.set_bulk(polls=10**9)
    with pytest.raises(JobFailed, match="still InProgress after 6 hours"):
        harness.extract(route="bulk")
