"""Vendors of other distributions: found by their entry points, and refused in a sentence."""

import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from crm_pipeline.configuration import load_settings
from crm_pipeline.connectors import plugins, registry, vendor_facts
from crm_pipeline.connectors.plugins import Plugin
from crm_pipeline.connectors.registry import connector, vendors
from crm_pipeline.kernel.errors import ConfigError, UnknownName
from crm_pipeline.orchestration.build import build_defs

TOY = Path(__file__).parent / "toy_vendor"
CONNECTIONS = """
connections:
  toys:
    vendor: toy_vendor
    login_url: http://127.0.0.1:9/
    sandbox: true
    auth: {kind: token, token_env: TOY_TOKEN}
    objects: [People]
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution on the path as pip does: a package, and a folder with its entry points."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(site)
    caches = (plugins.plugins, vendor_facts.vendor_facts, registry.coded)

    def put(name: str = "crm-toys", vendor: str = "toy_vendor", package: str = "crm_toys") -> Path:
        info = site / f"{name.replace('-', '_')}-2.1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.1\n")
        group = "[crm_pipeline.connectors]"
        (info / "entry_points.txt").write_text(f"{group}\n{vendor} = {package}\n")
        if not (site / package).exists():
            shutil.copytree(TOY, site / package)
        for each in caches:
            each.cache_clear()
        return site / package

    yield put
    for each in caches:
        each.cache_clear()
    for module in [each for each in sys.modules if each.startswith("crm_toys")]:
        del sys.modules[module]


def settings_of(root: Path) -> object:
    (root / "connections.yaml").write_text(CONNECTIONS)
    return load_settings(root, {"TOY_TOKEN": "hush"})


def test_a_distribution_brings_a_vendor(install: Install, tmp_path: Path) -> None:
    """Settings, registry and Dagster know it; nothing of this package is touched."""
    install()
    assert "toy_vendor" in vendors()
    assert settings_of(tmp_path).connection("toys").vendor == "toy_vendor"  # type: ignore[attr-defined]
    assert type(connector("toy_vendor")).__module__ == "crm_toys"
    defs = build_defs(load_settings(tmp_path, {}))
    keys = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert "toys/raw/People" in keys


def test_without_it_the_name_is_unknown(tmp_path: Path) -> None:
    """The same connection without the distribution is an unknown vendor."""
    with pytest.raises(UnknownName, match="toy_vendor"):
        settings_of(tmp_path)


@pytest.mark.parametrize("vendor", ["toy_vendor", "salesforce"])
def test_two_of_one_name_are_refused(install: Install, vendor: str) -> None:
    """Two distributions for one vendor, or one for a vendor of ours: both are named, with what to uninstall."""
    install("crm-toys", vendor)
    if vendor == "toy_vendor":
        install("other-toys", vendor)
    with pytest.raises(ConfigError, match=r"crm-toys 2\.1") as refused:
        connector(vendor)
    assert "ninstall" in refused.value.cure
    assert connector("hubspot").vendor == "hubspot"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("connectors = 1", "exports no 'connector'"),
        ("connector = object()", "does not export a connector"),
    ],
)
def test_one_that_does_not_load_is_named(install: Install, code: str, words: str) -> None:
    """The error names distribution, version and reason, and others go on."""
    (install() / "__init__.py").write_text(code)
    with pytest.raises(ConfigError, match=words) as refused:
        connector("toy_vendor")
    assert "crm-toys 2.1" in refused.value.message
    assert connector("hubspot").vendor == "hubspot"


def test_one_for_another_version_says_what_it_lacks(install: Install) -> None:
    """A connector without a name of the protocol, or for another vendor, is refused when it is first used."""
    code = (install() / "__init__.py").read_text()
    (install("x", "a", "crm_toys_a") / "__init__.py").write_text(
        code.replace("keys = ToyKeys()", "").replace("toy_vendor", "a")
    )
    with pytest.raises(ConfigError, match=r"lacks keys"):
        connector("a")
    install("y", "b", "crm_toys_b")
    with pytest.raises(ConfigError, match="'toy_vendor' under the name 'b'"):
        connector("b")


@pytest.mark.parametrize(
    ("value", "words"), [("", "names no package: ''"), ("gone:connector", "gone is not there")]
)
def test_an_entry_point_without_a_package(value: str, words: str) -> None:
    """What it names is no package, or not installed: an error that says so."""
    with pytest.raises(ConfigError, match=words):
        Plugin(EntryPoint("toy_vendor", value, plugins.GROUP)).limits()


@pytest.mark.parametrize("limits", [None, "no YAML: [", "api_version: 1"])
def test_limits_that_cannot_be_read_are_explained(
    install: Install, tmp_path: Path, limits: str | None
) -> None:
    """Without usable limits.yaml the connection that names the vendor is an error with file and line."""
    path = install() / "limits.yaml"
    path.unlink() if limits is None else path.write_text(limits)
    with pytest.raises(ConfigError, match=r"connections\.yaml:\d+: .*crm-toys 2\.1"):
        settings_of(tmp_path)
