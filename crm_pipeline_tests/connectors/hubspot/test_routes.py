"""Every read strategy of HubSpot is compared; an impossible one is named with its reason."""

import pytest

from crm_pipeline.connectors.base import Plan
from crm_pipeline.kernel.clock import Window, parse_instant
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline_tests.connectors.hubspot.conftest import Still
from crm_pipeline_tests.harness import START, Harness

FULL = Window(None, parse_instant(START))
CHANGES = Window(parse_instant("2026-11-01T00:00:00Z"), parse_instant(START))


def plan(hub: Harness, window: Window, route: str = "auto") -> Plan:
    with hub.account() as account:
        return account.plan(ObjectSettings("contacts", route=route), window)


@pytest.mark.parametrize(
    ("window", "possible"), [(FULL, {"list", "search"}), (CHANGES, {"search"})]
)
def test_impediments_are_named(still: Still, window: Window, possible: set[str]) -> None:
    """Few records are not read from both ends, lists have no filter by change, exports lack fields."""
    made = plan(still(), window)
    assert {strategy.name for strategy in made.strategies} == {"list", "search", "both", "export"}
    assert {strategy.name for strategy in made.strategies if not strategy.impediment} == possible
    assert made.route in possible
    assert "instants" in next(s.impediment for s in made.strategies if s.name == "export")


def test_an_export_that_is_asked_for_is_refused(still: Still) -> None:
    """With the reason, and what is possible instead."""
    with pytest.raises(ConfigError, match="instants") as found:
        plan(still(), FULL, route="export")
    assert "list, search" in found.value.cure
