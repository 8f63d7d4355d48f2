"""The connector's calls are listed in docs/vendor-operations.md, and compared as it says there."""

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline_tests import operations
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarnessMaker
from crm_pipeline_tests.connectors.zoho.test_limits import without
from crm_pipeline_tests.operations import Descriptions, Response

OBJECTS = (*connector("zoho").default_objects, "Service_Contracts", "CampaignMembers")
_FILE = "oas-v8-2026-08/zoho-crm-{}-openapi.json"
_NAMES = (
    *("record", "record-count", "related-records", "coql"),
    *("modules", "fields", "layouts", "org", "users"),
)
_TOKENS = ("previous_page_token", "next_page_token", "page_token_expiry")
DESCRIPTIONS = Descriptions(
    "zoho",
    {
        "/crm/bulk/v8": ("", (_FILE.format("bulk-read"),)),
        "/crm/v8": ("", tuple(_FILE.format(name) for name in _NAMES)),
    },
    {
        # The description gives tokens no null, which the vendor's own samples have, and knows no field
        # but those that every module has.
        "/crm/v8/{module}": (*(f"$.info.{name}" for name in _TOKENS), "$.data[*]"),
        "/crm/v8/{module}/{recordID}": ("$.data[*]",),
        "/crm/v8/{parentRecordModule}/{parentRecord}/{relatedList}": ("$.data[*]",),
        "/crm/v8/coql": ("$.data[*]",),
        # It wants two fields of attachments in every job, which the pages do not know.
        "/crm/bulk/v8/read/{jobId}": ("$.data[*]",),
    },
)


def read(make_harness: ZohoHarnessMaker, kept: list[Response]) -> list[Response]:
    """Read every object by every strategy, and make the calls of all commands."""
    with (
        make_harness(contacts=40, objects=OBJECTS) as harness,
        operations.recorded(harness.sandbox, "zoho", kept),
    ):
        with harness.account() as account:
            operations.looked_at(account, OBJECTS)
            account.probe_changes(account.describe("Contacts"), harness.clock.now())
            account.get("Contacts", harness.emulator.rows("Contacts")[0]["id"], by=None)
            list(account.query("select id from Leads where id is not null", include_deleted=False))
        for obj in OBJECTS:
            harness.extract(obj)
        for route in ("records", "coql", "bulk"):
            harness.extract("Products", route=route)
        # Without queries the module is counted as a whole.
        without(harness, "ZohoCRM.coql.READ")
        harness.emulator.expire_sessions()
        harness.extract("Products")
    return kept


@pytest.fixture(scope="module")
def kept() -> list[Response]:
    """The responses of one run, for all tests of the module."""
    return []


def test_every_operation_is_documented(
    make_harness: ZohoHarnessMaker, kept: list[Response]
) -> None:
    """Each operation that the connector uses has its row, and each row is used."""
    operations.by_operation(operations.documented("zoho"), kept or read(make_harness, kept))


def test_responses_are_compared_as_documented(
    make_harness: ZohoHarnessMaker, kept: list[Response]
) -> None:
    """Responses fit the vendor's description where the row says yes, and do not fit it where it says no."""
    responses = kept or read(make_harness, kept)
    differences = operations.by_operation(operations.documented("zoho"), responses)
    operations.assert_verdicts(DESCRIPTIONS, differences)
