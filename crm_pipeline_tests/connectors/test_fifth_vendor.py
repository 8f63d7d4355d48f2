"""A vendor is added by adding its folder: no other file changes."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import crm_pipeline

PACKAGE = Path(crm_pipeline.__file__).parent
TOY = Path(__file__).parent / "toy_vendor"
PEOPLE: list[dict[str, Any]] = [
    {"id": n, "name": f"Toy {n}", "shoe": "042", "changed": f"2026-0{n % 9 + 1}-01T00:00:00Z"}
    for n in range(1, 8)
]
CONNECTIONS = """
connections:
  toys:
    vendor: toy_vendor
    login_url: {url}
    sandbox: true
    auth: {{kind: token, token_env: TOY_TOKEN}}
    objects: [People]
"""
# One process for all: what a command says is the same in a process of its own.
PROGRAM = """
import json, sys
import dagster as dg
from typer.testing import CliRunner
from crm_pipeline.cli.app import app
from crm_pipeline.configuration import load_settings
from crm_pipeline.orchestration.runs import run_backfill

with dg.DagsterInstance.ephemeral() as instance:
    done = run_backfill(load_settings(), "toys", None, None, instance)
assert done.is_success, done.failed
said = [CliRunner().invoke(app, command) for command in json.loads(sys.argv[1])]
print(json.dumps([dict(done.landed), *([each.exit_code, each.stdout] for each in said)]))
"""
PEOPLE_SQL = "SELECT full_name, custom ->> 'shoe' FROM crm.contacts ORDER BY source_id LIMIT 2"


class Toys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "Bearer hush"
        asked = parse_qs(urlsplit(self.path).query)
        found = [one for one in PEOPLE if one["id"] >= int(asked["after"][0])]
        body = {"people": found[:2], "more": len(found) > 2, "total": len(PEOPLE)}
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def vendor() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Toys)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_folder_is_all_that_a_vendor_needs(tmp_path: Path, vendor: str, fresh_url: str) -> None:
    """Settings, registry, plan, Dagster, landing, the common tables and `add` know it by its folder alone."""
    copy = tmp_path / "code" / "crm_pipeline"
    shutil.copytree(PACKAGE, copy)
    shutil.copytree(TOY, copy / "connectors" / "toy_vendor")
    home = tmp_path / "home"
    home.mkdir()
    (home / "connections.yaml").write_text(CONNECTIONS.format(url=vendor))
    environ = {
        **os.environ,
        "PYTHONPATH": str(copy.parent),
        "CRM_HOME": str(home),
        "CRM_DATABASE_URL": fresh_url,
        "TOY_TOKEN": "hush",
    }

    commands = [
        ["query", "--raw-csv", PEOPLE_SQL],
        ["plan", "toys", "--backfill", "--json"],
        ["read", "toys", "People", "3", "99", "x", "3", "--json"],
        [
            *("add", "more_toys", "--vendor", "toy_vendor", "--kind", "token"),
            *("--login-url", vendor, "--sandbox", "--yes"),
        ],
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        env=environ,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    landed, rows, planned, read, added = json.loads(done.stdout.splitlines()[-1])
    assert landed == {"People": 7}
    assert (rows[0], rows[1].splitlines()[1:]) == (0, ["Toy 1,042", "Toy 2,042"])
    [plan] = json.loads(planned[1])
    assert (planned[0], plan["route"], plan["records"]) == (0, "pages", 7)
    found = json.loads(read[1])
    assert (read[0], found["landed"], found["calls"]) == (1, 1, 2)
    statuses = {one["id"]: one["status"] for one in found["ids"]}
    assert statuses == {"3": "read", "99": "not_found", "x": "malformed"}
    assert added[0] == 0
    assert "more_toys" in added[1] + (home / "connections.yaml").read_text()
