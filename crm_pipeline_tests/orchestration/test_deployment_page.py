"""docs/deployment.md: its example is executed, and its component loads."""

import re
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from crm_pipeline.components import CrmConnections
from crm_pipeline.configuration import load_settings
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.orchestration.projects import CONNECTIONS, make_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CONTACTS = dg.AssetKey(["sales", "crm", "published", "contacts"])


def block(language: str, holding: str) -> str:
    """Return the one code block of the page in a language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    [text] = [block for block in blocks if holding in block]
    return str(text)


@pytest.fixture
def page(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What the page's block defines, on a data folder in which two accounts are published."""
    settings = make_settings(tmp_path / "project")
    monkeypatch.setenv("CRM_HOME", str(settings.root))
    monkeypatch.setenv("CRM_DATA", str(filled))
    defined: dict[str, Any] = {"__name__": "definitions"}
    exec(compile(block("python", "@dg.asset"), str(PAGE), "exec"), defined)
    return SimpleNamespace(**defined)


def test_the_example_runs(page: SimpleNamespace, filled: Path) -> None:
    """A merged deployment: the downstream asset reads what is published, and the reader's own job runs."""
    found = [value for value in vars(page).values() if isinstance(value, dg.Definitions)]
    assert found == [page.defs]  # Dagster refuses a module with two
    job = page.defs.resolve_implicit_global_asset_job_def()
    assert job.executor_def.name == "multiprocess"
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            asset_selection=[page.reachable_contacts.key], instance=instance, run_config=QUIET
        )
        [event] = done.get_asset_materialization_events()
        records = event.materialization.metadata["accounts"].records
    with closing(open_published(filled)) as published:
        emails = published.execute("SELECT connection, email FROM crm.contacts").fetchall()
    assert {name for name, _ in emails} == {"acme", "other"}
    assert {tuple(record.data.values()) for record in records} == {
        (
            account,
            sum(name == account for name, _ in emails),
            sum(name == account and email is not None for name, email in emails),
        )
        for account in ("acme", "other")
    }
    assert page.defs.resolve_job_def("publish").execute_in_process(run_config=QUIET).success


def test_it_follows_each_publish(page: SimpleNamespace) -> None:
    """By its condition, without a sensor of ours or theirs; the other condition of the page waits for a new snapshot."""
    defined: dict[str, Any] = {"dg": dg}
    exec(block("python", "condition = "), defined)

    @dg.asset(deps=[CONTACTS], automation_condition=defined["condition"])
    def careful() -> None: ...

    defs = dg.Definitions.merge(page.defs, dg.Definitions(assets=[careful]))
    requested, cursor = [], None
    with dg.DagsterInstance.ephemeral() as instance:
        for version in (None, "crm-1", None, "crm-1", None, "crm-2", None):
            if version:
                tags = {"dagster/data_version": version}
                instance.report_runless_asset_event(dg.AssetMaterialization(CONTACTS, tags=tags))
            keys = (page.reachable_contacts.key, careful.key)
            result = dg.evaluate_automation_conditions(
                defs, instance, dg.AssetSelection.assets(*keys), cursor=cursor
            )
            cursor = result.cursor
            requested.append(tuple(result.get_num_requested(key) for key in keys))
    assert requested == [(0, 0), (1, 1), (0, 0), (1, 0), (0, 0), (1, 1), (0, 0)]


@pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated")  # Dagster's own calls
@pytest.mark.filterwarnings("ignore:.* is currently in beta")
def test_the_component_loads_without_a_secret() -> None:
    """Scaffolded as on the page; no connections at first, then connections whose secrets are not set."""
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.scaffold_component(CrmConnections, "crm", {"prefix": "sales"})
        written = yaml.safe_load((folder / "defs.yaml").read_text())
        expected = yaml.safe_load(block("yaml", "type: "))
        assert written["attributes"] == expected["attributes"]
        assert expected["type"].rpartition(".")[2] == CrmConnections.__name__
        with sandbox.build_all_defs() as defs:
            assert CONTACTS in {spec.key for spec in defs.resolve_all_asset_specs()}
        file = sandbox.project_root / "connections.yaml"
        assert load_settings(sandbox.project_root, {}).connections == {}
        file.write_text(CONNECTIONS)
        with sandbox.build_all_defs() as defs:
            assert defs.resolve_job_def("sales_acme_backfill").executor_def.name == "in_process"
        again = sandbox.scaffold_component(CrmConnections, "again")
        assert (again / "defs.yaml").exists()
        assert file.read_text() == CONNECTIONS
