"""Every vendor has a case: without one the claims of the conformance tests are not put to it."""

import pytest

from crm_pipeline.connectors.registry import connector, vendors
from crm_pipeline.connectors.vendor_facts import vendor_facts
from crm_pipeline_tests.connectors.conformance import CASES, CLAIMS, Case, has_case


@pytest.mark.parametrize("vendor", vendors())
def test_every_vendor_has_a_case(vendor: str) -> None:
    """A folder among the connectors without `case.py` in its tests fails here by its name."""
    assert has_case(vendor), f"add crm_pipeline_tests/connectors/{vendor}/case.py"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_has_every_route(case: Case) -> None:
    """A route that `limits.yaml` lists and the case does not would be read without any claim."""
    assert {route.name for route in case.routes} == set(vendor_facts()[case.vendor].routes)
    assert case.vendor == connector(case.vendor).vendor


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_lacking_has_a_reason(case: Case) -> None:
    """A claim that is declared impossible is one that there is, and says why, in a sentence."""
    for lacks in (case.lacks, *(route.lacks for route in case.routes)):
        assert lacks.keys() <= CLAIMS
        assert all(reason.endswith(".") and " " in reason for reason in lacks.values())
