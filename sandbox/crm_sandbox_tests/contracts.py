"""Compare answers with the OpenAPI descriptions that the vendors publish.

The descriptions are not ours to pass on. They are read from `../shared/contracts/<vendor>/` where
that folder stands beside the repository; elsewhere the tests that ask for them skip.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from crm_sandbox_tests.evidence import EVIDENCE_OF_RUN

FOLDER = Path(__file__).parents[3] / "shared" / "contracts"
_PARTS = ("allOf", "anyOf", "oneOf")
_SILENT = {"example", "examples", "discriminator", "xml", "externalDocs", "nullable"}


class Difference(AssertionError):
    """An answer is not what the vendor describes."""


def validate(
    vendor: str,
    file: str,
    method: str,
    path_template: str,
    status: int,
    body: Any,
    *,
    closed: bool = False,
    complete: bool = True,
    besides: tuple[str, ...] = (),
) -> None:
    """Check a JSON body against the description of one operation's answer.

    Args:
        vendor: the folder with the descriptions.
        file: the OpenAPI file (JSON or YAML) below it.
        method: the HTTP method in any case.
        path_template: the path as the description writes it.
        status: the HTTP status of the answer.
        body: the decoded answer; None for an empty one.
        closed: whether properties that the description does not name are differences.
        complete: whether properties that it requires have to be there; descriptions that were made from
            examples require what the example had.
        besides: JSON paths below which differences are known and wanted; `*` for any position.

    Raises:
        Difference: with the JSON path of the first difference.
        LookupError: the description has no such operation, or no such status in it.
    """
    document = described(vendor, file)
    EVIDENCE_OF_RUN.compared(vendor, method, on_host(vendor, document, path_template))
    where = f"{method.upper()} {path_template} {status}"
    validator = _kept(vendor, file, method.lower(), path_template, status, closed, complete)
    _compare(where, validator, body, besides)


def described(vendor: str, file: str) -> dict[str, Any]:
    """Return a vendor's description, or skip the test where the folder is not there."""
    require_descriptions()
    return _load(FOLDER / vendor / file)


def require_descriptions() -> None:
    """Skip the test where the vendors' descriptions are not at hand."""
    if not FOLDER.is_dir():
        pytest.skip("the vendors' descriptions are not beside this repository")


def on_host(vendor: str, document: Mapping[str, Any], path: str) -> str:
    """Return a description's path as it stands on the vendor's host."""
    if vendor == "salesforce":
        if path == "//":
            return "/id/{organization}/{user}"
        # What was made from the vendor's examples has lost the ids between two slashes.
        known = re.sub(r"^/(?=data|async|Soap)", "/services/", path)
        if known.startswith("/composite"):
            known = f"/services/data/v64.0{known}"
        return re.sub(r"//|(?<=query)/$|(?<=ingest)/$", "/{jobId}/", known).rstrip("/") or "/"
    if vendor == "hubspot":
        return path
    url = str((document.get("servers") or [{"url": ""}])[0]["url"])
    base = re.sub(r"^https?://[^/]+", "", url).rstrip("/").replace("{version}", "v8")
    return base + path


def validate_document(
    document: Mapping[str, Any],
    method: str,
    path_template: str,
    status: int,
    body: Any,
    *,
    closed: bool = False,
    besides: tuple[str, ...] = (),
) -> None:
    """Do the same as `validate` with an OpenAPI document at hand."""
    where = f"{method.upper()} {path_template} {status}"
    schema = _schema(document, method, path_template, status)
    validator = None if schema is None else _validator(document, schema, closed)
    _compare(where, validator, body, besides)


def _compare(
    where: str, validator: Draft202012Validator | None, body: Any, besides: tuple[str, ...]
) -> None:
    if validator is None:
        if body not in (None, "", b""):
            raise Difference(f"{where}: $: a body where the description has none")
        return
    leaves = [leaf for error in validator.iter_errors(body) for leaf in _leaves(error)]
    found = [one for leaf in leaves for one in _places(leaf) if not _is_known(one[0], besides)]
    if found:
        path, message = min(found)
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Difference(f"{where}: {path}: {message[:300]}{others}")


@cache
def _kept(
    vendor: str,
    file: str,
    method: str,
    path_template: str,
    status: int,
    closed: bool,
    complete: bool,
) -> Draft202012Validator | None:
    """Return the validator of an operation's answer, made once: that takes longer than comparing."""
    document = described(vendor, file)
    schema = _schema(document, method, path_template, status)
    return None if schema is None else _validator(document, schema, closed, complete)


@cache
def _load(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _schema(
    document: Mapping[str, Any], method: str, path_template: str, status: int
) -> dict[str, Any] | None:
    operations = document["paths"].get(path_template)
    if operations is None or method.lower() not in operations:
        raise LookupError(f"the description has no {method.upper()} {path_template}")
    answers = {str(key): value for key, value in operations[method.lower()]["responses"].items()}
    for key in (str(status), f"{status // 100}XX", "default"):
        if key in answers:
            content = resolved(document, answers[key]).get("content") or {}
            media = content.get("application/json") or next(iter(content.values()), {})
            return media.get("schema")
    raise LookupError(
        f"{method.upper()} {path_template} has no answer {status}: {', '.join(answers)}"
    )


def resolved(document: Mapping[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and one that leads to another, to what it stands for."""
    while "$ref" in node:
        if not node["$ref"].startswith("#/"):
            return {}  # in another file of the vendor, which is not at hand
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        node = found
    return node


def _validator(
    document: Mapping[str, Any], schema: dict[str, Any], closed: bool, complete: bool = True
) -> Draft202012Validator:
    translation = _Translation(document, closed, complete)
    components = {
        kind: {
            name: translation.of(one, is_part=f"#/components/{kind}/{name}" in translation.parts)
            for name, one in members.items()
        }
        for kind, members in (document.get("components") or {}).items()
        if kind in {"schemas", "responses"}
    }
    whole = {"components": components, "answer": translation.of(schema)}
    registry = Registry().with_resource("urn:api", Resource(whole, DRAFT202012))  # type: ignore[call-arg]
    return Draft202012Validator(
        {"$ref": "urn:api#/answer"}, registry=registry, format_checker=FormatChecker()
    )


class _Translation:
    """From the schemas of OpenAPI 3.0 to JSON Schema 2020-12, where closed ones name all there is."""

    def __init__(self, document: Mapping[str, Any], closed: bool, complete: bool) -> None:
        self._document = document
        self._closed = closed
        self._silent = _SILENT if complete else {*_SILENT, "required"}
        self.parts = {one["$ref"] for one in _references(document)} if closed else set()

    def of(self, node: Any, *, is_part: bool = False) -> Any:
        """Return one schema; a part of an object stays open, the object is closed as a whole."""
        if isinstance(node, list):
            return [self.of(one, is_part=is_part) for one in node]
        if not isinstance(node, dict):
            return node
        made: dict[str, Any] = {}
        for keyword, value in node.items():
            if keyword in self._silent or (keyword == "pattern" and not _is_usable(value)):
                continue
            if keyword in {"properties", "patternProperties"}:
                made[keyword] = {name: self.of(one) for name, one in value.items()}
            else:
                made[keyword] = self.of(value, is_part=keyword in _PARTS)
        if self._closed and not is_part and "additionalProperties" not in made:
            names = self._names(node)
            if names:
                # Beside allOf only the properties of the same schema object count as named.
                made["properties"] = dict.fromkeys(names, True) | made.get("properties", {})
                made["additionalProperties"] = False
        return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") else made

    def _names(self, node: dict[str, Any]) -> set[str] | None:
        """Return the properties that a schema and its parts name; None where any may come."""
        names = set(node.get("properties", {}))
        for keyword in _PARTS:
            for part in node.get(keyword, ()):
                whole = resolved(self._document, part)
                more = None if whole.get("additionalProperties") else self._names(whole)
                if more is None:
                    return None
                names |= more
        return names


def _is_usable(pattern: Any) -> bool:
    """Say whether a pattern is one for Python; some descriptions name classes of letters (`\\p{L}`)."""
    try:
        re.compile(str(pattern))
    except re.error:
        return False
    return True


def _references(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the references that stand for a part of an object, and so must stay open."""
    if isinstance(node, list):
        for one in node:
            yield from _references(one)
    elif isinstance(node, Mapping):
        for keyword, value in node.items():
            if keyword in _PARTS:
                yield from (one for one in value if "$ref" in one)
            yield from _references(value)


def _leaves(error: ValidationError) -> Iterator[ValidationError]:
    """Yield the errors that name the place: those of the alternative that fits best."""
    if not error.context:
        yield error
        return
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    best = min(branches.values(), key=lambda one: (_is_other_kind(one), len(one)))
    for inner in best:
        yield from _leaves(inner)


def _is_other_kind(errors: list[ValidationError]) -> bool:
    """Say whether a branch is for something else: another type, or another name of its kind."""
    return any(
        (one.validator == "type" and len(one.path) == 0)
        or (one.validator == "enum" and len(one.validator_value) == 1)
        or one.validator == "const"
        for one in errors
    )


def _places(leaf: ValidationError) -> Iterator[tuple[str, str]]:
    """Yield the JSON path and the text of an error; one for each property that is not described."""
    if leaf.validator == "additionalProperties" and leaf.validator_value is False:
        for name in leaf.instance.keys() - leaf.schema.get("properties", {}).keys():
            yield f"{leaf.json_path}.{name}", "the description does not name this property"
    else:
        yield leaf.json_path, leaf.message


def _is_known(path: str, besides: tuple[str, ...]) -> bool:
    plain = re.sub(r"\[\d+\]", "[*]", path)
    return any(plain == one or plain.startswith((f"{one}.", f"{one}[")) for one in besides)
