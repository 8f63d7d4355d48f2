from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from simple_salesforce import Salesforce

from crm_sandbox import SandboxServer, VendorSandbox

README = Path(__file__).parents[1] / "README.md"
SMALL = pytest.mark.crm_sandbox(seed=3, contacts=60)
FIRST_READS = {
    "salesforce": ("Contact", "/services/data/v66.0/query?q=SELECT Id FROM Contact", "Bearer"),
    "hubspot": ("contacts", "/crm/v3/objects/contacts?limit=1", "Bearer"),
    "pipedrive": ("persons", "/api/v2/persons?limit=1", "Bearer"),
    "zoho": ("Contacts", "/crm/v8/Contacts?fields=Email", "Zoho-oauthtoken"),
}


@pytest.fixture
def vendor(request: pytest.FixtureRequest) -> VendorSandbox:
    made: VendorSandbox = request.getfixturevalue(f"{request.param}_sandbox")
    return made


@SMALL
@pytest.mark.parametrize("vendor", FIRST_READS, indirect=True)
def test_credentials_open_the_account(vendor: VendorSandbox) -> None:
    """With a vendor's `.credentials` and `.url` a client logs in by refresh token and reads."""
    own = vendor.credentials
    form = {key: own[key] for key in ("client_id", "client_secret", "refresh_token")}
    form["grant_type"] = "refresh_token"
    app = (own["client_id"], own["client_secret"]) if vendor.name == "pipedrive" else None
    response = requests.post(own["token_url"], data=form, auth=app)
    _, path, scheme = FIRST_READS[vendor.name]
    headers = {"Authorization": f"{scheme} {response.json()['access_token']}"}
    assert requests.get(f"{vendor.url}{path}", headers=headers).status_code == 200
    assert vendor.env[f"{vendor.name.upper()}_URL"] == vendor.url
    assert vendor.env[f"{vendor.name.upper()}_CLIENT_ID"] == own["client_id"]


@SMALL
def test_faults_and_journal_are_those_of_one_vendor(
    hubspot_sandbox: VendorSandbox, pipedrive_sandbox: VendorSandbox
) -> None:
    """An order hits this vendor only, and its journal shows its requests only."""
    hubspot_sandbox.faults.order("status", status=502)
    pipedrive_sandbox.faults.order("status", status=503, times=2)
    statuses = [requests.get(one.url).status_code for one in (pipedrive_sandbox, hubspot_sandbox)]
    assert statuses == [503, 502]
    assert [entry.status for entry in hubspot_sandbox.journal.entries()] == [502]
    assert (len(pipedrive_sandbox.journal), hubspot_sandbox.journal.count(status=503)) == (1, 0)
    pipedrive_sandbox.faults.clear()
    assert (len(pipedrive_sandbox.faults.listed()), len(hubspot_sandbox.faults.listed())) == (0, 1)


@SMALL
def test_a_client_with_hard_wired_hosts_is_led_here(
    salesforce_sandbox: VendorSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `.proxy_env` the vendor's own host name over https is the sandbox."""
    for name, value in salesforce_sandbox.proxy_env.items():
        monkeypatch.setenv(name, value)
    own = salesforce_sandbox.credentials
    with Salesforce(
        username=own["username"], password=own["password"], security_token="", version="59.0"
    ).session as session:
        assert session is not None
    assert [entry.path for entry in salesforce_sandbox.journal.entries()] == [
        "/services/Soap/u/59.0"
    ]


@SMALL
def test_records_are_those_of_the_account(zoho_sandbox: VendorSandbox) -> None:
    """Records are made, changed and deleted behind the API, in this account and no other."""
    second = zoho_sandbox.account("second")
    before = zoho_sandbox.count("Contacts")
    record = second.create("Contacts", {"Last_Name": "Noether"})
    second.edit("Contacts", record, {"Last_Name": "Nöther"})
    assert [r["Last_Name"] for r in second.rows("Contacts") if r["id"] == record] == ["Nöther"]
    second.delete("Contacts", record)
    assert record not in {row["id"] for row in second.rows("Contacts")}
    assert zoho_sandbox.count("Contacts") == before
    with pytest.raises(ValueError, match="unknown admin action"):
        second.admin("explode")


def test_an_unknown_account_or_vendor_is_named(crm_sandbox: SandboxServer) -> None:
    """The error names what was asked for and what there is."""
    with pytest.raises(ValueError, match="'third'; known: main, second"):
        VendorSandbox(crm_sandbox, "hubspot", "third")
    with pytest.raises(ValueError, match="'sugar' in this sandbox; known: hubspot"):
        VendorSandbox(crm_sandbox, "sugar")


@pytest.mark.crm_sandbox(now=datetime(2026, 3, 1, 12, tzinfo=UTC), contacts=20)
def test_the_marker_chooses_the_world(crm_sandbox: SandboxServer) -> None:
    """Seed, size and moment are the marker's; at a moment the clock stands still."""
    assert (crm_sandbox.world.seed, crm_sandbox.world.contacts) == (7, 20)
    assert crm_sandbox.clock.now() == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert crm_sandbox.world.now == datetime(2026, 3, 1, 12)  # noqa: DTZ001 - naive UTC


def test_each_test_gets_a_fresh_world_from_one_server(pytester: pytest.Pytester) -> None:
    """One line in a project's own test suite; strict markers know the marker."""
    pytester.makeconftest('pytest_plugins = ["crm_sandbox.pytest_plugin"]')
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.crm_sandbox(seed=3, contacts=60)
        urls = set()

        @pytest.mark.parametrize("run", [1, 2])
        def test_changes(pipedrive_sandbox, run):
            urls.add(pipedrive_sandbox.url)
            assert len(pipedrive_sandbox.journal) == 0
            assert pipedrive_sandbox.rows("persons", limit=1)[0]["name"] != "Changed"
            pipedrive_sandbox.edit("persons", 1, {"name": "Changed"})
            assert pipedrive_sandbox.rows("persons", limit=1)[0]["name"] == "Changed"
            assert len(urls) == 1
        """
    )
    result = pytester.runpytest_inprocess("--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_the_examples_of_the_readme_run(pytester: pytest.Pytester) -> None:
    """The tests that the README shows pass as they stand there."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    conftest, test, marker, alone = blocks[:4]
    pytester.makeconftest(conftest)
    world = "\ndef test_world(crm_sandbox):\n    assert crm_sandbox.world.seed == 3\n"
    imports = "from datetime import UTC, datetime\nimport pytest\n"
    pytester.makepyfile(
        f"{imports}{test}\n{marker}{world}\ndef test_alone():\n" + textwrap.indent(alone, "    ")
    )
    result = pytester.runpytest_inprocess("--strict-markers", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)


def test_a_wrong_marker_is_explained(pytester: pytest.Pytester) -> None:
    """An option that the marker does not have is an error with the known ones."""
    pytester.makeconftest('pytest_plugins = ["crm_sandbox.pytest_plugin"]')
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.crm_sandbox(size=60)
        def test_world(crm_sandbox):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes seed, contacts, now by name*"])
