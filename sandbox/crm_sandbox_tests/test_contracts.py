from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crm_sandbox_tests import contracts
from crm_sandbox_tests.contracts import Difference, described, validate, validate_document

POINT = {"type": "object", "properties": {"value": {"type": "string"}}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.1",
    "paths": {
        "/people/{id}": {
            "get": {
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}
                        }
                    },
                    "204": {"description": "nothing"},
                    "4XX": {"$ref": "#/components/responses/Refusal"},
                }
            }
        }
    },
    "components": {
        "schemas": {
            "Base": {
                "type": "object",
                "required": ["success"],
                "properties": {"success": {"type": "boolean"}},
            },
            "Answer": {
                "allOf": [
                    {"$ref": "#/components/schemas/Base"},
                    {
                        "type": "object",
                        "properties": {
                            "data": {
                                "nullable": True,
                                "type": "object",
                                "properties": {
                                    "id": {"type": "integer"},
                                    "add_time": {"type": "string", "format": "date-time"},
                                    "emails": {"type": "array", "items": POINT},
                                    "custom": {"type": "object", "additionalProperties": True},
                                },
                            }
                        },
                    },
                ]
            },
        },
        "responses": {
            "Refusal": {
                "content": {
                    "application/json": {
                        "schema": {"type": "object", "required": ["error"], "properties": {}}
                    }
                }
            }
        },
    },
}
GOOD: dict[str, Any] = {
    "success": True,
    "data": {
        "id": 7,
        "add_time": "2026-01-01T00:00:00Z",
        "emails": [{"value": "a@b.example"}, {"value": "c@d.example"}],
        "custom": {"anything": 1},
    },
}


def check(body: Any, status: int = 200, **options: Any) -> None:
    validate_document(DOCUMENT, "get", "/people/{id}", status, body, **options)


def test_a_right_answer_passes() -> None:
    """What the description allows passes: nulls where they are allowed, additional properties, empty bodies."""
    check(GOOD)
    check(GOOD, closed=True)
    check({"success": True, "data": None})
    check(None, status=204)
    check({"error": "no"}, status=404)
    check(GOOD | {"more": 1})


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"id": "7"}, "$.data.id"),
        ({"id": None}, "$.data.id"),
        ({"add_time": "2026-01-01 00:00:00"}, "$.data.add_time"),
        ({"emails": [{"value": "x"}, {"value": 5}]}, "$.data.emails[1].value"),
        ({"emails": {}}, "$.data.emails"),
    ],
)
def test_a_planted_difference_is_found(change: dict[str, Any], path: str) -> None:
    """A wrong type, a null, a wrong format: each is named with its JSON path."""
    with pytest.raises(Difference) as found:
        check(GOOD | {"data": GOOD["data"] | change})
    assert f" {path}: " in str(found.value)


def test_what_the_description_does_not_name() -> None:
    """Closed, an unknown property is a difference, at the top and below; required ones always are."""
    with pytest.raises(Difference, match=r"\$\.more: "):
        check(GOOD | {"more": 1}, closed=True)
    with pytest.raises(Difference, match=r"\$\.data\.shoe: "):
        check(GOOD | {"data": {"shoe": 1}}, closed=True)
    with pytest.raises(Difference, match="success"):
        check({"data": None})
    with pytest.raises(Difference, match="error"):
        check({}, status=404)
    with pytest.raises(Difference, match="a body"):
        check({}, status=204)


def test_known_differences() -> None:
    """A difference that is wanted can be named, and hides no other."""
    wrong = GOOD | {"data": GOOD["data"] | {"emails": [{"value": 5}]}}
    check(wrong, besides=("$.data.emails[*].value",))
    with pytest.raises(Difference):
        check(wrong, besides=("$.data.em", "$.data.id"))
    check(GOOD | {"more": 1}, closed=True, besides=("$.more",))
    with pytest.raises(Difference, match=r"\$\.other: "):
        check(GOOD | {"more": 1, "other": 1}, closed=True, besides=("$.more",))


def test_a_pattern_of_another_engine() -> None:
    """A pattern that Python cannot read is passed over; one that it can read counts."""
    texts = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": r"^\p{L}+$"},
            "code": {"type": "string", "pattern": "^[A-Z]+$"},
        },
    }
    answer = {"content": {"application/json": {"schema": texts}}}
    document = {"paths": {"/x": {"get": {"responses": {"200": answer}}}}}
    validate_document(document, "get", "/x", 200, {"name": "7", "code": "A"})
    with pytest.raises(Difference, match=r"\$\.code"):
        validate_document(document, "get", "/x", 200, {"name": "7", "code": "a"})


def test_operations_that_are_not_there() -> None:
    """An operation or a status that the description lacks is no silent pass."""
    with pytest.raises(LookupError, match="has no POST"):
        validate_document(DOCUMENT, "post", "/people/{id}", 200, {})
    with pytest.raises(LookupError, match="has no GET /nobody"):
        validate_document(DOCUMENT, "get", "/nobody", 200, {})
    with pytest.raises(LookupError, match="no answer 500: 200, 204, 4XX"):
        check({}, status=500)


def test_without_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the descriptions are not there a test skips, and says so."""
    monkeypatch.setattr(contracts, "FOLDER", tmp_path / "contracts")
    with pytest.raises(pytest.skip.Exception, match="not beside this repository"):
        described("pipedrive", "openapi-v2.2026-08.yaml")


def test_a_real_description() -> None:
    """A published description is read, and a difference planted in an answer to it is found."""
    body = {"success": True, "data": [{"id": 1, "name": "Ada"}], "additional_data": {}}
    operation = ("pipedrive", "openapi-v2.2026-08.yaml", "GET", "/persons", 200)
    validate(*operation, body)
    with pytest.raises(Difference, match=r"\$\.data\[0\]\.name"):
        validate(*operation, body | {"data": [{"id": 1, "name": 5}]})
    with pytest.raises(Difference, match="shoe"):
        validate(*operation, body | {"data": [{"shoe": 5}]}, closed=True)


def test_the_branch_that_is_meant() -> None:
    """Of several alternatives the one whose kind is named is compared, although another fits better."""
    kinds = [
        {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": [kind]},
                **{name: {"type": "integer"} for name in names},
            },
        }
        for kind, names in (("deal", ()), ("person", ("a", "b")))
    ]
    answer = {"content": {"application/json": {"schema": {"anyOf": kinds}}}}
    document = {"paths": {"/x": {"get": {"responses": {"200": answer}}}}}
    validate_document(document, "get", "/x", 200, {"kind": "person", "a": 1})
    with pytest.raises(Difference, match=r"\$\.a: .*and 1 more"):
        validate_document(document, "get", "/x", 200, {"kind": "person", "a": "1", "b": "2"})
