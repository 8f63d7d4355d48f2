import signal
import socket
import subprocess
import sys
import time

import pytest
import requests

from crm_sandbox import SandboxServer, describe_access
from crm_sandbox.journal import Journal, redacted
from crm_sandbox.salesforce import credentials


def test_unknown_vendor(sandbox) -> None:
    """An address of no vendor says which there are."""
    response = requests.get(f"{sandbox.url}/oracle/x")
    assert response.status_code == 404
    assert "/salesforce" in response.json()["error"]


def test_by_host_and_by_prefix(sandbox) -> None:
    """The Host header and the path prefix reach the same org."""
    by_prefix = requests.get(f"{sandbox.url}/salesforce/services/data/").json()
    host = {"Host": "acme.my.salesforce.com"}
    assert requests.get(f"{sandbox.url}/services/data/", headers=host).json() == by_prefix


def test_one_segment_per_answer(sandbox) -> None:
    """A small answer arrives in one piece, and the connection stays open for the next."""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as link:
        for _ in range(2):
            link.sendall(b"GET /salesforce/services/data HTTP/1.1\r\nHost: localhost\r\n\r\n")
            piece = link.recv(65_536)
            head, _, body = piece.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert f"Content-Length: {len(body)}".encode() in head


def test_chunked_body(sandbox) -> None:
    """A request body in chunks is read like any other."""
    parts = (f"client_id={credentials.CLIENT_ID}&", "grant_type=nothing")
    url = f"{sandbox.url}/salesforce/services/oauth2/token"
    response = requests.post(url, data=(part.encode() for part in parts))
    assert response.json()["error"] == "unsupported_grant_type"


def test_journal(own) -> None:
    """Every request is written down without secrets, and counted."""
    journal = own.sandbox.journal
    before = journal.count()
    own.get("/limits", params={"access_token": "s3cret", "x": "1"})
    entry = journal.entries(path="/limits")[-1]
    assert (entry.vendor, entry.method, entry.status) == ("salesforce", "GET", 200)
    assert "s3cret" not in entry.query
    assert "x=1" in entry.query
    assert entry.bytes > 0
    assert journal.count() == before + 1
    listed = own.admin("/journal?path=limits").json()
    assert listed["count"] == journal.count()
    assert listed["entries"][-1]["sequence"] == entry.sequence
    assert own.sandbox.journal.count() == before + 1


def test_journal_counts_what_it_forgot(own) -> None:
    """The ring is bounded, the count is not."""
    small = Journal(capacity=2)
    for _ in range(5):
        small.record(
            at=own.sandbox.clock.now(),
            vendor="v",
            method="GET",
            path="/",
            query_text="",
            status=200,
            sent=0,
            duration=0.0,
        )
    assert len(small.entries()) == 2
    assert small.count(vendor="v", status=200) == 5
    assert redacted("code=abc&q=x") == "code=%2A%2A%2A&q=x"


def test_admin_faults_and_clock(own) -> None:
    """Faults and the clock are ordered over HTTP; mistakes get a sentence."""
    own.admin("/faults", {"kind": "status", "status": 420, "path": "/limits"})
    assert own.get("/limits").status_code == 420
    assert own.admin("/faults").json()[0]["consumed"] == 1
    assert own.admin("/clock", {"offset": 3600}).status_code == 200
    assert own.admin("/faults", {"kind": "nope"}).status_code == 400
    assert "known" in own.admin("/nothing").json()["error"]
    assert own.admin("").json()["vendors"] == list(own.sandbox.vendors)


def test_describe_access(sandbox) -> None:
    """The access lines carry everything a client needs."""
    lines = dict(describe_access(sandbox))
    assert lines["Salesforce"] == f"{sandbox.url}/salesforce"
    assert lines["Salesforce refresh token"] == credentials.REFRESH_TOKEN
    assert lines["Admin"].endswith("/_admin")


def test_stop_wakes_and_cleans() -> None:
    """Stopping does not wait for hanging requests and leaves no result behind."""
    sandbox = SandboxServer(contacts=20)
    folder = sandbox.salesforce.bulk._folder
    assert folder.exists()
    with sandbox:
        sandbox.faults.order("hang", seconds=600)
        link = socket.create_connection(("127.0.0.1", sandbox.port))
        link.sendall(b"GET /salesforce/services/data HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not sandbox.faults.listed()[0]["consumed"]:
            time.sleep(0.001)
        began = time.monotonic()
    link.close()
    assert time.monotonic() - began < 2
    assert not folder.exists()


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_command(order: signal.Signals) -> None:
    """The command says when it is ready and stops cleanly on a signal."""
    command = [sys.executable, "-m", "crm_sandbox", "serve", "--port", "0", "--contacts", "20"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        lines = list(iter(process.stdout.readline, "Ready. Ctrl-C ends it.\n"))
        url = lines[0].removeprefix("Address").strip()
        assert requests.get(f"{url}/_admin").status_code == 200
        process.send_signal(order)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_command_with_port_in_use(sandbox) -> None:
    """A taken port ends the command with one sentence and code 1."""
    command = [sys.executable, "-m", "crm_sandbox", "serve", "--port", str(sandbox.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: port {sandbox.port} of 127.0.0.1 is in use by another program. "
        "Choose another with --port; 0 takes a free one.\n"
    )


def test_chosen_vendors() -> None:
    """A sandbox can open some vendors only; the others do not answer."""
    with SandboxServer(contacts=20, vendors=["pipedrive"]) as running:
        assert list(running.emulations) == ["pipedrive"]
        assert requests.get(f"{running.url}/pipedrive/v1/users", timeout=10).status_code == 401
        assert (
            requests.get(f"{running.url}/salesforce/services/data", timeout=10).status_code == 404
        )
