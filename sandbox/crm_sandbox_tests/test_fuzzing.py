"""A slice of the fuzzing campaign: what it found once is not there again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox_tests.conftest import NOW
from crm_sandbox_tests.fuzzing.descriptions import Operation, listed_operations, operations
from crm_sandbox_tests.fuzzing.run import fuzz, summary
from crm_sandbox_tests.fuzzing.vendors import TARGETS

OAS = "salesforce/oas-v64-postman-derived/salesforce-{}-api-openapi.yml"
# The largest descriptions take seconds to be read; the campaign reads them.
SLICES: dict[str, Callable[[], Sequence[Operation]]] = {
    "hubspot": lambda: operations("hubspot")[::3],
    "pipedrive": lambda: listed_operations()[::3],
    "zoho": lambda: operations("zoho", "zoho/oas-v8-2025-06/*.json"),
    "prospeo": lambda: (),
    "hunter": lambda: (),
    "salesforce": lambda: operations("salesforce", OAS.format("collections"), OAS.format("count")),
}


@pytest.mark.parametrize("vendor", SLICES)
def test_no_request_ends_in_an_exception(vendor: str) -> None:
    """Whatever is sent, the answer is the vendor's own, and a refusal has its form."""
    target = TARGETS[vendor]
    drawn = [*SLICES[vendor](), *target.more()]
    with SandboxServer(
        contacts=20, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=(vendor,)
    ) as running:
        # Few operations and no description: more draws of each.
        found = fuzz(running, target, drawn, 1 if len(drawn) > 20 else 30, "slice")
        assert not running.journal.failures()
    assert not found.faults, summary(found.faults)
    # Requests that are all refused at the door would find nothing.
    assert sum(count for status, count in found.statuses.items() if status < 300) > found.sent // 20


def test_a_planted_fault_is_found(monkeypatch) -> None:
    """The fuzzer finds an exception of the vendor's code, and says by which request."""
    monkeypatch.setattr("crm_sandbox.zoho.listing.names_of", lambda *_: {}["x"])
    with SandboxServer(
        contacts=20, seed=3, now=NOW, clock=SandboxClock(NOW), vendors=("zoho",)
    ) as running:
        drawn = operations("zoho", "zoho/oas-v8-2025-06/record.json")
        found = fuzz(running, TARGETS["zoho"], drawn, 3, "planted")
    assert any("KeyError" in one and "GET /zoho/crm/v8/" in one for one in found.faults)
