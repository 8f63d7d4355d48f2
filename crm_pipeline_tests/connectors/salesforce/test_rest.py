"""One answer of the query endpoint."""

import json

from crm_pipeline.connectors.salesforce.rest import RestPage


def answer(*stamps: str | None) -> bytes:
    records = [{"Id": f"001{n}", "SystemModstamp": stamp} for n, stamp in enumerate(stamps)]
    return json.dumps({"totalSize": len(stamps), "done": True, "records": records}).encode()


def test_a_record_may_have_no_stamp() -> None:
    """A snapshot takes records as they are; a missing stamp is null, not an error."""
    page = RestPage(answer("2026-01-01T00:00:00.000+0000", None), "SystemModstamp", "acme.X")
    [batch] = page.batches()
    stamps = batch["_modified_at"]
    assert (stamps[0].is_valid, stamps[1].is_valid) == (True, False)
    assert page.last is not None
    assert page.last.id == "0011"


def test_one_bad_record_is_set_aside() -> None:
    """A stamp that is none costs its own record only; it counts among those that were sent."""
    body = answer("ada@lovelace.example", "2026-01-01T00:00:00.000+0000", "99999-01-01T00:00:00Z")
    page = RestPage(body, "SystemModstamp", "acme.X")
    assert (len(page), page.seen, page.is_cut) == (1, 3, False)
    assert [one.source_id for one in page.rejected] == ["0010", "0012"]
    assert not any("lovelace" in one.reason for one in page.rejected)
    assert page.last is not None
    assert page.last.id == "0011"
