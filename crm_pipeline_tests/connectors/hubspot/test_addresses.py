"""Where the APIs stand, by date and by number."""

import pytest

from crm_pipeline.connectors.hubspot.addresses import Addresses
from crm_sandbox_tests.contracts import described

DATED = Addresses("2026-09")
OLD = Addresses("v3")


@pytest.mark.parametrize(
    ("file", "method", "template", "path"),
    [
        ("objects", "get", "/crm/objects/2026-09/{objectType}", DATED.objects("{objectType}")),
        (
            "objects",
            "post",
            "/crm/objects/2026-09/{objectType}/search",
            DATED.objects("{objectType}", "search"),
        ),
        (
            "objects",
            "post",
            "/crm/objects/2026-09/{objectType}/batch/read",
            DATED.objects("{objectType}", "batch", "read"),
        ),
        (
            "properties",
            "get",
            "/crm/properties/2026-09/{objectType}",
            DATED.properties("{objectType}"),
        ),
        (
            "pipelines",
            "get",
            "/crm/pipelines/2026-09/{objectType}",
            DATED.pipelines("{objectType}"),
        ),
        ("owners", "get", "/crm/owners/2026-09", DATED.owners()),
        (
            "associations",
            "post",
            "/crm/associations/2026-09/{fromObjectType}/{toObjectType}/batch/read",
            DATED.associations("{fromObjectType}", "{toObjectType}"),
        ),
        (
            "associations-schema",
            "get",
            "/crm/associations/2026-09/{fromObjectType}/{toObjectType}/labels",
            DATED.association_kinds("{fromObjectType}", "{toObjectType}"),
        ),
        ("account-info", "get", "/account-info/2026-09/details", DATED.account),
        ("oauth", "post", "/oauth/2026-09/token", DATED.token),
    ],
)
def test_paths_are_those_of_the_description(
    file: str, method: str, template: str, path: str
) -> None:
    """Each path that we call is in the vendor's description of the newest version."""
    assert path.replace("%7B", "{").replace("%7D", "}") == template
    assert method in described("hubspot", f"{file}.2026-09.json")["paths"][template]


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_numbered_versions(version: str) -> None:
    """Records stand under v3 and associations under v4, whichever of the two is named."""
    at = Addresses(version)
    assert at.objects("contacts", "search") == "/crm/v3/objects/contacts/search"
    assert at.associations("contacts", "deals") == "/crm/v4/associations/contacts/deals/batch/read"
    assert at.owners() == "/crm/v3/owners"
    assert at.schemas == "/crm/v3/schemas"
    assert at.token == "/oauth/v3/token"
    assert at.account == "/account-info/v3/details"


def test_names_cannot_leave_their_place() -> None:
    """A name from connections.yaml is one part of a path."""
    assert OLD.objects("a/../b", "1") == "/crm/v3/objects/a%2F..%2Fb/1"
