"""The connector's schemas and mapping fit the common model."""

from pathlib import Path

from crm_pipeline_tests.connectors.modelled import assert_fits
from crm_pipeline_tests.connectors.zoho.conftest import ZohoHarnessMaker

OBJECTS = (
    "Accounts",
    "Contacts",
    "Leads",
    "Deals",
    "DealHistory",
    "Products",
    "Campaigns",
    "CampaignMembers",
    "Cases",
    "Tasks",
    "Events",
    "Calls",
    "Notes",
    "Users",
    "Pipelines",
    "Currencies",
)


def test_everything_that_is_read_fits_the_model(
    make_harness: ZohoHarnessMaker, tmp_path: Path
) -> None:
    """Each object becomes its table, every value is converted, and references point to rows."""
    with make_harness(contacts=60, objects=OBJECTS) as harness:
        assert_fits(harness, OBJECTS, tmp_path / "engine")
