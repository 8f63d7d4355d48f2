"""The Python of the documentation runs."""

from pathlib import Path

import pytest
import yaml

from crm_pipeline_tests.docs.blocks import of
from crm_pipeline_tests.docs.test_yaml import ENTRY

# Pages whose blocks a neighbouring test runs where what they need exists.
ELSEWHERE = {
    "docs/python.md": "crm_pipeline_tests/test_client.py",
    "docs/deployment.md": "crm_pipeline_tests/orchestration/test_deployment_page.py",
    "docs/contracts.md": "crm_pipeline_tests/contracts/test_files.py",
}


def test_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block runs from top to bottom, in a project with one connection."""
    import dagster as dg

    entry = ENTRY | {"objects": ["OpportunityStage"]}
    text = yaml.safe_dump({"connections": {"acme": entry}})
    (tmp_path / "connections.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("CRM_HOME", str(tmp_path))
    shown = [block for block in of("python") if block.page not in ELSEWHERE]
    assert shown
    for block in shown:
        names = {"my_defs": dg.Definitions()}
        exec(compile(block.text, str(block), "exec"), names)
        if isinstance(defs := names.get("defs"), dg.Definitions):
            assert defs.resolve_asset_graph().get_all_asset_keys()
