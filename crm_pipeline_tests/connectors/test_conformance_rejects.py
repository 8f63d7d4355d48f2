"""One record that cannot be read is one row in quarantine, and all others land; for each route."""

import io
import json
import re
import zipfile
from dataclasses import replace

import pyarrow.parquet as pq

from crm_pipeline.store.landing.rejects import from_table
from crm_pipeline_tests.connectors.conformance import PAGE, Way
from crm_pipeline_tests.connectors.conformance_harness import through_proxy
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_sandbox.http import Response

_SURROGATE = rb'{"what_is_no_text":"\ud83d",'
_LATIN = b"\xe9"


def spoilt(body: bytes, records: str) -> bytes:
    """Return a page whose first record holds half a character, or a byte that is no UTF-8."""
    if records:
        found = re.search(rb'"%s"\s*:\s*\[\s*\{' % records.encode(), body)
        if found is None:
            return body
        return body[: found.end() - 1] + _SURROGATE + body[found.end() :]
    if body.startswith(b"PK"):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(body)) as packed, zipfile.ZipFile(out, "w") as changed:
            [name] = packed.namelist()
            changed.writestr(name, spoilt(packed.read(name), ""))
        return out.getvalue()
    row = body.index(b"\n") + 1
    at = body.index(b",", row) + 1
    at += body[at : at + 1] == b'"'
    return body[:at] + _LATIN + body[at:]


def is_full(response: Response, records: str) -> bool:
    """Say whether an answer is a whole page; plans ask for single records, and for what is refused."""
    if response.status >= 300 or not records:
        return response.status < 300
    return len(json.loads(response.body)[records]) == PAGE


def test_one_bad_record_is_one_row_in_quarantine(way: Way, quiet: HarnessOf) -> None:
    """Counts add up: read = landed + quarantined, and its bytes are kept."""
    harness = quiet(way.case)
    pages: list[int] = []

    def second_spoilt(number: int, response: Response) -> Response:
        if not is_full(response, way.route.records):
            return response
        pages.append(number)
        is_second = len(pages) == 2
        body = spoilt(response.body, way.route.records) if is_second else response.body
        return replace(response, body=body)

    with through_proxy(harness, way.route) as proxy:
        proxy.answer(second_spoilt)
        done = harness.read(way.route)
    if not done.quarantined:  # a part of a record came in another answer, whole
        assert harness.is_whole()
        return
    assert done.quarantined == 1
    assert done.read == done.records + done.quarantined
    assert done.reconciled is not False
    [path] = harness.paths(f"quarantine/demo/{harness.object}/*/*.parquet")
    [reject] = from_table(pq.read_table(path))
    assert _LATIN in reject.raw or rb"\ud83d" in reject.raw
