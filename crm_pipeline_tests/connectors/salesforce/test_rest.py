"""One answer of the query endpoint."""

import json

import pytest

from crm_pipeline.connectors.salesforce.rest import RestPage
from crm_pipeline.kernel.errors import ProtocolError


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


def test_a_stamp_that_is_none_is_refused_without_its_text() -> None:
    """What stands there may be anybody's; the error names no value."""
    with pytest.raises(ProtocolError, match="a stamp that is no instant") as caught:
        RestPage(answer("ada@lovelace.example"), "SystemModstamp", "acme.X")
    assert "lovelace" not in str(caught.value)
