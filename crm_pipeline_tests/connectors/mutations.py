"""What a vendor, a proxy or a network may do to an answer, by name.

A mutation gets an answer and a source of chance, and returns another answer, or None where it has nothing to
change. `EVIDENCE_FREE` names those that leave nothing by which anybody could notice.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

from crm_pipeline_tests.connectors.fault_proxy import Answer

Mutation = Callable[[Answer, Random], Answer | None]
MUTATIONS: dict[str, Mutation] = {}

FLAG = "value: a flag turned"
EVIDENCE_FREE = {
    "value: another text": "the text may be the id of a record, or a key of the page",
    "value: another number": "the same for numbers",
    FLAG: "it may say that there is no more to come, where nothing counts, or that a record is deleted",
    "emptiness: a list without its records": "a page, or a window, that holds nothing, where nothing counts",
    "emptiness: 204": "the same, without a body",
    "duplicate: one record missing": "where the vendor gives no count",
    "truncation: fewer elements": "a list that ends early, where nothing counts",
    "type: a key is missing": "the key may be the one that says that more is to come",
    "type: null": "the same for its value",
    "type: another type": "the same",
}
"""Mutations that may leave no evidence, and why. A changed value of a record that is landed as it is never does."""
EVIL = "evil.example"


def mutation(name: str) -> Callable[[Mutation], Mutation]:
    def register(function: Mutation) -> Mutation:
        MUTATIONS[name] = function
        return function

    return register


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _with(answer: Answer, value: Any) -> Answer:
    return replace(answer, body=json.dumps(value).encode())


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values below the top."""
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in entries:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _changed(
    answer: Answer, chance: Random, wanted: type | tuple[type, ...], new: Any
) -> Answer | None:
    """Give one value of the wanted kinds another one; `new` gets the old."""
    document = _json(answer)
    paths = [
        path
        for path in _places(document)
        if isinstance(_at(document, path), wanted) and not isinstance(_at(document, path), bool)
    ]
    if not paths:
        return None
    path = chance.choice(paths)
    _at(document, path[:-1])[path[-1]] = new(_at(document, path))
    return _with(answer, document)


def _lists(document: Any) -> list[tuple[Any, ...]]:
    return [path for path in _places(document) if isinstance(_at(document, path), list)]


def _list_changed(
    answer: Answer, chance: Random, new: Callable[[list[Any]], list[Any]]
) -> Answer | None:
    document = _json(answer)
    paths = [path for path in _lists(document) if _at(document, path)]
    if not paths:
        return None
    # The list of records, where there is one, is the longest.
    path = max(paths, key=lambda path: len(_at(document, path)))
    _at(document, path[:-1])[path[-1]] = new(_at(document, path))
    return _with(answer, document)


# --- the clock


def _dated(date: str | None) -> Mutation:
    return lambda answer, _: answer.with_header("Date", date)


MUTATIONS["clock: an hour ahead"] = _dated("Mon, 23 Nov 2026 11:00:00 GMT")
MUTATIONS["clock: a little ahead"] = _dated("Mon, 23 Nov 2026 10:05:00 GMT")
MUTATIONS["clock: an hour behind"] = _dated("Mon, 23 Nov 2026 09:00:00 GMT")
MUTATIONS["clock: years ahead"] = _dated("Mon, 23 Nov 2099 10:00:00 GMT")
MUTATIONS["clock: 1970"] = _dated("Thu, 01 Jan 1970 00:00:00 GMT")
MUTATIONS["clock: none"] = _dated(None)
MUTATIONS["clock: garbage"] = _dated("half past ten")
MUTATIONS["clock: no zone"] = _dated("Mon, 23 Nov 2026 10:00:00")
MUTATIONS["clock: no such day"] = _dated("Mon, 31 Feb 2026 10:00:00 GMT")


# --- where to go on


@mutation("redirect: to another host")
def _redirect(answer: Answer, chance: Random) -> Answer:
    status = chance.choice([301, 302, 303, 307, 308])
    return replace(answer, status=status, body=b"").with_header("Location", f"https://{EVIL}/x")


@mutation("redirect: to nowhere")
def _redirect_nowhere(answer: Answer, chance: Random) -> Answer:
    places = ["", "http://[::1", "//", f"//{EVIL}/x", "file:///etc/passwd"]
    return replace(answer, status=302, body=b"").with_header("Location", chance.choice(places))


@mutation("host: of an address in the answer")
def _host(answer: Answer, chance: Random) -> Answer | None:
    forms = [
        f"https://{EVIL}",
        f"//{EVIL}",
        f"@{EVIL}",
        f"http://{EVIL}:1",
        "https://[::1",
        "\\\\evil",
    ]
    form = chance.choice(forms)

    def elsewhere(text: str) -> str:
        if text.startswith("http"):
            return form + "/" + text.partition("://")[2].partition("/")[2]
        return form + text if text.startswith("/") else text

    document = _json(answer)
    paths = [
        path
        for path in _places(document)
        if isinstance(_at(document, path), str) and _at(document, path).startswith(("http", "/"))
    ]
    if not paths:
        return None
    for path in paths:
        _at(document, path[:-1])[path[-1]] = elsewhere(_at(document, path))
    return _with(answer, document)


# --- not to the end


@mutation("truncation: the connection ends")
def _cut(answer: Answer, chance: Random) -> Answer | None:
    return replace(answer, sent=chance.randrange(len(answer.body))) if answer.body else None


@mutation("truncation: with a fitting length")
def _short(answer: Answer, chance: Random) -> Answer | None:
    return (
        replace(answer, body=answer.body[: chance.randrange(len(answer.body))])
        if answer.body
        else None
    )


@mutation("truncation: fewer elements")
def _fewer(answer: Answer, chance: Random) -> Answer | None:
    return _list_changed(answer, chance, lambda found: found[: len(found) // 2])


# --- other types


@mutation("type: a web page")
def _html(answer: Answer, chance: Random) -> Answer:
    kind = chance.choice(["text/html; charset=utf-8", "application/json", "text/csv"])
    page = b"<!DOCTYPE html><html><body>Maintenance, jane@example.com</body></html>"
    return replace(answer, status=200, body=page).with_header("Content-Type", kind)


@mutation("type: another document")
def _document(answer: Answer, chance: Random) -> Answer:
    bodies = [b"[]", b"{}", b"null", b"5", b'"text"', b"[[]]", b"[{}]", b'{"data": {}}', b"true"]
    return replace(answer, body=chance.choice(bodies))


@mutation("type: another type")
def _type(answer: Answer, chance: Random) -> Answer | None:
    values = [None, 5, -1.5, "text", [], {}, [1], {"a": 1}, True, 10**400]
    return _changed(answer, chance, object, lambda _: chance.choice(values))


@mutation("type: a structure of another type")
def _structure(answer: Answer, chance: Random) -> Answer | None:
    return _changed(answer, chance, (list, dict), lambda old: {} if isinstance(old, list) else [])


@mutation("type: null")
def _null(answer: Answer, chance: Random) -> Answer | None:
    return _changed(answer, chance, object, lambda _: None)


@mutation("type: a key is missing")
def _key(answer: Answer, chance: Random) -> Answer | None:
    document = _json(answer)
    paths = [path for path in _places(document) if isinstance(path[-1], str)]
    if not paths:
        return None
    path = chance.choice(paths)
    del _at(document, path[:-1])[path[-1]]
    return _with(answer, document)


@mutation("type: an error with status 200")
def _error(answer: Answer, chance: Random) -> Answer:
    bodies = [
        b'[{"message":"no","errorCode":"SERVER_UNAVAILABLE"}]',
        b'{"status":"error","message":"no","category":"INTERNAL"}',
        b'{"success":false,"error":"no","data":null}',
        b'{"data":[{"code":"INTERNAL_ERROR","status":"error","message":"no","details":{}}]}',
    ]
    return replace(answer, status=200, body=chance.choice(bodies))


@mutation("type: an error of another form")
def _error_form(answer: Answer, chance: Random) -> Answer:
    status = chance.choice([400, 401, 403, 404, 409, 429, 500, 503])
    bodies = [
        b"",
        b"null",
        b"[]",
        b"5",
        b"[5]",
        b'{"message":5}',
        b'{"errors":{}}',
        b'{"error":[]}',
        b"\xff",
    ]
    return replace(answer, status=status, body=chance.choice(bodies))


# --- nothing


@mutation("emptiness: no body")
def _empty(answer: Answer, _: Random) -> Answer:
    return replace(answer, body=b"")


@mutation("emptiness: 204")
def _no_content(answer: Answer, _: Random) -> Answer:
    return replace(answer, status=204, body=b"")


@mutation("emptiness: a list without its records")
def _no_records(answer: Answer, chance: Random) -> Answer | None:
    return _list_changed(answer, chance, lambda _: [])


# --- sizes


@mutation("size: a gzip bomb")
def _bomb(answer: Answer, _: Random) -> Answer:
    return replace(answer, body=BOMB).with_header("Content-Encoding", "gzip")


@mutation("size: blanks without end")
def _blanks(answer: Answer, _: Random) -> Answer:
    return replace(answer, body=answer.body + b" " * 3_000_000)


@mutation("size: nested without end")
def _nested(answer: Answer, chance: Random) -> Answer | None:
    marked = _changed(answer, chance, object, lambda _: "NESTED")
    nested = b"[" * 50_000 + b"]" * 50_000
    return replace(marked, body=marked.body.replace(b'"NESTED"', nested)) if marked else None


BOMB = gzip.compress(bytes(30_000_000))


# --- encodings


@mutation("encoding: a gzip that is none")
def _no_gzip(answer: Answer, _: Random) -> Answer:
    return answer.with_header("Content-Encoding", "gzip")


@mutation("encoding: a gzip that is cut")
def _cut_gzip(answer: Answer, _: Random) -> Answer:
    packed = gzip.compress(answer.body)
    return replace(answer, body=packed[:-9]).with_header("Content-Encoding", "gzip")


@mutation("encoding: another name")
def _coding(answer: Answer, chance: Random) -> Answer:
    return answer.with_header(
        "Content-Encoding", chance.choice(["br", "zstd", "x", "gzip, gzip", "deflate"])
    )


@mutation("encoding: a byte of Latin-1")
def _latin(answer: Answer, chance: Random) -> Answer | None:
    marked = _changed(answer, chance, str, lambda old: f"{old}LATIN")
    return replace(marked, body=marked.body.replace(b"LATIN", b"\xe9")) if marked else None


@mutation("encoding: half a surrogate")
def _surrogate(answer: Answer, chance: Random) -> Answer | None:
    marked = _changed(answer, chance, str, lambda old: f"{old}HALF")
    return replace(marked, body=marked.body.replace(b"HALF", b"\\ud83d")) if marked else None


@mutation("encoding: NaN")
def _nan(answer: Answer, chance: Random) -> Answer | None:
    return _changed(answer, chance, object, lambda _: float("nan"))


@mutation("encoding: UTF-16")
def _utf16(answer: Answer, _: Random) -> Answer:
    return replace(answer, body=answer.body.decode("utf-8", "replace").encode("utf-16"))


@mutation("encoding: a mark in front")
def _bom(answer: Answer, _: Random) -> Answer:
    return replace(answer, body=b"\xef\xbb\xbf" + answer.body)


# --- headers


@mutation("header: nonsense numbers")
def _numbers(answer: Answer, chance: Random) -> Answer:
    """Give every header with a digit another number."""
    numbers = ["9" * 300, "-5", "0", "NaN", "", "1e309", "\u0663", "5;5", "0x10"]
    named = [name for name, value in answer.headers if any(sign.isdigit() for sign in value)]
    for name in named:
        value = answer.header(name)
        new = "".join(chance.choice(numbers) if sign.isdigit() else sign for sign in value)
        answer = answer.with_header(name, new.encode("ascii", "replace").decode())
    return answer


@mutation("header: nonsense counters")
def _counters(answer: Answer, chance: Random) -> Answer:
    pairs = ["9" * 300 + "/5", "-1/-1", "5/0", "0/0", "99999999999999999999/1", "x/y"]
    answer = answer.with_header("Sforce-Limit-Info", f"api-usage={chance.choice(pairs)}")
    for name in (
        "X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining", "X-HubSpot-RateLimit-Remaining",
        "X-HubSpot-RateLimit-Max", "X-HubSpot-RateLimit-Interval-Milliseconds", "x-ratelimit-limit",
        "x-ratelimit-remaining", "x-ratelimit-reset", "x-daily-ratelimit-token-remaining",
        "x-daily-requests-left", "X-API-CREDITS-REMAINING", "X-RATELIMIT-LIMIT", "X-ACCESSTOKEN-RESET",
    ):  # fmt: skip
        answer = answer.with_header(name, chance.choice(["9" * 300, "-1", "0", "", "many", "1.5"]))
    return answer


@mutation("header: Retry-After")
def _retry_after(answer: Answer, chance: Random) -> Answer:
    values = ["-1", "9" * 30, "NaN", "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "1e9", ""]
    return replace(answer, status=429, body=b"{}").with_header("Retry-After", chance.choice(values))


@mutation("header: control characters")
def _controls(answer: Answer, _: Random) -> Answer:
    return answer.with_header("X-Said", "\x1b[31mred\x07").with_header("Server", "x" * 60_000)


# --- repeated, in another order, another value


@mutation("duplicate: a record twice")
def _twice(answer: Answer, chance: Random) -> Answer | None:
    return _list_changed(answer, chance, lambda found: [*found, found[0]])


@mutation("duplicate: one record missing")
def _missing(answer: Answer, chance: Random) -> Answer | None:
    return _list_changed(answer, chance, lambda found: found[1:] if len(found) > 1 else found)


@mutation("order: reversed")
def _reversed(answer: Answer, chance: Random) -> Answer | None:
    return _list_changed(answer, chance, lambda found: found[::-1])


@mutation("value: another text")
def _text(answer: Answer, chance: Random) -> Answer | None:
    return _changed(answer, chance, str, lambda old: f"{old}x")


@mutation("value: another number")
def _number(answer: Answer, chance: Random) -> Answer | None:
    return _changed(answer, chance, (int, float), lambda old: old + chance.choice([-1, 1, 10**6]))


@mutation(FLAG)
def _flag(answer: Answer, chance: Random) -> Answer | None:
    document = _json(answer)
    paths = [path for path in _places(document) if isinstance(_at(document, path), bool)]
    if not paths:
        return None
    path = chance.choice(paths)
    _at(document, path[:-1])[path[-1]] = not _at(document, path)
    return _with(answer, document)


@mutation("value: a stamp that is none")
def _stamp(answer: Answer, chance: Random) -> Answer | None:
    stamps = ["0000-00-00T00:00:00Z", "99999-01-01T00:00:00Z", "2026-02-30T10:00:00Z", "", "now"]
    document = _json(answer)
    paths = [
        path
        for path in _places(document)
        if isinstance(_at(document, path), str)
        and _at(document, path)[4:5] == "-"
        and "T" in _at(document, path)
    ]
    if not paths:
        return None
    path = chance.choice(paths)
    _at(document, path[:-1])[path[-1]] = chance.choice(stamps)
    return _with(answer, document)


@mutation("value: bytes turned")
def _bytes(answer: Answer, chance: Random) -> Answer | None:
    if not answer.body:
        return None
    body = bytearray(answer.body)
    for _ in range(chance.randrange(1, 4)):
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
    return replace(answer, body=bytes(body))
