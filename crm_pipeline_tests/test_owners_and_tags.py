from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterInvalidDefinitionError

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Settings

FILE = """
{top}
connections:
  acme:
    vendor: salesforce
    login_url: https://acme.my.salesforce.com
    auth: {{kind: client_credentials, client_id_env: A, client_secret_env: B}}
    objects: []
    {own}
"""


def read(folder: Path, own: str = "", top: str = "") -> Settings:
    (folder / "connections.yaml").write_text(FILE.format(own=own, top=top))
    return load_settings(folder, {})


def test_owners_and_tags_are_read(tmp_path: Path) -> None:
    """A connection that names no owners has those of the file; an empty list is nobody."""
    top = "owners: [team:data]"
    own = read(tmp_path, "owners: [team:revops, jane@acme.com]\n    tags: {tier: gold}", top)
    acme = own.connections["acme"]
    assert (acme.owners, dict(acme.tags)) == (("team:revops", "jane@acme.com"), {"tier": "gold"})
    assert own.owners == ("team:data",)
    assert read(tmp_path, "", top).connections["acme"].owners == ("team:data",)
    assert read(tmp_path, "owners: []", top).connections["acme"].owners == ()


@pytest.mark.parametrize(
    ("own", "said", "cure"),
    [
        ("owners: [revops]", "owners holds something that is no owner (entry 1)", "team:revops"),
        ("owners: ['team:']", "is no owner", "team:revops"),
        ("owners: [a@b.de, a@b.de]", "names 'a@b.de' twice", "Keep one"),
        ("tags: {tier: 1}", "tags.tier is no text to YAML", "in quotes"),
        ("tags: {tier: yes}", "tags.tier is yes or no to YAML", "in quotes"),
        ("tags: {tier: two words}", "has a value that no tag can have", "without spaces"),
        ("tags: {'a b': x}", "is no name for a tag", "acme/tier"),
        ("tags: {dagster/kind: x}", "begins with 'dagster/', which is reserved", "another prefix"),
        ("tags: {crm/stage: x}", "begins with 'crm/', which is reserved", "another prefix"),
    ],
)
def test_what_dagster_would_refuse_is_refused_with_its_line(
    tmp_path: Path, own: str, said: str, cure: str
) -> None:
    """The error names file, line and key, and what to write."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, own)
    assert said in caught.value.message
    assert "connections.yaml:9" in caught.value.message
    assert cure in caught.value.cure


@pytest.mark.parametrize(
    ("owners", "tags"),
    [
        (["team:a"], {"a/b": ""}),
        (["team:Revenue Operations", "x.y+z@sub.acme.co"], {"a.b-c_D": "1.0-x_Y"}),
        (["team:"], {}),
        (["x@y"], {}),
        ([], {"a/b/c": "x"}),
        ([], {"a" * 64: "x"}),
        ([], {"a": "x" * 64}),
        ([], {"a": "x y"}),
    ],
)
def test_dagster_agrees(tmp_path: Path, owners: list[str], tags: dict[str, str]) -> None:
    """What connections.yaml accepts, Dagster accepts, and the other way round."""

    def accepted() -> bool:
        try:
            read(tmp_path, f"owners: {owners!r}\n    tags: {tags!r}")
        except ConfigError:
            return False
        return True

    def taken() -> bool:
        try:
            dg.AssetSpec("x", owners=owners, tags=tags)
        except DagsterInvalidDefinitionError:
            return False
        return True

    assert accepted() == taken()
