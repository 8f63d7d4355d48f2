"""Answers that are not what a vendor documents, put in the place of right ones, one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from crm_pipeline.connectors.base import Plan
from crm_pipeline.kernel.errors import CrmError
from crm_pipeline.store.landing.checkpoint import Checkpoint
from crm_sandbox.http import Request, Response

Change = Callable[[Response], Response]
_HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"


@dataclass
class Subject:
    """An account that reads one object.

    Attributes:
        plan: of the object.
        folder: for what is downloaded.
        forget: lets the account forget what it keeps of earlier answers.
    """

    account: Any
    plan: Plan
    folder: Path
    forget: Callable[[Any], object]
    numbers: Iterator[int] = field(default_factory=count)

    def records(self, route: str) -> tuple[frozenset[str], int]:
        """Read the object by a route: the ids, and how many records were set aside."""
        ids, rejected = set[str](), 0
        checkpoint = Checkpoint(self.folder / f"spool{next(self.numbers)}")
        with closing(self.account.pages(replace(self.plan, route=route), checkpoint)) as pages:
            for page in pages:
                for batch in page.batches():
                    ids |= set(batch.column("_source_id").to_pylist())
                rejected += len(page.rejected)
        return frozenset(ids), rejected


def add_up(right: tuple[frozenset[str], int], read: tuple[frozenset[str], int]) -> bool:
    """Say whether all that was not read was set aside."""
    return read[0] <= right[0] and len(read[0]) + read[1] == len(right[0]) + right[1]


@dataclass(frozen=True)
class Kind:
    """One kind of answer that a connector reads.

    Attributes:
        name: for people.
        path: a regular expression for method, path, query and body of the requests that bring it.
        act: what makes an account read it; what it returns is compared with what it returns otherwise.
        keys: of the answer that the connector reads.
        agrees: whether two returns are both right, where keys of the answer were changed.
    """

    name: str
    path: str
    act: Callable[[Subject], Any]
    keys: str = ""
    agrees: Callable[[Any, Any], bool] = lambda _, __: True

    def __str__(self) -> str:
        return self.name


class Mutator:
    """Stands between an emulated vendor and its callers."""

    def __init__(self, path: str) -> None:
        self._path = re.compile(path)
        self.change: Change = lambda response: response
        self.seen: list[Response] = []

    def handled(self, handle: Callable[[Request], Response], request: Request) -> Response:
        target = f"{request.method} {request.path}?{unquote_plus(request.query_text)} "
        response = handle(request).unpacked()
        if not self._path.search(target + request.body.decode("utf-8", "replace")):
            return response
        self.seen.append(response)
        return self.change(response)


@contextmanager
def mutating(emulator: Any, path: str) -> Iterator[Mutator]:
    """Stand between an emulated vendor and its callers."""
    handle, mutator = emulator.handle, Mutator(path)
    emulator.handle = lambda request: mutator.handled(handle, request)
    try:
        yield mutator
    finally:
        del emulator.handle


def outcomes(subject: Subject, emulator: Any, kind: Kind, error: bytes) -> dict[str, str]:
    """Read one kind of answer in all its mutations; return what came of each: `right`, `refused` or `WRONG ...`."""
    with mutating(emulator, kind.path) as mutator:
        subject.forget(subject.account)
        right = kind.act(subject)
        assert mutator.seen, f"{kind} was not asked for"
        found = {}
        for name, change in mutations(mutator.seen[0], error, kind.keys.split()).items():
            mutator.seen.clear()
            mutator.change = change
            subject.forget(subject.account)
            found[name] = _outcome(subject, kind, name, right)
            assert mutator.seen, f"{kind} was not asked for under '{name}'"
    return found


def _outcome(subject: Subject, kind: Kind, name: str, right: Any) -> str:
    try:
        read = kind.act(subject)
    except CrmError as error:
        return "refused" if str(error) and error.cure else f"WRONG no cure: {error}"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"WRONG {type(error).__name__}: {error}"
    if read == right or (name.startswith("key") and kind.agrees(right, read)):
        return "right"
    return "WRONG other data without a word"


def mutations(right: Response, error: bytes, keys: Sequence[str]) -> dict[str, Change]:
    """Return what may be in the place of an answer, by name."""

    def body(data: bytes, **others: Any) -> Change:
        return lambda response: replace(response, body=data, **others)

    found: dict[str, Change] = {
        "a web page": body(_HTML, content_type="text/html"),
        "a web page that says it is none": body(_HTML),
        "nothing": body(b""),
        "half": lambda response: replace(response, body=response.body[: len(response.body) // 2]),
        "a gzip that is none": lambda response: response.with_header("Content-Encoding", "gzip"),
        "an error under 200": body(error),
    }
    for text in ("[]", "{}", '"x"', "5", "null", "[5]"):
        found[text] = body(text.encode())
    if "json" in right.content_type and right.body:
        document = msgspec.json.decode(right.body)
        for name, changed in _changed(document, keys):
            found[f"key {name}"] = body(msgspec.json.encode(changed))
    return found


def _changed(value: Any, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield a document with each of some keys missing, null, and of another type; of lists in the first entry."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in keys:
                yield f"{key} missing", {name: one for name, one in value.items() if name != key}
                yield f"{key} null", {**value, key: None}
                yield f"{key} of another type", {**value, key: _other(part)}
            for name, changed in _changed(part, keys):
                yield f"{key}.{name}", {**value, key: changed}
    elif isinstance(value, list) and value:
        yield "0 of another type", [_other(value[0]), *value[1:]]
        for name, changed in _changed(value[0], keys):
            yield f"0.{name}", [changed, *value[1:]]


def _other(value: Any) -> Any:
    match value:
        case str():
            return {"x": 5}
        case bool() | None:
            return "x"
        case int() | float():
            return "many"
        case dict():
            return [5]
        case _:
            return {}
