"""Compare answers with those that a vendor has recorded as examples in its OpenAPI files.

Of a recording count the status, the headers, the keys at each level, the JSON types, and the forms of ids,
stamps and addresses. Values count only where a test names their keys.

As with `contracts.py`, the files are not ours to pass on: tests skip where they are not at hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import yaml

from crm_sandbox_tests.contracts import FOLDER, Difference, require_descriptions
from crm_sandbox_tests.evidence import EVIDENCE_OF_RUN

# Headers whose recorded value is one of many; all others are compared word for word.
_HEADER_FORMS = {
    "date": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "last-modified": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
    "etag": r'"[\w-]+"',
    "sforce-limit-info": r"api-usage=\d+/\d+",
}
# Headers that a client of the API reads: none of them may be there unless it was recorded.
_TELLING = re.compile(r"sforce-|location$|etag$|last-modified$|retry-after$|link$", re.IGNORECASE)
# What stands for something else in a recorded text, and what may stand there.
_PLACEHOLDERS = (
    (r"https?://[\w.<>-]+", r"https?://[^/]+(?:/salesforce)?"),
    (r"<date_?time>", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"),
    (r"<\w+>", r".+"),
    (r"\b(?P<prefix>[0-9A-Za-z]{3})(?:\.{3}|(?=\w*\d)[0-9A-Za-z]{12}[A-Z0-9]{3}\b)", ""),
    (r"\bv\d\d\.0\b", r"v\d\d\.0"),
)
_PLACEHOLDER = re.compile("|".join(f"(?:{one})" for one, _ in _PLACEHOLDERS))


@dataclass(frozen=True)
class Recording:
    """One recorded answer.

    Attributes:
        where: file, method and path, for messages.
        media: the kind of its body, empty where it has none.
        body: as JSON values, or as text.
        request: the body of the request that is described with it.
    """

    where: str
    status: int
    media: str
    headers: Mapping[str, str]
    body: Any
    request: Any = None

    def part(self, body: Any, status: int, headers: Mapping[str, str] | None = None) -> Recording:
        """Return an answer that was recorded inside of this one, as composite requests have them."""
        return Recording(
            f"{self.where}, inside", status, self.media, {**self.headers, **(headers or {})}, body
        )


@dataclass(frozen=True)
class Known:
    """A difference that is known and wanted.

    Attributes:
        reason: why it is there.
        paths: JSON paths where it is, `*` for any position; a name in front of a colon is a header's.
        optional: whether it need not be there in every answer.
    """

    reason: str
    paths: frozenset[str] = field(default_factory=frozenset)
    optional: bool = False


def known(reason: str, *paths: str, optional: bool = False) -> Known:
    """Return a difference that is known and wanted; one that has gone is a failure, unless optional."""
    return Known(reason, frozenset(paths), optional)


def recorded(vendor: str, file: str, method: str, path: str, status: int = 200) -> Recording:
    """Return a recorded answer, or skip the test where the vendor's descriptions are not at hand.

    Raises:
        LookupError: the file has no such answer.
    """
    require_descriptions()
    where = f"{file} {method} {path} {status}"
    return _recording(where, _section(FOLDER / vendor / file, path), method.lower(), str(status))


def compare(
    recording: Recording,
    response: requests.Response,
    *,
    vendor: str,
    values: Collection[str] = (),
    besides: Collection[Known] = (),
) -> None:
    """Check an answer of the sandbox against a recorded one, and note the operation as compared.

    Args:
        recording: what the vendor answered.
        response: what the sandbox answered.
        vendor: the first part of the address, which is the sandbox's.
        values: keys whose values have to be the recorded ones.
        besides: differences that are known and wanted.

    Raises:
        Difference: with the place of the first difference, or with a known one that has gone.
    """
    path = urlsplit(str(response.url)).path.removeprefix(f"/{vendor}")
    EVIDENCE_OF_RUN.compared(vendor, str(response.request.method), path)
    refuse(recording.where, differences(recording, response, frozenset(values)), besides)


def refuse(where: str, found: Mapping[str, str], besides: Collection[Known]) -> None:
    """Raise the first difference that is not known, or a known one that has gone.

    Raises:
        Difference: there is one.
    """
    wanted = {path for one in besides for path in one.paths}
    unknown = {path: text for path, text in found.items() if path not in wanted}
    if unknown:
        path, text = min(unknown.items())
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise Difference(f"{where}: {path}: {text}{more}")
    for one in besides:
        gone = sorted(one.paths - found.keys())
        if gone and not one.optional:
            raise Difference(f"{where}: {gone[0]}: a known difference has gone: {one.reason}")


def differences(
    recording: Recording, response: requests.Response, values: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return what differs between a recorded answer and one of the sandbox, by its place."""
    found = dict(_header_differences(recording, response))
    if response.status_code != recording.status:
        found["status"] = f"{response.status_code} where {recording.status} was recorded"
    if not recording.media:
        if response.content:
            found["$"] = "a body where none was recorded"
        return found
    kind = response.headers.get("Content-Type", "")
    if kind.replace(" ", "").lower() != recording.media.replace(" ", "").lower():
        found["header Content-Type"] = f"{kind!r} where {recording.media!r} was recorded"
    if "json" in recording.media:
        found |= dict(body_differences(recording.body, response.json(), values))
    else:
        first, own = str(recording.body).split("\n")[0], response.text.split("\n")[0]
        if first != own:
            found["$"] = f"the header row {own!r} where {first!r} was recorded"
    return found


def body_differences(
    recorded_value: Any, own: Any, values: frozenset[str] = frozenset(), path: str = "$"
) -> Iterator[tuple[str, str]]:
    """Yield place and text of what differs between two JSON documents."""
    if _kind(recorded_value) != _kind(own):
        yield path, f"{_kind(own)} where {_kind(recorded_value)} was recorded"
    elif isinstance(recorded_value, dict):
        for key in recorded_value.keys() - own.keys():
            yield f"{path}.{key}", "the key is missing"
        for key in own.keys() - recorded_value.keys():
            yield f"{path}.{key}", "the key was not recorded"
        for key in recorded_value.keys() & own.keys():
            inner = f"{path}.{key}"
            yield from body_differences(recorded_value[key], own[key], values, inner)
            if key in values and recorded_value[key] != own[key]:
                yield inner, f"{own[key]!r} where {recorded_value[key]!r} was recorded"
    elif isinstance(recorded_value, list):
        if bool(recorded_value) is not bool(own):
            yield path, f"{len(own)} items where {len(recorded_value)} were recorded"
        elif recorded_value:
            for one in own:
                # Each item is compared with the recorded one that it resembles most.
                yield from min(
                    (
                        [*body_differences(each, one, values, f"{path}[*]")]
                        for each in recorded_value
                    ),
                    key=len,
                )
    elif isinstance(own, str) and not re.fullmatch(_form(recorded_value), own):
        yield path, f"{own!r} where {recorded_value!r} was recorded"


def _header_differences(
    recording: Recording, response: requests.Response
) -> Iterator[tuple[str, str]]:
    listed = {name.lower() for name in recording.headers}
    for name, text in recording.headers.items():
        own = response.headers.get(name)
        form = _form(text) if _PLACEHOLDER.search(text) else re.escape(text)
        if own is None:
            yield f"header {name}", f"is missing, {text!r} was recorded"
        elif not re.fullmatch(_HEADER_FORMS.get(name.lower(), form), own):
            yield f"header {name}", f"{own!r} where {text!r} was recorded"
    for name in response.headers:
        if listed and _TELLING.match(name) and name.lower() not in listed:
            yield f"header {name}", "was not recorded"


def _form(text: str) -> str:
    """Return what a recorded text allows: anything, unless parts of it stand for something else."""
    if not _PLACEHOLDER.search(text):
        return "(?s).*"
    form, end = "", 0
    for match in _PLACEHOLDER.finditer(text):
        form += re.escape(text[end : match.start()])
        prefix = match["prefix"]
        form += f"{prefix}[0-9A-Za-z]{{15}}" if prefix else _placed(match[0])
        end = match.end()
    return form + re.escape(text[end:])


def _placed(text: str) -> str:
    return next(form for one, form in _PLACEHOLDERS if re.fullmatch(one, text))


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return {str: "a text", list: "a list", dict: "an object"}[type(value)]


@cache
def _section(file: Path, path: str) -> dict[str, Any]:
    """Return what a file says about one path; some files take seconds to be read as a whole."""
    text = file.read_text(encoding="utf-8")
    lines = re.search(rf"^  {re.escape(path)}:\n(?:    .*\n|\n)*", text, re.MULTILINE)
    if lines is None:
        raise LookupError(f"{file.name} has no {path}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    (section,) = yaml.load(lines[0], Loader=loader).values()
    return dict(section)


def _recording(where: str, section: dict[str, Any], method: str, status: str) -> Recording:
    operation = section.get(method, {})
    answers = operation.get("responses", {})
    if status not in answers and "default" not in answers:
        raise LookupError(f"{where}: no such answer was recorded")
    answer = answers.get(status) or answers["default"]
    headers = {name: _example(one) for name, one in (answer.get("headers") or {}).items()}
    contents: dict[str, dict[str, Any]] = answer.get("content") or {}
    media, content = next(iter(contents.items()), ("", {}))
    if not headers and not content:
        raise LookupError(f"{where}: the file describes the answer without recording one")
    asked = (operation.get("requestBody") or {}).get("content") or {}
    first: dict[str, Any] = next(iter(asked.values()), {})
    request = first.get("example")
    body = _whole(content.get("example")) if "json" in media else content.get("example")
    return Recording(where, int(status), media, headers, body, request)


def _example(header: Mapping[str, Any]) -> str:
    (content,) = header["content"].values()
    return str(content["example"])


def _whole(example: Any) -> Any:
    """Return an example as JSON; some were shortened by hand until they were none."""
    if not isinstance(example, str):
        return example
    text = re.sub(r",\s*\.{3}", "", example)
    return json.loads(re.sub(r"(:\s*)<\w+>", r"\g<1>0", text))
