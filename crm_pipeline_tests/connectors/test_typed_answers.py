"""Answers are read in declared types, everywhere: the rule is read from the syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import crm_pipeline

ROOT = Path(crm_pipeline.__file__).parent
FILES = sorted(path for folder in ("connectors", "wire") for path in (ROOT / folder).rglob("*.py"))


def untyped(tree: ast.AST) -> Iterator[str]:
    """Yield calls that decode an answer into whatever it holds."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name = ast.unparse(node.func)
        has_type = len(node.args) > 1 or any(word.arg == "type" for word in node.keywords)
        if (
            (node.func.attr == "json" and not node.args)
            or name in {"json.loads", "json.load", "orjson.loads"}
            or (name == "msgspec.json.decode" and not has_type)
        ):
            yield f"line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_answer_is_decoded_without_a_type(path: Path) -> None:
    """`wire.decoding` and `connectors.record_page` say what is wrong with an answer; a bare decode raises anything."""
    assert list(untyped(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "response.json()",
        "json.loads(body)",
        "msgspec.json.decode(body)",
        "api.ask('x').json()['a']",
    ],
)
def test_the_rule_finds_what_it_forbids(code: str) -> None:
    """A rule that finds nothing would always hold."""
    assert list(untyped(ast.parse(code)))


@pytest.mark.parametrize("code", ["decode(body, type=Answer)", "request.json", "json.dumps(1)"])
def test_the_rule_lets_other_code_be(code: str) -> None:
    """Encoding, and decoding into a type."""
    assert not list(untyped(ast.parse(code)))
