import subprocess
import sys
from pathlib import Path

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors.registry import connector, vendors
from crm_pipeline.connectors.vendor_facts import VendorFolders, vendor_facts
from crm_pipeline.settings import VendorFacts

LIMITS = """\
api_version: "4"
version_pattern: '[3-5]'
routes: [pages, bulk]
ceilings: {daily_calls: 10}
"""


def test_a_folder_with_limits_is_a_vendor(tmp_path: Path) -> None:
    """A vendor is a folder with limits.yaml; the file is read at the first question about that vendor."""
    for name in ("toys", "books", "_shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "toys" / "limits.yaml").write_text(LIMITS)
    (tmp_path / "books" / "limits.yaml").write_text("no YAML: [")
    folders = VendorFolders([tmp_path])
    assert list(folders) == ["books", "toys"]
    assert "toys" in folders
    assert "_shared" not in folders
    assert folders["toys"] == VendorFacts(("pages", "bulk"), "[3-5]", "4", {"daily_calls": 10})
    with pytest.raises(KeyError):
        folders["_shared"]


def test_settings_and_registry_have_the_same_vendors() -> None:
    """Each vendor that a connection may name has a connector."""
    assert len(vendors()) >= 4
    assert [connector(vendor).vendor for vendor in vendors()] == list(vendors())


def test_each_vendor_has_a_title() -> None:
    """Texts for people write a vendor's name as the vendor does; the name in connections.yaml is its small form."""
    titles = {vendor: vendor_facts()[vendor].title for vendor in vendors()}
    assert {title.lower(): title for title in titles.values()} == {
        vendor: titles[vendor] for vendor in vendors()
    }
    assert all(title != vendor for vendor, title in titles.items())


def test_loading_settings_imports_no_connector() -> None:
    """Each command loads settings, so that they come without the vendors' code and without data libraries."""
    program = (
        "import sys\n"
        "from crm_pipeline.configuration import load_settings\n"
        "assert load_settings().connections\n"
        "print(sorted(name for name in sys.modules if name in ('pyarrow', 'requests', 'duckdb')\n"
        "    or name.startswith('crm_pipeline.connectors.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", "CRM_HOME": str(load_settings().root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['crm_pipeline.connectors.vendor_facts']"


LATENESS = {"salesforce": 600, "hubspot": 900, "pipedrive": 300, "zoho": 900}


@pytest.mark.parametrize("vendor", LATENESS)
def test_the_look_back_is_as_long_as_the_vendor_is_late(tmp_path: Path, vendor: str) -> None:
    """Each vendor's limits.yaml says how late a change may be seen; what connections.yaml says goes before it."""
    entry = (
        "  {name}: {{vendor: {vendor}, login_url: https://acme.example, objects: [x], {own}auth: {{kind: refresh_token, "
        "client_id_env: A, client_secret_env: B, refresh_token_env: C}}}}\n"
    )
    written = {"usual": "", "own": "lookback_s: 7, ", "none": "lookback_s: 0, "}
    lines = [entry.format(name=name, vendor=vendor, own=own) for name, own in written.items()]
    (tmp_path / "connections.yaml").write_text("connections:\n" + "".join(lines))
    read = load_settings(tmp_path, {})
    assert {name: read.connection(name).lookback_s for name in written} == {
        "usual": LATENESS[vendor],
        "own": 7,
        "none": 0,
    }
