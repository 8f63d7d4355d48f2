"""Bulk jobs and their pages of CSV."""

import gzip
from pathlib import Path

import pytest

from crm_pipeline.connectors.base import Plan
from crm_pipeline.connectors.salesforce.csv_page import CsvPage
from crm_pipeline.kernel.errors import JobFailed, ProtocolError
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline_tests.scenes import Scene

NAMES = ("Id", "Name", "SystemModstamp")
STAMP = "2026-01-01T00:00:00.000Z"


def page(file: Path, expected: int | None) -> CsvPage:
    schema = Schema("X", "X", tuple(Field(name, name, "string") for name in NAMES))
    plan = Plan("X", None, "bulk", "", schema, "SystemModstamp", False, None, 0)  # noqa: FBT003
    return CsvPage("acme.X", plan, file, expected, [])


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
    with pytest.raises(ProtocolError, match="no readable CSV"):
        list(page(file, None).batches())


def test_no_value_stands_in_an_error(tmp_path: Path) -> None:
    """The parser quotes what it could not read; our text does not."""
    file = tmp_path / "page.csv"
    file.write_bytes(csv([NAMES, ("1", "a", "ada@lovelace.example")]))
    with pytest.raises(ProtocolError, match="no readable CSV") as caught:
        list(page(file, 1).batches())
    assert "lovelace" not in str(caught.value)


def test_a_job_that_cannot_be_removed_costs_nothing(scene: Scene) -> None:
    """All was read when the job is removed; a refusal then is no reason to read again."""
    body = '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]'
    order = scene.sandbox.faults.order("status", method="DELETE", status=404, body=body)
    assert scene.extract(route="bulk").reconciled
    assert order.consumed == 1


def test_a_job_that_never_ends_is_given_up(scene: Scene) -> None:
    """A job that stays in progress for hours fails with its state, and does not hold its place for ever."""
    scene.org.set_bulk(polls=10**9)
    with pytest.raises(JobFailed, match="still InProgress after 6 hours"):
        scene.extract(route="bulk")
