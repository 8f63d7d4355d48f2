"""`init`: what it writes, and what it leaves alone."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest
import yaml

import crm_pipeline
from crm_pipeline.configuration import load_settings
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.orchestration.instance import make_home
from crm_pipeline_tests.cli.conftest import Run

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def empty(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it, which is the working directory."""
    monkeypatch.delenv("CRM_HOME")
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_project_is_what_the_repository_is(
    run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files that a project shares with the repository are the same, docs included; commands find them."""
    done = run("init", "crm")
    assert done.exit_code == 0, done.output
    assert "cd crm\n" in done.stdout
    root = empty / "crm"
    for name in ("connections.yaml", ".env.example", "dagster.yaml", "workspace.yaml"):
        assert (root / name).read_text() == (CHECKOUT / name).read_text()
    for page in (CHECKOUT / "docs").glob("*.md"):
        assert (root / "docs" / page.name).read_text().startswith(page.read_text()[:80])
    linked = [
        page.parent / link
        for page in root.rglob("*.md")
        for link in re.findall(r"\]\(([\w./-]+)[)#]", page.read_text())
    ]
    assert len(linked) > 80
    assert [path for path in linked if not path.exists()] == []
    assert len([*(root / "docs" / "analysts").glob("*.sql")]) >= 25
    assert "@VERSION@" not in (root / "README.md").read_text() + (root / "Dockerfile").read_text()
    monkeypatch.chdir(root / "contracts")
    settings = load_settings(environ={})
    assert settings.root == root
    assert settings.connection("salesforce_demo").sandbox
    assert ContractFolder(root, {}).files == ()


def test_without_the_sandbox_there_is_an_example(
    run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """connections.yaml holds no connection then, and each commented one is valid without its '# '."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    done = run("init", ".")
    assert "pip install 'crm-pipeline[sandbox]'" in done.stdout
    assert load_settings(environ={}).connections == {}
    text = (empty / "connections.yaml").read_text()
    example = "\n".join(
        line.replace("  # ", "  ", 1)
        for line in text.splitlines()
        if not line.startswith("  # ") or line[4:6] == "  " or line.endswith("_acme:")
    )
    (empty / "connections.yaml").write_text(example)
    assert set(load_settings(environ={}).connections) == {"salesforce_acme", "hubspot_acme"}
    assert "sandbox" not in (empty / ".env.example").read_text()


def test_init_again_changes_nothing(run: Run, empty: Path) -> None:
    """In a finished project it writes nothing; where it was interrupted it writes what is missing."""
    run("init", ".")
    made = files_of(empty)
    again = run("init", ".")
    assert (again.exit_code, files_of(empty)) == (0, made)
    assert "nothing was written" in again.stdout
    for path in ("connections.yaml", "docs/analysts.md"):
        (empty / path).unlink()
    shutil.rmtree(empty / "contracts")
    assert "3 files written" in run("init", ".").stdout
    assert files_of(empty) == made


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("notes.txt", "not empty"),
        ("connections.yaml", "is a project already"),
        ("data/crm.duckdb", "not empty"),
        ("docs/mine.md", "not empty"),
        ("README.md", "not empty"),
    ],
)
def test_what_is_there_stays(run: Run, empty: Path, path: str, words: str) -> None:
    """A folder with anything in it is refused with a cure, and nothing is written."""
    (empty / path).parent.mkdir(exist_ok=True)
    (empty / path).write_text("mine")
    refused = run("init", ".")
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert "folder" in refused.stderr
    assert files_of(empty) == {path: b"mine"}


def test_a_repository_with_its_virtual_environment_is_empty_enough(run: Run, empty: Path) -> None:
    """git, uv, venv and editors may come first; what is in their folders is not looked at."""
    for path in (".git/HEAD", ".venv/pyvenv.cfg", ".idea/x", "pyproject.toml", "wheels/a.whl"):
        (empty / path).parent.mkdir(exist_ok=True)
        (empty / path).write_text("theirs")
    assert run("init", ".").exit_code == 0
    assert (empty / "pyproject.toml").read_text() == "theirs"


def test_a_file_or_a_closed_folder_is_no_place(run: Run, empty: Path) -> None:
    """A file of that name is refused with a cure."""
    (empty / "crm").write_text("mine")
    refused = run("init", "crm")
    assert refused.exit_code == 2
    assert "is a file" in refused.stderr
    refused = run("init", "two\nlines")
    assert refused.exit_code == 2
    assert "two\\nlines" in refused.stderr
    assert not (empty / "two\nlines").exists()


def test_another_home_is_mentioned(run: Run, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CRM_HOME that names another folder would make commands work there: `init` says so."""
    monkeypatch.setenv("CRM_HOME", str(empty.parent))
    assert "unset it first" in run("init", "crm").stdout


def test_a_project_without_dagster_yaml_has_ours(run: Run, empty: Path) -> None:
    """The instance's home is made from the file in the project, and from the package's own without one."""
    run("init", ".")
    settings = load_settings(environ={})
    first = (make_home(settings) / "dagster.yaml").read_text()
    (empty / "dagster.yaml").unlink()
    assert (make_home(settings) / "dagster.yaml").read_text() == first
    (empty / "dagster.yaml").write_text("nux: {enabled: true}")
    assert yaml.safe_load((make_home(settings) / "dagster.yaml").read_text())["nux"]["enabled"]


def test_the_deployment_in_containers_is_consistent(run: Run, empty: Path) -> None:
    """Compose file, Dockerfile and workspace name each other rightly; nothing runs as root or without a health check.

    No Docker is needed: docker-compose.yaml is read as YAML, the Dockerfile by its lines.
    """
    run("init", ".")
    compose = yaml.safe_load((empty / "docker-compose.yaml").read_text())
    services = compose["services"]
    assert set(services) == {"db", "code", "webserver", "daemon", "sandbox"}
    [server] = yaml.safe_load((empty / "workspace.docker.yaml").read_text())["load_from"]
    code = " ".join(services[server["grpc_server"]["host"]]["command"])
    assert f"-p {server['grpc_server']['port']} " in code
    volumes = {volume.partition(":")[0] for each in services.values() for volume in each["volumes"]}
    assert volumes == set(compose["volumes"])
    for name, service in services.items():
        assert ("healthcheck" in service) == (name != "sandbox")
        assert set(service.get("depends_on", ())) < set(services)
        assert name == "db" or service["cap_drop"] == ["ALL"]
    assert services["webserver"]["ports"] == ["127.0.0.1:3000:3000"]
    assert [name for name, each in services.items() if "env_file" in each] == ["code"]

    joined = (empty / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in joined.splitlines() if line[:1].isalpha()]
    instructions = [name for name, _ in steps]
    assert instructions[0] == "FROM"
    assert set(instructions) <= {"FROM", "ARG", "RUN", "COPY", "WORKDIR", "ENV", "USER", "CMD"}
    assert instructions[-2:] == ["USER", "CMD"]
    assert dict(steps)["USER"] == "crm"
    assert (empty / "constraints.txt").exists()
    assert ".env" in (empty / ".dockerignore").read_text().split()
    assert f'"crm-pipeline[sandbox]=={crm_pipeline.__version__}"' in joined
