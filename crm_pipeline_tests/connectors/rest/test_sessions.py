"""A CRM with a session, links between pages and a list of deleted records."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crm_pipeline.kernel.clock import parse_instant
from crm_pipeline.kernel.errors import AuthFailed
from crm_pipeline_tests.connectors.rest.acme_server import SECRET

SOURCE = """
version: 1
name: acme
base_url: https://beta.example/api
auth:
  type: chain
  of:
    - type: session
      login: {path: /login, json: {user: "{{ secret.KEY }}", pass: "{{ secret.SIGNING }}"}}
      token_from: session.id
      into: {cookie: sid}
    - {type: api_key, value: "{{ secret.KEY }}", into: {query: key}}
check: {path: /people}
error_message: error
errors:
  - {when: {status: [403], body: {path: error, equals: session over}}, then: login}
resources:
  people:
    table: contacts
    path: /people
    records: people
    paginate: {type: next_link, link_from: header, size_into: {query: limit}, size: 2}
    incremental: {field: at, start_into: {query: after}, op: gt}
    deleted_list: /people/deleted
    fields: {full_name: name, created_at: {from: born, type: timestamp}}
  firms: {path: /firms, paginate: {type: none}}
"""


class Beta:
    """The content, the sessions and what was asked."""

    def __init__(self) -> None:
        self.after: list[str] = []
        self.people: list[dict[str, Any]] = [
            {"id": n, "name": f"P{n}", "at": f"2026-05-0{n}T00:00:00+02:00"} for n in range(1, 8)
        ]
        self.deleted = [{"id": 99, "at": "2026-05-09T00:00:00Z"}]
        self.logins = 0
        self.left = 10_000
        self.password = SECRET

    def answer(
        self, method: str, target: str, headers: Any, body: bytes
    ) -> tuple[int, dict[str, str], Any]:
        url = urlsplit(target)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/api/login":
            assert method == "POST"
            if json.loads(body)["pass"] != self.password:
                return 401, {}, {"error": "wrong password"}
            self.logins += 1
            return 200, {}, {"session": {"id": f"s{self.logins}"}}
        if asked.get("key") != "acme-key":
            return 401, {}, {"error": "no key"}
        if headers.get("Cookie") != f"sid=s{self.logins}" or self.left <= 0:
            self.left = 10_000
            return 403, {}, {"error": "session over"}
        self.left -= 1
        if url.path == "/api/people/deleted":
            return 200, {}, {"people": self.deleted}
        start = int(asked.get("page", 0))
        self.after.append(asked.get("after", ""))
        rows = [one for one in self.people if one["at"] > asked.get("after", "")]
        link = f'</api/people?page={start + 2}&after={asked.get("after", "")}>; rel="next last", </x>; rel="prev"'
        more = {"Link": link} if start + 2 < len(rows) else {}
        return 200, more, {"people": rows[start : start + 2]}


@pytest.fixture
def beta() -> Beta:
    return Beta()


@pytest.fixture
def url(beta: Beta) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, more, content = beta.answer(self.command, self.path, self.headers, body)
            text = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - a name of the library

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_session_that_ends_within_a_list_is_renewed(url: str, beta: Beta, read_by: Any) -> None:
    """Nothing is read twice or missed, and deleted records come from their own list."""
    reader = read_by(url, SOURCE)
    beta.left = 3
    reader.extract()
    rows = {row["_source_id"]: row["_deleted"] for row in reader.landed()}
    assert rows == {**{f"{n}": False for n in range(1, 8)}, "99": True}
    assert beta.logins == 2


def test_a_wrong_password_is_asked_once(url: str, beta: Beta, read_by: Any) -> None:
    reader = read_by(url, SOURCE)
    beta.password = "another"
    with pytest.raises(AuthFailed, match="wrong password"):
        reader.extract()
    assert beta.logins == 0


def test_a_start_that_the_api_leaves_out_is_asked_for_a_second_earlier(
    url: str, beta: Beta, read_by: Any
) -> None:
    reader = read_by(url, SOURCE)
    reader.extract(mode="refresh")
    done = reader.extract(mode="refresh")
    assert done.window.from_at is not None
    assert parse_instant(beta.after[-1]) == done.window.from_at - timedelta(seconds=1)
