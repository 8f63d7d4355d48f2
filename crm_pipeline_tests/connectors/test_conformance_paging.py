"""Pages as they should not be: named twice, empty, without their list, short of a record; for each route."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.kernel.errors import CountMismatch, CrmError, MalformedResponse, ProtocolError
from crm_pipeline_tests.connectors.conformance import PAGE, Way, assert_clear
from crm_pipeline_tests.connectors.conformance_harness import through_proxy
from crm_pipeline_tests.connectors.conftest import HarnessOf
from crm_sandbox.http import Response

_MOST_PAGES = 60


def test_a_page_that_comes_again(way: Way, quiet: HarnessOf) -> None:
    """Where every answer leads back to the same place the read is refused; it neither loops nor ends early."""
    harness = quiet(way.case)
    first: list[Response] = []

    def again(number: int, response: Response) -> Response:
        if number > _MOST_PAGES:
            return Response(403, b"{}")  # who loops shall fail, not hang
        if not first and way.route.named in response.body:
            first.append(response)
        return first[0] if first else response

    with through_proxy(harness, way.route, way.route.repeats) as proxy:
        proxy.answer(again)
        with pytest.raises(CrmError) as caught:
            harness.read(way.route)
    # Of ranges side by side, who gets another's page takes it for the end of its own: then the counts differ. A search
    # that gets a page of the list misses its total.
    assert isinstance(caught.value, ProtocolError | CountMismatch | MalformedResponse)
    assert_clear(caught.value, harness.secrets)
    assert len(proxy.pages) < _MOST_PAGES
    assert harness.is_bare()


def _without_records(key: str) -> Callable[[bytes], bytes]:
    return _with(key, [])


def _with(key: str, value: Any) -> Callable[[bytes], bytes]:
    return lambda body: json.dumps({**json.loads(body), key: value}).encode()


def test_an_empty_page_is_not_the_end(way: Way, quiet: HarnessOf) -> None:
    """A page without records in the middle is passed by or refused: nothing behind it is left out."""
    harness = quiet(way.case)
    key = way.route.records

    def emptied(number: int, response: Response) -> Response:
        if number != 3:
            return response
        body = _without_records(key)(response.body) if key else b""
        return replace(response, body=body)

    with through_proxy(harness, way.route) as proxy:
        proxy.answer(emptied)
        try:
            harness.read(way.route)
        except CrmError as error:
            assert_clear(error, harness.secrets)
            assert harness.is_bare()
            return
    assert harness.is_whole()


@pytest.mark.parametrize("how", ["null", "absent", "cut"])
def test_a_page_without_its_list(way: Way, quiet: HarnessOf, how: str) -> None:
    """A list that is null or missing, or JSON that is torn: no answer, and never "no records"."""
    harness, key = quiet(way.case), way.route.records

    def spoilt(body: bytes) -> bytes:
        if not key or how == "cut":
            return body[: _between_characters(body, len(body) // 2)]
        told = json.loads(body)
        told[key] = None
        if how == "absent":
            del told[key]
        return json.dumps(told).encode()

    if not key and how != "cut":
        pytest.skip("A page of a file has no list; files that are cut are refused.")
    with through_proxy(harness, way.route) as proxy:
        proxy.change_body(3, spoilt)
        with pytest.raises(CrmError) as caught:
            harness.read(way.route)
    assert isinstance(caught.value, MalformedResponse | ProtocolError)
    assert_clear(caught.value, harness.secrets)
    # It is asked for again, and may be right then: what was read before it is left for the next run.
    assert harness.landing.windows("demo", harness.object) == []


def _between_characters(body: bytes, at: int) -> int:
    """Return a place near another: pyarrow writes a traceback to stderr where half a character ends a line."""
    while body[at] & 0xC0 == 0x80:
        at -= 1
    return at


def test_a_record_that_is_left_out(way: Way, quiet: HarnessOf) -> None:
    """A record that the vendor counts and never shows is missed: the window does not commit."""
    key = way.route.records
    if not connector(way.case.vendor).abilities.counts:
        pytest.skip("The vendor does not count, so that nothing tells of a record that it hides.")
    if not key:
        pytest.skip("A file says how many records it has; one with fewer is refused as cut.")
    harness = quiet(way.case)
    hidden = sorted(harness.emulated())[PAGE]

    def planted(body: bytes) -> bytes:
        told = json.loads(body)
        told[key] = [one for one in told[key] if hidden not in (one.get("id"), one.get("Id"))]
        return json.dumps(told).encode()

    with through_proxy(harness, way.route) as proxy:
        proxy.change_body(1, planted)
        with pytest.raises(CrmError) as caught:
            harness.read(way.route)
    assert isinstance(caught.value, CountMismatch | ProtocolError)
    assert_clear(caught.value, harness.secrets)
    assert harness.is_bare()
    assert harness.read(way.route).reconciled
