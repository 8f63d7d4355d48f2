import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm_pipeline.cli import emulated
from crm_pipeline.cli.emulated import WorldChoice, choose_world, remember, running
from crm_pipeline.configuration import load_settings
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.settings import Settings
from crm_pipeline.store import files
from crm_pipeline_tests.cli.conftest import Run

WORLD = WorldChoice(seed=3, contacts=500, now=datetime(2026, 11, 1, 10, tzinfo=UTC))


@pytest.fixture
def settings(project: Path) -> Settings:
    return load_settings()


def test_first_world_has_the_defaults(settings: Settings) -> None:
    """Without a record the documented world is made, up to the beginning of this hour."""
    world = choose_world(settings, contacts=None, seed=None)
    assert (world.seed, world.contacts) == (7, 2_000)
    assert (world.now.minute, world.now.second) == (0, 0)
    assert choose_world(settings, contacts=50, seed=0).seed == 0


def test_world_is_remembered(settings: Settings) -> None:
    """A later start shows the same world, its last moment included."""
    remember(settings, WORLD, "http://127.0.0.1:8765")
    assert choose_world(settings, contacts=None, seed=None) == WORLD


def test_worlds_do_not_mix(settings: Settings) -> None:
    """Another world is refused once records of the first have landed, and only then."""
    remember(settings, WORLD, "http://127.0.0.1:8765")
    assert choose_world(settings, contacts=60, seed=None).contacts == 60

    (settings.data / "landing" / "demo").mkdir(parents=True)
    with pytest.raises(ConfigError, match="would mix") as caught:
        choose_world(settings, contacts=60, seed=None)
    assert "CRM_DATA" in caught.value.cure
    assert choose_world(settings, contacts=500, seed=3) == WORLD


def test_running_sandbox_is_recognised_by_its_process(settings: Settings) -> None:
    """A sandbox counts as running while its process lives; another process with its id does not count."""
    assert running(settings) is None
    remember(settings, WORLD, "http://127.0.0.1:8765")
    assert running(settings) == ("http://127.0.0.1:8765", WORLD)

    path = settings.data / "run" / "sandbox.json"
    files.write_json(path, {**files.read_json(path), "process_started": 1.0})
    assert running(settings) is None


def test_one_sandbox_for_all(project: Path) -> None:
    """Sandbox connections that point at two places are refused."""
    text = (project / "connections.yaml").read_text()
    emulator = text.partition("  demo:")[2].replace("8765", "9999")
    (project / "connections.yaml").write_text(f"{text}  other:{emulator}")
    with pytest.raises(ConfigError, match="several addresses"):
        emulated.address(load_settings())


def test_failed_child_speaks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user reads the last output of the child."""
    code = "import sys; sys.exit('error: port 8765 of 127.0.0.1 is in use by another program.')"
    real = subprocess.Popen

    def spawn(command: list[str], **options: object) -> object:
        return real([sys.executable, "-c", code], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(emulated.subprocess, "Popen", spawn)  # type: ignore[attr-defined]
    with pytest.raises(emulated.SandboxFailed, match="port 8765"), emulated.served(settings, WORLD):
        pass


def test_child_is_stated_the_data_folder(settings: Settings) -> None:
    """The child works on the same project, wherever this process was started."""
    environment = emulated._environment(settings)
    assert environment["CRM_HOME"] == str(settings.root)
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("chosen", [True, False])
def test_a_port_in_use_is_cured_by_what_chose_it(run: Run, project: Path, chosen: bool) -> None:
    """`sandbox --port` is told of --port; without it the variable that the connections follow."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        options = ("--port", port) if chosen else ()
        variables = {} if chosen else {"CRM_SANDBOX_PORT": port}
        refused = run("sandbox", "--contacts", "20", *options, env=variables)
    assert refused.exit_code == 2
    assert ("--port; 0 takes a free one" in refused.stderr) == chosen
    assert ("CRM_SANDBOX_PORT" in refused.stderr) != chosen
