"""Sensitive properties: read by apps that have the scopes for them, named for those that have not."""

from collections.abc import Iterator

import pytest
import structlog

from crm_pipeline.connectors.base import Finding
from crm_pipeline.connectors.hubspot.api import Api
from crm_pipeline_tests.connectors.hubspot.conftest import Client, Portal, emulator, landed
from crm_pipeline_tests.harness import Harness

SECRETS = {"passport_number": "sensitive", "social_security": "highly_sensitive"}


@pytest.fixture(params=["token", "contacts_token"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of two apps the second has no scope for sensitive values."""
    return str(request.param)


@pytest.fixture
def hub(portal: Portal, kind: str) -> Iterator[Harness]:
    """A portal in which contacts have a property of each kind."""
    with portal(contacts=60, kind=kind, objects=["contacts"]) as made:
        for name, sensitivity in SECRETS.items():
            emulator(made).add_field("contacts", name, value="X123", sensitivity=sensitivity)
        yield made


def findings(hub: Harness) -> list[Finding]:
    with hub.account() as account:
        return [one for one in account.check().findings if one.topic == "properties"]


@pytest.mark.parametrize("route", ["search", "list"])
def test_values_are_read_with_the_scope_alone(hub: Harness, kind: str, route: str) -> None:
    """With it they land like others; without it all the rest does, as planned."""
    with structlog.testing.capture_logs() as logs:
        done = hub.extract("contacts", route=route)
    shown = {frozenset(SECRETS.keys() & row["record"]["properties"]) for row in landed(hub)}
    assert shown == {frozenset(SECRETS if kind == "token" else ())}
    assert SECRETS.keys() & set(done.schema.names) == set(SECRETS if kind == "token" else ())
    assert done.reconciled
    assert {row["id"] for row in landed(hub) if not row["deleted"]} == set(
        Client(hub).all("contacts")
    )
    told = [one["event"] for one in logs if "left out" in one["event"]]
    assert len(told) == (0 if kind == "token" else 2)
    again = hub.extract("contacts", route=route)
    assert again.planned_calls == again.calls


def test_check_names_them(hub: Harness, kind: str) -> None:
    """What is read is said; what is left out is a warning with the scope to add, and no failure."""
    found = findings(hub)
    if kind == "token":
        [one] = found
        assert (one.level, one.detail) == (
            "ok",
            "contacts: sensitive ones are read: passport_number, social_security",
        )
        return
    assert [one.level for one in found] == ["warn", "warn"]
    for one, (name, sensitivity) in zip(found, SECRETS.items(), strict=True):
        assert one.detail.endswith(f"left out: {name}")
        assert f"crm.objects.contacts.{sensitivity}.read.v2" in one.cure
        assert "everything else is read" in one.cure


@pytest.mark.parametrize("status", [400, 403])
def test_an_account_that_cannot_be_asked(hub: Harness, status: int) -> None:
    """Where the question itself is refused, the read goes on and `check` says so."""
    fault = {"path": r"/properties/2026-09/contacts", "method": "GET", "status": status}
    hub.sandbox.faults.order("status", nth=2, times=1, body='{"category":"X"}', **fault)
    assert hub.extract("contacts").reconciled
    hub.sandbox.faults.order("status", nth=1, times=2, body='{"category":"X"}', **fault)
    found = findings(hub)
    assert [one.level for one in found] == ["warn", "warn"]
    assert all("could not be listed" in one.detail for one in found)


def test_objects_that_hold_none_are_not_asked(portal: Portal, monkeypatch) -> None:
    """Notes, products and the like have no sensitive properties: no call is made for them."""
    asked: list[dict[str, str]] = []
    plain = Api.ask
    monkeypatch.setattr(
        Api, "ask", lambda *a, **params: (asked.append(params), plain(*a, **params))[1]
    )
    with portal(contacts=60, objects=["notes"]) as hub, hub.account() as account:
        account.describe("notes")
        assert not [one for one in asked if "dataSensitivity" in one]
        account.describe("deals")
        assert [one["dataSensitivity"] for one in asked if "dataSensitivity" in one] == [
            "sensitive",
            "highly_sensitive",
        ]
