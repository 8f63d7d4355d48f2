"""Operations out of the vendors' OpenAPI descriptions, as much of them as a fuzzer needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from crm_sandbox_tests.contracts import FOLDER, described, on_host, require_descriptions, resolved

METHODS = ("get", "post", "put", "patch", "delete")
_SALESFORCE = "salesforce/oas-v64-postman-derived/salesforce-{}-api-openapi.yml"
FILES: Mapping[str, tuple[str, ...]] = {
    "hubspot": ("hubspot/*.json",),
    "hunter": (),  # these two publish no description
    "prospeo": (),
    "pipedrive": ("pipedrive/openapi-*.yaml",),
    "zoho": ("zoho/oas-v8-*/*.json",),
    "salesforce": tuple(
        _SALESFORCE.format(name)
        for name in (
            *("collections", "composite", "count", "deletes", "describe", "identifiers"),
            *("information", "jobs", "tokens", "data"),
        )
    ),
}


@dataclass(frozen=True)
class Operation:
    """One operation of a description.

    Attributes:
        template: the path on the vendor's host, with names in braces.
        query: its parameters in the query string, by name.
        media: the kind of its body, empty where it takes none.
        schema: of its body.
        document: which the schema's references lead into.
    """

    method: str
    template: str
    query: Mapping[str, Any]
    media: str
    schema: Mapping[str, Any]
    document: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def operations(vendor: str, *patterns: str) -> list[Operation]:
    """Return every operation that a vendor describes, each method and path once.

    Args:
        vendor: whose.
        patterns: the files below the folder of descriptions, with stars; all of the vendor by default.
    """
    require_descriptions()
    found: dict[tuple[str, str], Operation] = {}
    for pattern in patterns or FILES[vendor]:
        for name in sorted(str(one.relative_to(FOLDER)) for one in FOLDER.glob(pattern)):
            folder, _, file = name.partition("/")
            for one in _of(folder, file):
                found.setdefault((one.method, one.template), one)
    return list(found.values())


def listed_operations() -> list[Operation]:
    """Return Pipedrive's operations out of the list beside its descriptions, which is read in no time.

    They come without schemas of their bodies.
    """
    listed = described("pipedrive", "operations.json")["operations"]
    return [
        Operation(
            one["method"],
            one["path"],
            {name: {} for name in one["query"]},
            "" if one["method"] in {"GET", "DELETE"} else "application/json",
            {},
            {},
        )
        for one in listed
    ]


def addresses(vendor: str) -> set[tuple[str, str]]:
    """Return method and path of every operation that a vendor describes, read in no time.

    Of the large descriptions only the lines that name paths and methods are looked at.
    """
    found: set[tuple[str, str]] = set()
    for pattern in FILES[vendor]:
        for one in FOLDER.glob(pattern):
            if one.suffix == ".json":
                name = f"{one.relative_to(FOLDER / vendor)}"
                found |= {(each.method, each.template) for each in _of(vendor, name)}
            else:
                found |= set(_scanned(vendor, one.read_text(encoding="utf-8")))
    return found


def _scanned(vendor: str, text: str) -> Iterator[tuple[str, str]]:
    url = re.search(r"^servers:\s+- url: '?([^'\s]+)", text, re.MULTILINE)
    document = {"servers": [{"url": url[1]}]} if url else {}
    _, _, below = text.partition("\npaths:\n")
    path = ""
    for line in below.splitlines():
        if line and not line.startswith(" "):
            return
        if match := re.fullmatch(r"  ['\"]?(/[^'\":]*)['\"]?:", line):
            path = on_host(vendor, document, match[1])
        elif (match := re.fullmatch(r"    (\w+):", line)) and match[1] in METHODS:
            yield match[1].upper(), path


@cache
def _of(vendor: str, file: str) -> Sequence[Operation]:
    return tuple(_operations(vendor, described(vendor, file)))


def _operations(vendor: str, document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, entries in (document.get("paths") or {}).items():
        template = on_host(vendor, document, path)
        for method in METHODS:
            if method not in entries:
                continue
            entry = entries[method]
            listed = [*(entries.get("parameters") or ()), *(entry.get("parameters") or ())]
            parameters = [resolved(document, one) for one in listed]
            query = {
                one["name"]: one.get("schema") or {}
                for one in parameters
                if one.get("in") == "query"
            }
            content = resolved(document, entry.get("requestBody") or {}).get("content") or {}
            media = next(iter(content), "")
            schema = (content.get(media) or {}).get("schema") or {}
            yield Operation(method.upper(), template, query, media, schema, document)
