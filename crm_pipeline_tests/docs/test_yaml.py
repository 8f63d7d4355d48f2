"""The YAML of the documentation is what connections.yaml may say, and its every key is explained."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline_tests.docs.blocks import ROOT, Block, of
from crm_pipeline_tests.docs.made import reference

ENTRY: dict[str, Any] = {
    "vendor": "salesforce",
    "login_url": "https://acme.my.salesforce.com",
    "auth": {"kind": "client_credentials", "client_id_env": "A", "client_secret_env": "B"},
    "objects": [],
}
PROVIDER = {"prospeo": {"type": "prospeo", "key_env": "A"}}


def whole(block: Block) -> dict[str, Any]:
    """Return a block as a whole connections.yaml: parts of an entry and keys beside them get the rest."""
    part: dict[str, Any] = yaml.safe_load(block.text)
    if set(part) <= set(ENTRY):
        return {"connections": {"acme": ENTRY | part}}
    return {"connections": {"acme": ENTRY}, "providers": PROVIDER} | part


def test_blocks_are_settings(tmp_path: Path) -> None:
    """Every block is accepted as it stands; Dagster's own YAML is checked where it is used."""
    shown = [
        block
        for block in of("yaml")
        if not yaml.safe_load(block.text).keys() & {"type", "concurrency"}
    ]
    sources = [block for block in shown if "resources" in yaml.safe_load(block.text)]
    for block in sources:
        path = tmp_path / "sources" / f"{yaml.safe_load(block.text)['name']}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
    shown = [block for block in shown if block not in sources]
    assert len(shown) > 10
    refusals = []
    for block in shown:
        (tmp_path / "connections.yaml").write_text(yaml.safe_dump(whole(block)), encoding="utf-8")
        try:
            load_settings(tmp_path, {})
        except ConfigError as error:
            refusals.append(f"{block}: {error}")
    assert refusals == []


@pytest.mark.parametrize("text", ["drift: {renamed: warn}", "auth: {kind: token}", "objekts: []"])
def test_a_planted_block_is_refused(text: str, tmp_path: Path) -> None:
    """A wrong value, a missing key and an unknown key are found."""
    content = yaml.safe_dump(whole(Block("page", 1, "yaml", text)))
    (tmp_path / "connections.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError):
        load_settings(tmp_path, {})


def test_every_key_is_explained() -> None:
    """People wrote about each key of connections.yaml: it stands as code on the page of connections."""
    page = (ROOT / "docs" / "connections.md").read_text(encoding="utf-8")
    code = " ".join(re.findall(r"```\w*\n.*?```|`[^`\n]+`", page, re.DOTALL))
    words = set(re.findall(r"\w+", code))
    keys = {path.rsplit(".", 1)[-1] for path in reference().settings_keys()}
    assert len(keys) > 40
    assert sorted(keys - words) == []
