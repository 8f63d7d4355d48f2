"""What README.md and docs/ show runs as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import crm_sandbox
from crm_sandbox import SandboxServer, VendorSandbox
from crm_sandbox.certificates import Authority
from crm_sandbox.cli import _parser
from crm_sandbox_tests.conftest import NOW, through_proxy
from crm_sandbox_tests.upheavals import _public_key

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "http://127.0.0.1:8765"
CLIENTS = ("simple_salesforce", "hubspot", "pipedrive", "zohocrmsdk")
# Programs that a test does not run: servers that stay, the installer, the tests themselves.
NOT_RUN = re.compile(r"(pip install|crm-sandbox serve|python -m|export HTTPS_PROXY)\b")


def blocks(*languages: str) -> list[tuple[str, str]]:
    """Return the blocks of all pages in some languages, each with its page and number."""
    found = []
    for page in PAGES:
        parts = re.findall(
            r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        for number, (language, text) in enumerate(parts, 1):
            if language in languages:
                found.append((f"{page.name}, block {number}", text))
    return found


@pytest.fixture(scope="module")
def served(authority: Authority) -> Iterator[SandboxServer]:
    """All vendors, as the examples start them: over TLS, too, and as a proxy."""
    with SandboxServer(contacts=40, seed=7, now=NOW, authority=authority) as running:
        yield running


def test_every_block_has_a_language() -> None:
    """Blocks are fenced and say what they hold, so that each is checked as such."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        openings = re.findall(r"^ *```(\w*)$", text, re.MULTILINE)[::2]
        assert set(openings) <= {"sh", "python", "text"}, page.name
        assert not re.search(r"\n\n {4}\S", re.sub(r"```.*?```", "", text, flags=re.DOTALL)), (
            page.name
        )


def test_shell_blocks_run(served: SandboxServer, tmp_path: Path) -> None:
    """Every line with curl is answered without an error; lines that start a server name options that it has."""
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("curl or bash is not installed")
    (tmp_path / ".curlrc").write_text("fail\nshow-error\nmax-time = 20\n")
    (tmp_path / "certificate.pem").write_text(_public_key())
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "CURL_HOME": str(tmp_path), "HOME": str(tmp_path), "S": served.url}
    count = 0
    for name, text in blocks("sh"):
        for line in text.splitlines():
            if line.startswith("crm-sandbox "):
                _parser().parse_args(shlex.split(line.rstrip(" &"), comments=True)[1:])
        script = "\n".join(line for line in text.splitlines() if not NOT_RUN.match(line))
        if "curl" not in script:
            assert not script.strip(), f"{name} holds something that no test runs: {script}"
            continue
        served.reset()
        command = ["bash", "-eo", "pipefail", "-c", script.replace(ADDRESS, served.url)]
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"
        count += 1
    assert count > 8


def test_examples_with_clients_run(
    served: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The examples of the README with clients of others print records of the sandbox."""
    served.reset()
    through_proxy(served, monkeypatch)
    monkeypatch.chdir(tmp_path)
    VendorSandbox(served, "pipedrive").admin("accept_query_token", on=True)
    shown = [
        (name, text) for name, text in blocks("python") if any(f"from {c}" in text for c in CLIENTS)
    ]
    assert len(shown) == len(CLIENTS)
    for name, text in shown:
        exec(compile(text.replace(ADDRESS, served.url), name, "exec"), {})
        assert re.search(r"@|'id'|Id'|properties", capsys.readouterr().out), name


def test_the_rest_of_the_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of docs/ run; those of the README are run above and in `test_pytest_plugin.py`."""
    shown = [(name, text) for name, text in blocks("python") if not name.startswith("README")]
    assert shown
    monkeypatch.setattr(crm_sandbox, "SandboxServer", lambda: SandboxServer(contacts=20, now=NOW))
    for name, text in shown:
        code = "\n".join(line.removeprefix("  ") for line in text.splitlines())
        exec(compile(code, name, "exec"), {"SandboxServer": crm_sandbox.SandboxServer})
