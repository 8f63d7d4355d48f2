"""Answers that are not what a vendor documents: a list of mutations, and what may come of each.

A mutation changes every answer of one route while one operation of a connector runs. The outcome is the right
data, records that are set aside, or one sentence; never a raw exception, and never less than there is.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from crm_pipeline.connectors.base import Account, Page
from crm_pipeline.kernel.clock import Window
from crm_pipeline.kernel.errors import CountMismatch, CrmError
from crm_pipeline.settings import ObjectSettings
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_pipeline.wire.retry import RetryBudget
from crm_sandbox.http import Request, Response

Change = Callable[[Response], Response]
Operation = Callable[[], Any]
PAGE = b"<!DOCTYPE html><html><body>Please sign in</body></html>"
_WRONG: tuple[Any, ...] = (5, "x", [], {}, True, -1, [5], "", {"x": 5})
EAGER = {"attempts": 2, "base_s": 0.0, "budget": RetryBudget(tokens=1e9)}
"""The retry policy of these tests: a second try at once."""


@dataclass(frozen=True)
class Mutation:
    """One change of an answer; `path` is the key that it is about, "" for the whole."""

    name: str
    change: Change
    path: str = ""


def _body(body: bytes, content_type: str = "application/json;charset=UTF-8") -> Change:
    return lambda response: replace(response, body=body, content_type=content_type)


WHOLE = (
    Mutation("a web page", _body(PAGE, "text/html; charset=utf-8")),
    Mutation("a web page that is called JSON", _body(PAGE)),
    Mutation("nothing", _body(b"")),
    Mutation("half of it", lambda r: replace(r, body=r.body[: len(r.body) // 2])),
    Mutation("all but the last sign", lambda r: replace(r, body=r.body[:-1])),
    Mutation("a list", _body(b"[]")),
    Mutation("a list with an object", _body(b"[{}]")),
    Mutation("an empty object", _body(b"{}")),
    Mutation("null", _body(b"null")),
    Mutation("a text", _body(b'"x"')),
    Mutation("a number", _body(b"5")),
    Mutation("no UTF-8", _body(b'{"\xff":"\xfe"}')),
    Mutation("half a surrogate pair", _body(b'{"x":"\\ud83d"}')),
    Mutation("too deep", _body(b'{"results":' + b"[" * 9_999 + b"]" * 9_999 + b"}")),
    Mutation(
        "an error with 200", _body(b'{"status":"error","success":false,"message":5,"error":{}}')
    ),
    Mutation("a gzip that is none", lambda r: r.with_header("Content-Encoding", "gzip")),
)


def by_key(body: bytes, names: str, depth: int = 4) -> Iterator[Mutation]:
    """Yield mutations of the keys of an answer: missing, null, and of two other types, in turn.

    Of a list only the first element is changed.

    Args:
        body: of the answer.
        names: a pattern of the keys that the connector reads; everything else is somebody's data.
        depth: how far keys are looked for.
    """
    for number, keys in enumerate(_keys(json.loads(body), depth)):
        name = ".".join(map(str, keys))
        if not re.fullmatch(names, name):
            continue
        yield Mutation(f"{name} is missing", _without(keys), name)
        wrong = [_WRONG[(number + step) % len(_WRONG)] for step in (0, 4)]
        for value in (None, *wrong):
            yield Mutation(f"{name} is {json.dumps(value)}", _with(keys, value), name)


def _keys(found: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    if not depth:
        return
    parts: Any = ()
    if isinstance(found, dict):
        parts = found.items()
    elif isinstance(found, list):
        parts = enumerate(found[:1])
    for key, value in parts:
        yield (key,)
        yield from ((key, *rest) for rest in _keys(value, depth - 1))


def _with(keys: tuple[Any, ...], value: Any) -> Change:
    def change(holder: Any, key: Any) -> None:
        holder[key] = copy.deepcopy(value)

    return _changed(keys, change)


def _without(keys: tuple[Any, ...]) -> Change:
    def change(holder: Any, key: Any) -> None:
        del holder[key]

    return _changed(keys, change)


def _changed(keys: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Change:
    def changed(response: Response) -> Response:
        whole = json.loads(response.body)
        holder = whole
        try:
            for key in keys[:-1]:
                holder = holder[key]
            holder[keys[-1]]
        except (KeyError, IndexError, TypeError):
            return response  # this answer of the route has no such key
        change(holder, keys[-1])
        return replace(response, body=json.dumps(whole).encode())

    return changed


@contextmanager
def mutated(
    emulator: Any, path: str, change: Change, *, times: int = 10**9
) -> Iterator[list[bytes]]:
    """Change the answers of a route, and yield what they would have been."""
    handle, seen = emulator.handle, list[bytes]()

    def handled(request: Request) -> Response:
        response = handle(request)
        target = f"{request.method} {request.path}?{request.query_text}"
        if response.status >= 300 or not re.search(path, target):
            return response
        plain = response.unpacked()
        seen.append(plain.body)
        return change(plain) if len(seen) <= times else response

    emulator.handle = handled
    try:
        yield seen
    finally:
        del emulator.handle


def reading(
    account: Account, wanted: ObjectSettings, checkpoint: Checkpoint, window: Window | None = None
) -> Operation:
    """Return the operation that reads what is planned now as an extraction does, with a count behind it."""
    plan = account.plan(wanted, window)

    def read() -> tuple[list[str], int]:
        ids, rejects, read = list[str](), 0, 0
        for page in account.pages(plan, checkpoint):
            found = ids_of(page)
            ids += found
            rejects += len(page.rejected)
            read += (len(found) + len(page.rejected)) * page.counted
        counted = account.count(plan)
        if counted is not None and plan.vendor_count is not None:
            low, high = sorted((counted, plan.vendor_count))
            if not low <= read <= high:
                raise CountMismatch("demo: the vendor counts others.", cure="Run again.")
        return sorted(ids), rejects

    return read


def ids_of(page: Page) -> list[str]:
    """Return the ids of a page's records."""
    return [one for batch in page.batches() for one in batch.column("_source_id").to_pylist()]


def outcome(operation: Operation, name: str) -> Any:
    """Return what an operation says, or its error; a text that is clear, and quotes nothing."""
    try:
        return operation()
    except CrmError as raised:
        error = raised
    said = str(error)
    unclear = name not in said or not error.cure or "Please sign in" in said or "@" in said
    return AssertionError(said) if unclear else error


def is_right(found: Any, wanted: Any) -> bool:
    """Say whether an outcome is the right data, an error, or has what is missing among what is set aside."""
    if isinstance(found, CrmError) or found == wanted:
        return True
    if not (isinstance(wanted, tuple) and len(wanted) == 2 and isinstance(wanted[0], list)):
        return False
    # Where pages overlap, a record may be whole on one and not on the other.
    is_enough = len(found[0]) + found[1] >= len(wanted[0]) + wanted[1]
    return is_enough and set(found[0]) <= set(wanted[0])


def surprises(
    emulator: Any,
    route: str,
    operation: Operation,
    *,
    names: str,
    silent: str = "(?!)",
    account: str = "demo",
) -> tuple[list[str], int]:
    """Return the mutations of a route that come to something else than they may, and how many there were.

    Args:
        emulator: the emulated vendor.
        route: a pattern of the requests, as `METHOD /path?query`.
        operation: asks that route, and others.
        names: a pattern of the keys that the connector reads.
        silent: a pattern of the mutations that leave no evidence in the answer, nor in a count.
        account: the connection, which an error has to name.
    """
    operation()  # a plan may have asked for the first page already
    with mutated(emulator, route, lambda response: response) as seen:
        wanted = operation()
    assert seen, f"nothing is asked at {route}"
    found, tried = [], 0
    for mutation in (*WHOLE, *by_key(seen[0], names)):
        if re.fullmatch(silent, mutation.name):
            continue
        tried += 1
        with mutated(emulator, route, mutation.change):
            try:
                come = outcome(operation, account)
            except Exception as raw:  # noqa: BLE001 - this is what is looked for
                come = raw
        if not is_right(come, wanted):
            found.append(f"{mutation.name}: {come!r:.300}")
    return found, tried
