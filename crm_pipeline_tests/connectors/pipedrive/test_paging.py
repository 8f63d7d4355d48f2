"""Defective pages (repeated, empty before the end, truncated) and lists that change during a read."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from crm_pipeline.connectors.pipedrive import scan
from crm_pipeline.connectors.pipedrive.catalog import ITEMS
from crm_pipeline.connectors.pipedrive.lister import Lister
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import MalformedResponse, ReadLost
from crm_pipeline_tests.connectors.pipedrive.conftest import WIDE, Harness, HarnessMaker

SPAN = Window(parse_instant("2026-01-01T00:00:00Z"), parse_instant("2026-11-01T00:00:00Z"))


def answer(*ids: int, cursor: str | None = None, modified_at: str = "2026-05-05T05:05:05Z") -> str:
    rows = [{"id": number, "update_time": modified_at} for number in ids]
    return json.dumps({"success": True, "data": rows, "additional_data": {"next_cursor": cursor}})


def test_records_without_keys_are_refused(harness: Harness) -> None:
    """A record without an id fails the page, one with an invalid time is rejected; no text shows values."""
    body = '{"success":true,"data":[{"name":"Ada Lovelace"}]}'
    harness.sandbox.faults.order("status", status=200, body=body, path="/api/v2/persons", times=3)
    with pytest.raises(MalformedResponse) as caught:
        harness.extract("persons")
    assert "Lovelace" not in repr(caught.value) + str(caught.value)
    body = answer(1, modified_at="ada@lovelace.example")
    harness.sandbox.faults.order("status", status=200, body=body, path="/api/v2/persons")
    assert harness.extract("persons").read == 1
    [commit] = harness.landing.windows("pipe", "persons")
    assert (commit.records, commit.quarantined) == (0, 1)


def edited(harness: Harness, number: int, **values: Any) -> None:
    harness.company.companies["main"].tables.update("persons", "id", {number: values})


@pytest.mark.parametrize("gone", [1, 2])
def test_leads_that_are_deleted_during_the_read(
    make_harness: HarnessMaker, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    """Offsets shift when earlier records are deleted: all remaining records are read, none twice."""
    with make_harness(contacts=120, ceilings=f"{WIDE}, page_records: 12") as harness:
        staying = _vanishing(harness, gone, monkeypatch)
        extraction = harness.extract("leads")
        assert set(staying) <= set(harness.ids(extraction))
        # Pages overlap, so that it takes one read and not a second.
        assert len(harness.sandbox.journal.entries(path="/v1/leadFields")) == 1
        assert len(harness.ids(extraction)) == len(set(harness.ids(extraction)))


def test_a_lost_position(make_harness: HarnessMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """If more records are deleted than pages overlap, the read starts again, and fails if it happens again."""
    with make_harness(contacts=240, ceilings=f"{WIDE}, page_records: 4") as harness:
        _vanishing(harness, 3, monkeypatch)
        with pytest.raises(ReadLost, match="the place in it is lost"):
            harness.extract("leads")


def _vanishing(harness: Harness, gone: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Delete leads from the front of the list after each page; return the remaining ones."""
    tables = harness.company.companies["main"].tables
    live = [
        row["id"] for row in tables.rows("SELECT id FROM leads WHERE NOT is_archived ORDER BY id")
    ]
    limit = min(len(live), gone * 12)
    original: Callable[..., Any] = Lister.fetch
    position = 0

    def ask(lister: Lister, *arguments: Any) -> Any:
        nonlocal position
        page = original(lister, *arguments)
        for number in live[position : min(position + gone, limit)]:
            tables.update("leads", "id", {number: {"is_deleted": True}})
        position += gone
        return page

    patch.setattr(Lister, "fetch", ask)
    return [str(lead) for lead in live[limit:]]


def test_a_list_without_paging(harness: Harness) -> None:
    """v1 may omit its paging: then a short page is the end, and a full one is not."""
    rows = json.dumps([{"id": f"a{number}"} for number in range(3)])
    body = f'{{"success":true,"data":{rows}}}'
    harness.sandbox.faults.order("status", status=200, body=body, path=r"/v1/leads\?")
    archived = [str(row["id"]) for row in harness.company.rows("leads") if row["is_archived"]]
    assert harness.ids(harness.extract("leads")) == sorted(["a0", "a1", "a2", *archived])


def test_flat_paging(make_harness: HarnessMaker) -> None:
    """v1's paging may be at the top of additional_data, as the vendor's description says."""
    with make_harness(ceilings=f"{WIDE}, page_records: 25") as harness:
        harness.company.companies["main"].flat_paging = True
        assert harness.ids(harness.extract("leads")) == harness.truth("leads")
        assert harness.ids(harness.extract("notes")) == harness.truth("notes")


def test_chunks_are_bounded(still: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is landed in chunks, each as old as its first page."""
    monkeypatch.setattr(scan, "_CHUNK_ROWS", 40)
    with still.account() as account:
        lister = Lister(account._api, ITEMS["persons"])  # type: ignore[attr-defined]
        pages = list(scan.Scan(lister, ITEMS["persons"].listings[0], None).pages())
    assert [page.calls for page in pages[:-1]] == [2] * (len(pages) - 1)
    assert sum(batch.num_rows for page in pages for batch in page.batches()) == len(
        still.truth("persons")
    )
