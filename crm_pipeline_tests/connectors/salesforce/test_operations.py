"""What the connector asks of Salesforce stands in docs/vendor-operations.md, and is compared as it says there."""

import pytest

from crm_pipeline.connectors.registry import connector
from crm_pipeline.connectors.salesforce import bulk_results
from crm_pipeline_tests import operations
from crm_pipeline_tests.harness import HarnessMaker
from crm_pipeline_tests.operations import Descriptions, Response

OBJECTS = (*connector("salesforce").default_objects, "Invoice__c")
_FILE = "oas-v64-postman-derived/salesforce-{}-api-openapi.yml"
_DATA = "/services/data/v{version}"
_JOB = "/data/v64.0/jobs/query/"
DESCRIPTIONS = Descriptions(
    "salesforce",
    {
        "/data": ("/data", tuple(_FILE.format(name) for name in ("jobs", "data", "describe"))),
        "/services/oauth2": ("/services/oauth2", (_FILE.format("tokens"),)),
    },
    {
        # Each fits two of the alternatives that the examples made.
        f"{_DATA}/sobjects/{{object}}/describe": (
            "$.fields[*].defaultValue",
            "$.fields[*].picklistValues[*]",
        ),
        # There is none behind the last pages.
        f"{_DATA}/jobs/query/{{job}}/resultPages": ("$.nextRecordsUrl",),
    },
    # The descriptions are of version 64 and have lost the parameters of paths.
    {
        f"{_DATA}/limits": "/data/v64.0/limits",
        f"{_DATA}/queryAll/": "/data/v64.0/queryAll",
        f"{_DATA}/sobjects/{{object}}/describe": "/data/v64.0/sobjects/{SOBJECT_API_NAME}/describe",
        f"{_DATA}/jobs/query": "/data/v64.0/jobs/query",
        f"{_DATA}/jobs/query/{{job}}": _JOB,
        f"{_DATA}/jobs/query/{{job}}/results": f"{_JOB}/results",
        f"{_DATA}/jobs/query/{{job}}/resultPages": f"{_JOB}/resultPages",
    },
    # They were made from examples: what is required and what is named is what those had.
    closed=False,
    complete=False,
)


def read(make_harness: HarnessMaker, kept: list[Response]) -> list[Response]:
    """Read every object by every route, and do what commands do beside."""
    with (
        make_harness(contacts=2_300, kind="refresh_token", objects=OBJECTS) as harness,
        operations.recorded(harness.sandbox, "salesforce", kept),
        pytest.MonkeyPatch.context() as patched,
    ):
        with harness.account() as account:
            operations.looked_at(account, OBJECTS)
            account.probe_changes(account.describe("Contact"), harness.clock.now())
            account.get("Contact", harness.org.rows("Contact", limit=1)[0]["Id"], by=None)
            # A record that is in no bin is looked for in the log of deletions.
            account.confirm_deleted("Contact", ["003000000000000AAA"])  # type: ignore[attr-defined]
            # More than an answer holds.
            list(account.query("SELECT Id FROM Contact", include_deleted=False))
        for obj in OBJECTS:
            harness.extract(obj, route="rest")
        harness.extract("User", route="bulk")
        # Exports of several pages are listed.
        patched.setattr(bulk_results, "PAGE_RECORDS", 5)
        harness.extract("Contact", route="bulk")
    return kept


@pytest.fixture(scope="module")
def kept() -> list[Response]:
    """The answers of one reading, for all tests of the module."""
    return []


def test_every_operation_is_documented(make_harness: HarnessMaker, kept: list[Response]) -> None:
    """Each operation that the connector uses has its row, and each row is used."""
    operations.by_operation(operations.documented("salesforce"), kept or read(make_harness, kept))


def test_answers_are_compared_as_documented(
    make_harness: HarnessMaker, kept: list[Response]
) -> None:
    """Answers fit the vendor's description where the row says yes; where it says no, they cannot."""
    answers = kept or read(make_harness, kept)
    found = operations.by_operation(operations.documented("salesforce"), answers)
    operations.assert_verdicts(DESCRIPTIONS, found)
