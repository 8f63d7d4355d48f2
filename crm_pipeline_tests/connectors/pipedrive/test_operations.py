"""The connector's calls are listed in docs/vendor-operations.md, and compared as it says there."""

import json

import pytest

from crm_pipeline.connectors.pipedrive.catalog import ITEMS
from crm_pipeline_tests import operations
from crm_pipeline_tests.connectors.pipedrive.conftest import HarnessMaker
from crm_pipeline_tests.operations import Descriptions, Response
from crm_sandbox_tests.pipedrive.test_contract import FIELDS, NULLS, V1, V2, besides

_LEAD_NULLS = ("person_id", "organization_id", "value", "expected_close_date", "source_name")
_NOTE_NULLS = (
    *("deal", "person", "organization", "deal_id", "person_id", "org_id", "lead_id"),
    *("project_id", "task_id", "user.icon_url"),
)
# Amounts and product codes are whole numbers in the description; a record may have no company.
_HIT_NULLS = ("value", "organization", "person", "address", "code")
_SEARCHED = ("deals", "persons", "organizations", "products")
DESCRIPTIONS = Descriptions(
    "pipedrive",
    {"/api/v2": ("", (V2,)), "/v1": ("", (V1,))},
    {
        "": ("$.additional_data.next_cursor", "$.additional_data"),
        **{f"/api/v2{path}": besides(path, "$.data[*]") for path in NULLS},
        **{f"/api/v2{path}/{{id}}": besides(path, "$.data") for path in NULLS},
        "/api/v2/deals/archived": besides("/deals", "$.data[*]"),
        **{
            f"/api/v2/{name}/search": tuple(f"$.data.items[*].item.{null}" for null in _HIT_NULLS)
            for name in _SEARCHED
        },
        "/v1/notes": tuple(f"$.data[*].{name}" for name in _NOTE_NULLS),
        "/v1/notes/{id}": tuple(f"$.data.{name}" for name in _NOTE_NULLS),
        "/v1/deals/{id}/participants": tuple(
            f"$.data[*].person.{null}" for null in ("org_id", "org_name", "label", "update_time")
        ),
        "/v1/users/me": ("$.data.company_industry",),
        # The description wants RFC 3339 here and shows v1's own form in its examples.
        "/v1/activityTypes": FIELDS,
        # Types are narrowed to those that can be created, against the examples.
        "/v1/leadFields": (*FIELDS, "$.data[*].options"),
        "/v1/noteFields": (*FIELDS, "$.data[*].options"),
    },
    # Undescribed properties are looked for where the lists themselves are compared.
    closed=False,
)


def read(make_harness: HarnessMaker, kept: list[Response]) -> list[Response]:
    """Read every object by every strategy, and make the calls of all commands."""
    objects = json.dumps(list(ITEMS))
    with (
        make_harness(contacts=40, kind="refresh_token", objects=objects) as harness,
        operations.recorded(harness.sandbox, "pipedrive", kept),
    ):
        with harness.account() as account:
            operations.looked_at(account, tuple(ITEMS))
            account.probe_changes(account.describe("persons"), harness.clock.now())
            for obj, item in ITEMS.items():
                if item.record_path:
                    account.get(obj, str(harness.company.rows(obj)[0]["id"]), by=None)
            for obj in _SEARCHED:
                by = ITEMS[obj].search_fields[0]
                names = [str(row[by]) for row in harness.company.rows(obj)]
                alone = next(name for name in names if names.count(name) == 1)
                account.get(obj, alone, by=by)
        for obj in ITEMS:
            harness.extract(obj)
        harness.extract("deals", route="windows")
    return kept


@pytest.fixture(scope="module")
def kept() -> list[Response]:
    """The responses of one run, for all tests of the module."""
    return []


def test_every_operation_is_documented(make_harness: HarnessMaker, kept: list[Response]) -> None:
    """Each operation that the connector uses has its row, and each row is used."""
    operations.by_operation(operations.documented("pipedrive"), kept or read(make_harness, kept))


def test_responses_are_compared_as_documented(
    make_harness: HarnessMaker, kept: list[Response]
) -> None:
    """Responses fit the vendor's description where the row says yes, and do not fit it where it says no."""
    responses = kept or read(make_harness, kept)
    differences = operations.by_operation(operations.documented("pipedrive"), responses)
    operations.assert_verdicts(DESCRIPTIONS, differences)
