"""What a release consists of agrees: versions, locked dependencies, licences, changelogs."""

import importlib.util
import json
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import crm_pipeline

ROOT = Path(__file__).parents[1]
OURS = {"crm-pipeline", "crm-sandbox"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project(name: str) -> Mapping[str, Any]:
    return tomllib.loads(text(name))["project"]


@pytest.fixture(scope="module")
def sbom() -> Any:
    """The program that lists what the project stands on."""
    spec = importlib.util.spec_from_file_location("sbom", ROOT / ".ci" / "sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["sbom"] = module
    spec.loader.exec_module(module)
    return module


def test_one_version() -> None:
    """Both distributions, the package and the extra that names the sandbox have the version of the newest changelog heading."""
    product, sandbox = project("pyproject.toml"), project("sandbox/pyproject.toml")
    version = product["version"]
    assert sandbox["version"] == crm_pipeline.__version__ == version
    assert product["optional-dependencies"]["sandbox"] == [f"crm-sandbox=={version}"]
    for name in ("CHANGELOG.md", "sandbox/CHANGELOG.md"):
        headings = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text(name), re.MULTILINE)
        assert headings[0] == ("Unreleased", "")
        assert headings[1][0] == version, f"{name} has no section for {version}"
        assert headings[1][1], f"{name}: {version} has no date"


def test_constraints_have_no_hashes_and_no_addresses() -> None:
    """pip refuses `-e .` where constraints have hashes, and addresses of an index are those of one machine."""
    lines = text("constraints.txt").splitlines()[1:]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)] == []
    lock = text("requirements.lock")
    assert re.findall(r"://|^-", lock, re.MULTILINE) == []


def test_the_lock_is_whole() -> None:
    """All that the two distributions need on Linux and macOS is locked, in the versions of the constraints."""
    pattern = r"^([\w.-]+)(\[.+\])?==(\S+) \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    locked = {
        canonicalize_name(name): version
        for name, _, version, _ in re.findall(pattern, text("requirements.lock"), re.MULTILINE)
    }
    assert len(locked) == len(re.findall(r"^\w", text("requirements.lock"), re.MULTILINE)) > 80
    pinned = dict(line.split("==") for line in text("constraints.txt").splitlines()[1:])
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    assert {name: version for name, version in locked.items() if pinned.get(name) != version} == {}
    roots = [
        *project("pyproject.toml")["dependencies"],
        *project("sandbox/pyproject.toml")["dependencies"],
    ]
    needed = {canonicalize_name(Requirement(root).name) for root in roots}
    for name in locked:
        needed |= _needed(name)
    assert sorted(needed - set(locked)) == [], "run `make lock`"


def _needed(name: str) -> set[str]:
    try:
        texts = requires(name) or ()
    except PackageNotFoundError:
        return set()
    places = [
        {
            "python_version": version,
            "python_full_version": f"{version}.4",
            "sys_platform": system,
            "platform_system": label,
            "extra": "",
        }
        for version in ("3.11", "3.12", "3.13")
        for system, label in (("linux", "Linux"), ("darwin", "Darwin"))
    ]
    found = [Requirement(said) for said in texts]
    return {
        canonicalize_name(one.name)
        for one in found
        if one.marker is None or any(one.marker.evaluate(dict(place)) for place in places)
    }


def test_every_licence_is_permissive(sbom: Any) -> None:
    """Nothing that the project needs, to run or to develop, has a licence that binds its users' code."""
    found = sbom.parts()
    assert len(found) > 100
    assert sbom.refusals(found) == []
    assert [name for name in sbom.EXCEPTIONS if name not in found] == [], (
        "an exception that nothing needs"
    )


@pytest.mark.parametrize(
    ("expression", "is_good"),
    [
        *(
            ("MIT", True),
            ("BSD", True),
            ("Apache-2.0 OR GPL-3.0", True),
            ("MIT AND (MPL-2.0 OR GPL-2.0)", True),
        ),
        *(
            ("GPL-3.0", False),
            ("MIT AND GPL-3.0", False),
            ("GPL-3.0 AND (MIT OR BSD)", False),
            ("", False),
        ),
        *(
            ("LGPL-3.0", False),
            ("AGPL-3.0-only", False),
            ("proprietary", False),
            ("Apache-2.0 WITH LLVM-exception", True),
        ),
    ],
)
def test_what_is_permissive(sbom: Any, expression: str, is_good: bool) -> None:
    """A choice needs one permissive licence, a sum needs all of them; what says nothing is refused."""
    assert sbom.is_permitted(expression) is is_good


def test_the_document_is_cyclonedx(sbom: Any) -> None:
    """The document names every part once, with its version, address and licence, and who needs what."""
    found = sbom.parts(extras=frozenset({"sandbox"}))
    document = json.loads(json.dumps(sbom.cyclonedx(found)))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    references = [part["bom-ref"] for part in document["components"]]
    assert len(set(references)) == len(references) == len(found) - 1
    duckdb = next(part for part in document["components"] if part["name"] == "duckdb")
    assert duckdb["purl"] == f"pkg:pypi/duckdb@{duckdb['version']}"
    assert duckdb["licenses"] == [{"expression": "MIT"}]
    [ours] = [
        one for one in document["dependencies"] if one["ref"].startswith("pkg:pypi/crm-pipeline@")
    ]
    assert duckdb["purl"] in ours["dependsOn"]
    assert sbom.cyclonedx(found) == sbom.cyclonedx(found)


def test_hooks_and_templates_are_readable() -> None:
    """pre-commit needs no network, its programs and files exist; GitHub's forms are YAML with their keys."""
    [local] = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert local["repo"] == "local"
    assert {hook["id"] for hook in local["hooks"]} == {"ruff", "ruff-format", "mypy", "reference"}
    assert all(hook["language"] == "system" for hook in local["hooks"])
    for name in ("bug", "wish"):
        form = yaml.safe_load(text(f".github/ISSUE_TEMPLATE/{name}.yml"))
        assert {"name", "description", "body"} <= set(form)
        assert all({"type", "attributes"} <= set(part) for part in form["body"])
