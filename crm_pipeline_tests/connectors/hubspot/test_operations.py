"""What the connector asks of HubSpot stands in docs/vendor-operations.md, and is compared as it says there."""

from typing import Any, cast

import pytest

from crm_pipeline.connectors.hubspot import metadata
from crm_pipeline.connectors.registry import connector
from crm_pipeline_tests import operations
from crm_pipeline_tests.connectors.hubspot.conftest import Portal
from crm_pipeline_tests.operations import Descriptions, Response
from crm_sandbox_tests.hubspot.test_contract import KNOWN, NO_LABEL, NUMBERS

OBJECTS = (*connector("hubspot").default_objects, "list_memberships", "machines")
_NAMES = (
    *("objects", "properties", "pipelines", "owners", "associations", "associations-schema"),
    *("account-info", "oauth"),
)
DESCRIPTIONS = Descriptions(
    "hubspot",
    {"": ("", tuple(f"{name}.2026-09.json" for name in _NAMES))},
    # Beside what differs in all versions, a category that is a text in live answers.
    {"": (*KNOWN, *NUMBERS, *NO_LABEL, "$.errors[*].subCategory")},
)


def read(portal: Portal, kept: list[Response]) -> list[Response]:
    """Read every object by every route, and do what commands do beside."""
    with (
        portal(contacts=40, kind="refresh_token", objects=OBJECTS) as harness,
        operations.recorded(harness.sandbox, "hubspot", kept),
    ):
        with harness.account() as account:
            operations.looked_at(account, OBJECTS)
            account.probe_changes(account.describe("contacts"), harness.clock.now())
            for obj in ("deals", "owners", "deal_pipelines"):
                [row] = account.preview(obj, 1)[1]
                account.get(obj, str(row["hs_object_id" if obj == "deals" else "id"]), by=None)
            account.get("lists", "1", by=None)
            # Asked where the vendor refuses a pair of objects.
            api = cast("Any", account)._api
            assert metadata.is_listed(api, "contacts", "companies")
        for obj in OBJECTS:
            harness.extract(obj)
        for route in ("search", "list", "both"):
            harness.extract("contacts", route=route)
    return kept


@pytest.fixture(scope="module")
def kept() -> list[Response]:
    """The answers of one reading, for all tests of the module."""
    return []


def test_every_operation_is_documented(portal: Portal, kept: list[Response]) -> None:
    """Each operation that the connector uses has its row, and each row is used."""
    operations.by_operation(operations.documented("hubspot"), kept or read(portal, kept))


def test_answers_are_compared_as_documented(portal: Portal, kept: list[Response]) -> None:
    """Answers fit the vendor's description where the row says yes; where it says no, they cannot."""
    answers = kept or read(portal, kept)
    found = operations.by_operation(operations.documented("hubspot"), answers)
    operations.assert_verdicts(DESCRIPTIONS, found)
