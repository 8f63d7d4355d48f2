"""The fuzzer at work: operations drawn and sent, answers judged.

What may not happen: an exception of the sandbox, an answer 500 that nobody ordered, a connection that
ends without an answer, and a refusal that has not the vendor's form.
"""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from crm_sandbox import SandboxServer
from crm_sandbox_tests.fuzzing.descriptions import Operation
from crm_sandbox_tests.fuzzing.draws import BROKEN, Draw
from crm_sandbox_tests.fuzzing.vendors import Target

_ID = re.compile(rb'"(?:id|Id|file_id|jobId|conversion_id|field_code)":"?([\w-]{1,40})')
_MOST_SEEN = 40


@dataclass
class Findings:
    """What came of a run.

    Attributes:
        sent: how many requests.
        statuses: how often each status was answered.
        faults: what may not happen, one line each.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        self.faults.append(text)


@dataclass(frozen=True)
class Sent:
    """One request, as it can be sent again by hand."""

    method: str
    path: str
    media: str
    body: bytes | None

    def __str__(self) -> str:
        shown = "" if self.body is None else f" {self.media} {self.body[:600]!r}"
        return f"{self.method} {self.path}{shown}"


def fuzz(
    sandbox: SandboxServer,
    target: Target,
    operations: Sequence[Operation],
    draws: int,
    seed: str,
    *,
    refresh: int = 400,
) -> Findings:
    """Send each operation a number of times.

    Args:
        sandbox: whose emulated vendor answers; what it holds is changed.
        target: the vendor.
        operations: which.
        draws: how often each.
        seed: the same seed sends the same to the same world.
        refresh: after how many requests the ids of living records and the login are fetched anew.
    """
    found, draw = Findings(), Draw(seed, target.names)
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=30)
    ids: dict[str, Sequence[str]] = {}
    seen: deque[str] = deque(maxlen=_MOST_SEEN)
    before = _last(sandbox)
    headers: dict[str, str] = {}
    for operation in operations:
        for _ in range(draws):
            if found.sent % refresh == 0:
                ids, headers = dict(target.ids(sandbox)), target.login(sandbox)
            # What was made just now is asked for, too.
            ids["seen"] = list(seen)
            sent = drawn(draw, target, operation, ids)
            found.sent += 1
            answer = _answered(connection, sent, headers | draw.headers(target.headers))
            if answer is None:
                found.fault(f"no answer: {sent}")
                connection.close()
                continue
            status, kind, body = answer
            found.statuses[status] += 1
            if status < 300:
                seen.extend(one.decode() for one in _ID.findall(body[:5_000])[:3])
            last = _last(sandbox)
            if last != before:
                found.fault(f"{sandbox.journal.failures()[-1].error}: {sent}")
                before = last
            elif status >= 500 and not target.is_fault(status, kind, body):
                found.fault(f"status {status}: {sent}")
            elif wrong := _judged(target.is_refusal, status, kind, body):
                found.fault(f"{wrong}: {sent}")
    connection.close()
    return found


def _last(sandbox: SandboxServer) -> int:
    failures = sandbox.journal.failures()
    return failures[-1].sequence if failures else 0


def drawn(
    draw: Draw, target: Target, operation: Operation, ids: Mapping[str, Sequence[str]]
) -> Sent:
    """Return one request to an operation."""

    def part(match: re.Match[str]) -> str:
        return quote(target.part(draw, match[1], ids), safe="")

    path = target.prefix + re.sub(r"\{(\w+)\}", part, operation.template)
    pairs = [*draw.query(operation.query), *target.always(operation)]
    if pairs:
        path += "?" + (draw.text("") if draw.one_in(30) else urlencode(pairs)).replace(" ", "%20")
    if not operation.media and operation.method == "GET":
        return Sent(operation.method, _plain(path), "", None)
    media, body = _body(draw, target, operation, ids)
    return Sent(operation.method, _plain(path), media, body)


def _plain(path: str) -> str:
    return "".join(one if " " < one < "\x7f" else quote(one) for one in path)


def _body(
    draw: Draw, target: Target, operation: Operation, ids: Mapping[str, Sequence[str]]
) -> tuple[str, bytes]:
    media = operation.media or "application/json"
    if draw.one_in(25):
        return media, draw.random.choice(BROKEN)
    value = target.example(draw, operation, ids)
    if value is None:
        value = draw.value(operation.document, operation.schema)
    for _ in range(draw.random.choice((0, 1, 1, 2))):
        value = draw.spoiled(value)
    if "form-urlencoded" in media:
        pairs = value.items() if isinstance(value, dict) else [("x", value)]
        return media, urlencode([(k, str(v)) for k, v in pairs], errors="replace").encode()
    if media.startswith("multipart/"):
        return _multipart(value)
    if "json" in media or not media.startswith("text"):
        return "application/json", json.dumps(value).encode()
    return media, str(value).encode("utf-8", "replace")


def _multipart(value: Any) -> tuple[str, bytes]:
    parts = value.items() if isinstance(value, dict) else [("file", value)]
    lines = []
    for name, one in parts:
        text = one if isinstance(one, str) else json.dumps(one)
        plain = str(name).encode("ascii", "replace").decode().replace('"', "")
        # A name with a dot stands for a file.
        label = f'name="files"; filename="{plain}"' if "." in plain else f'name="{plain}"'
        head = f"--edge\r\nContent-Disposition: form-data; {label}\r\n\r\n"
        lines.append(f"{head}{text}\r\n".encode("utf-8", "replace"))
    return "multipart/form-data; boundary=edge", b"".join([*lines, b"--edge--\r\n"])


def _answered(
    connection: http.client.HTTPConnection, sent: Sent, headers: Mapping[str, str]
) -> tuple[int, str, bytes] | None:
    kind = {"Content-Type": sent.media} if sent.media else {}
    try:
        connection.request(sent.method, sent.path, sent.body, {**headers, **kind})
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type") or "", response.read()
    except (http.client.HTTPException, OSError):
        return None


def _judged(is_refusal: Callable[[int, Any], bool], status: int, kind: str, body: bytes) -> str:
    """Return what is wrong with an answer, or nothing."""
    if body and kind.startswith("application/json"):
        try:
            document = json.loads(body)
        except ValueError:
            return f"{status} with a body that is no JSON"
        if status >= 400 and not is_refusal(status, document):
            return f"{status} in another form: {body[:200]!r}"
    return ""


def summary(faults: Iterable[str]) -> str:
    """Return faults by kind, the most frequent first, each with one request."""
    kinds: dict[str, list[str]] = {}
    for one in faults:
        kind, _, request = one.partition(": ")
        kinds.setdefault(kind, []).append(request)
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return "\n".join(f"{len(some)} x {kind}\n    {min(some, key=len)}" for kind, some in ordered)
