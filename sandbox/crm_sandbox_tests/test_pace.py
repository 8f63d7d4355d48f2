from collections.abc import Iterator

import pytest
import requests

from crm_sandbox.pace import Pace
from crm_sandbox.server import SandboxServer


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(contacts=20) as sandbox:
        yield sandbox


def test_a_ceiling_refuses_what_is_too_much(sandbox: SandboxServer) -> None:
    """Of five calls three pass; two get a 429 that says when to come back, and stand in the journal."""
    requests.post(f"{sandbox.url}/_admin/pace", json={"ceilings": [[3, 60]]})
    answers = [requests.get(f"{sandbox.url}/salesforce/services/data") for _ in range(5)]
    assert [response.status_code for response in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["Retry-After"] == "60"
    assert requests.get(f"{sandbox.url}/_admin/pace").json()["refused"] == 2
    assert sandbox.journal.count(status=429) == 2


def test_latency(sandbox: SandboxServer) -> None:
    """Every answer waits at least the lower bound; the delays of a seed are the same each time."""
    order = {"latency": [0.05, 0.06], "seed": 3}
    requests.post(f"{sandbox.url}/_admin/pace", json=order)
    requests.get(f"{sandbox.url}/salesforce/services/data")
    assert sandbox.journal.entries()[-1].duration >= 0.05
    drawn = []
    for _ in range(2):
        pace = Pace()
        pace.set(order)
        drawn.append([pace.delay_s() for _ in range(5)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 5


@pytest.mark.parametrize(
    "order",
    [{"latency": [0.3, 0.1]}, {"latency": [-1, 1]}, {"ceilings": [[0, 1]]}, {"speed": 1}],
)
def test_impossible_orders(sandbox: SandboxServer, order: dict) -> None:
    """A pace that makes no sense is refused in words, and the one before stays."""
    response = requests.post(f"{sandbox.url}/_admin/pace", json=order)
    assert response.status_code == 400
    assert "latency" in response.json()["error"]
    assert sandbox.pace.shown() == {"latency": [0, 0], "ceilings": [], "refused": 0}
