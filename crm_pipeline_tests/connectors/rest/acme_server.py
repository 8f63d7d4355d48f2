"""A custom CRM that no file shaped: signed requests, errors at 200, local times, leading zeros, a cap, a shifting list.

It shares no code with the connector. Its clock is the caller's.
"""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

KEY, SECRET = "acme-key", "s3cret value"
BERLIN = ZoneInfo("Europe/Berlin")
CAP = 300
SKEW_S = 300


@dataclass
class Acme:
    """The content of the CRM, and what it does wrong.

    Attributes:
        people: by id; ids are texts with leading zeros.
        firms: newest last.
        broken: the next answers are errors with the status 200.
        page_login: the next answers are a login page with the status 200.
        on_page: called after each page of people, to change the list while it is read.
    """

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    firms: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    broken: int = 0
    page_login: int = 0
    repeats: bool = False
    skew_s: float = 0.0
    on_page: Any = None

    def answer(self, method: str, target: str, headers: Any) -> tuple[int, str, bytes]:
        """Return status, content type and body."""
        self.calls.append(target)
        if self.page_login:
            self.page_login -= 1
            return 200, "text/html", b"<html><form>Please log in</form></html>"
        refused = self._refused(method, target, headers)
        if refused:
            return 401, "application/json", json.dumps({"fault": {"text": refused}}).encode()
        if self.broken:
            self.broken -= 1
            return self._json({"ok": False, "fault": {"text": "E17 backend busy"}})
        url = urlsplit(target)
        asked = dict(parse_qsl(url.query))
        path = url.path.removeprefix("/rest")
        if path == "/me":
            return self._json({"ok": True, "user": {"mail": "bot@acme.example"}})
        if path == "/people":
            return self._json(self._people(asked))
        if path.startswith("/people/"):
            found = self.people.get(path.removeprefix("/people/"))
            return self._json({"ok": True, "data": found}) if found else self._absent()
        if path == "/firms":
            return self._json(self._firms(asked))
        return self._absent()

    def _refused(self, method: str, target: str, headers: Any) -> str:
        url = urlsplit(target)
        stamp, nonce = headers.get("X-Acme-Time", ""), headers.get("X-Acme-Nonce", "")
        now = datetime.now(UTC).timestamp() + self.skew_s
        if not stamp.isdigit() or abs(int(stamp) / 1000 - now) > SKEW_S:
            return "the clock of the request is off"
        if not nonce or nonce in self.nonces:
            return "a nonce came twice"
        self.nonces.add(nonce)
        query = "&".join(sorted(url.query.split("&"))) if url.query else ""
        text = "|".join([method, url.path, query, stamp, nonce, hashlib.sha256(b"").hexdigest()])
        wanted = hmac.new(SECRET.encode(), text.encode(), hashlib.sha512).hexdigest()
        if headers.get("X-Acme-Key") != KEY or headers.get("X-Acme-Sign") != f"v1={wanted}":
            return "the signature is wrong"
        return ""

    def _people(self, asked: dict[str, str]) -> dict[str, Any]:
        since = datetime.strptime(asked["since"], "%d.%m.%Y %H:%M:%S") if "since" in asked else None  # noqa: DTZ007
        found = [
            one
            for one in self.people.values()
            if since is None or datetime.strptime(one["changed"], "%d.%m.%Y %H:%M:%S") >= since  # noqa: DTZ007
        ]
        found.sort(key=lambda one: one["nr"] or "")
        start, size = int(asked.get("from", 0)), min(int(asked.get("n", 50)), 50)
        rows = [] if start >= CAP else found[start : min(start + size, CAP)]
        if self.repeats:
            rows = found[:size]
        answer = {"ok": True, "data": {"items": rows or None}}
        text = json.loads(json.dumps(answer))
        if self.on_page:
            self.on_page(self, start)
        return text

    def _firms(self, asked: dict[str, str]) -> dict[str, Any]:
        place = int(asked.get("at", "0"))
        rows = self.firms[place : place + 40]
        more = {"next": str(place + 40)} if place + 40 < len(self.firms) else {}
        return {"ok": True, "data": rows, "paging": more}

    @staticmethod
    def _json(content: Any) -> tuple[int, str, bytes]:
        return 200, "application/json", json.dumps(content).encode()

    @staticmethod
    def _absent() -> tuple[int, str, bytes]:
        return 404, "application/json", b'{"fault": {"text": "no such thing"}}'


def local(at: datetime) -> str:
    """Return an instant as this CRM writes it: in Berlin, without a zone."""
    return at.astimezone(BERLIN).strftime("%d.%m.%Y %H:%M:%S")


def filled(people: int = 120, firms: int = 90) -> Acme:
    """Return a CRM with some records."""
    acme = Acme()
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    for number in range(people):
        key = f"{number:06}"
        acme.people[key] = {
            "nr": key,
            "name": {"first": f"Ann{number}", "last": "O'Neil"},
            "mail": f"ann{number}@acme.example",
            "firm": {"nr": f"{number % 40:04}"},
            "changed": local(start + timedelta(hours=number)),
            "gone": "n",
            "x_shoe": f"{number % 9:03}",
        }
    acme.firms = [
        {
            "nr": f"{n:04}",
            "title": f"Firm {n}",
            "mod": 1_767_225_600_000 + n * 1000,
            "extra": {"tier": n % 3},
        }
        for n in range(firms)
    ]
    return acme


@contextmanager
def served(acme: Acme) -> Iterator[str]:
    """Serve a CRM, and yield its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, kind, body = acme.answer("GET", self.path, self.headers)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
