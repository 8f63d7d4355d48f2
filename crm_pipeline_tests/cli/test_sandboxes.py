import importlib.util
from pathlib import Path

import pytest

from crm_pipeline.cli.sandboxes import require_sandbox, sandbox_services
from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Settings
from crm_pipeline.supervisor import health
from crm_pipeline_tests.orchestration.projects import make_settings


@pytest.fixture
def several(tmp_path: Path) -> Settings:
    """Two connections to one sandbox, one to another, one to a real account."""
    make_settings(tmp_path)
    text = (tmp_path / "connections.yaml").read_text()
    acme = text[text.index("  acme:") : text.index("  other:")]
    for name, port in (("partner", 9), ("third", 10)):
        text += acme.replace("acme:", f"{name}:").replace("127.0.0.1:9/", f"localhost:{port}/")
    (tmp_path / "connections.yaml").write_text(text)
    return load_settings(tmp_path, {})


def test_all_connections_of_a_sandbox_are_named(several: Settings) -> None:
    """One service for each sandbox, with everything that points at it; real accounts have none."""
    services = sandbox_services(several, ("--contacts", "20"))
    assert {service.label: service.url for service in services} == {
        "sandbox of acme, partner": "http://127.0.0.1:9",
        "sandbox of third": "http://localhost:10",
    }
    assert services[0].arguments[-4:] == ("--port", "9", "--contacts", "20")


def test_a_sandbox_that_runs_needs_no_installation(
    several: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`crm-sandbox serve` of another environment is used as it is."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(health, "is_listening", lambda *_: True)
    assert len(sandbox_services(several, ())) == 2


def test_without_the_sandbox_the_error_says_what_to_install(
    several: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox is a distribution of its own; commands that need it say what to install, others go on."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="not installed") as refused:
        sandbox_services(several, ())
    assert "pip install 'crm-pipeline[sandbox]'" in refused.value.cure
    with pytest.raises(ConfigError):
        require_sandbox()
