"""Names are the field's words: retired words stay out of names of modules, classes, functions and parameters."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import crm_pipeline

ROOT = Path(crm_pipeline.__file__).parent
TESTS = (Path(__file__).parent, Path(__file__).parents[1] / "sandbox" / "crm_sandbox_tests")
RETIRED: Mapping[str, str] = {
    "asking": "limits, prompts",
    "attendant": "flusher",
    "book": "ledger, store",
    "chain": "rotation",
    "children": "processes",
    "claim": "demand, reported counter",
    "completing": "field backfill",
    "consent": "login flow",
    "damage": "corruption",
    "desk": "pool, handler",
    "dialect": "profile",
    "gate": "rate limiter",
    "harvest": "record assembly",
    "judge": "classify_response",
    "keeping": "retention",
    "lane": "worker",
    "meddle": "tamper, fault proxy",
    "meddler": "fault proxy",
    "observations": "vendor counters",
    "safekeeping": "backup",
    "scene": "harness",
    "sheet": "page",
    "slice": "batch",
    "spool": "checkpoint",
    "stamp": "modified_at, cursor field",
    "standing": "object status",
    "strays": "stale index hits",
    "together": "merged",
    "tools": "context",
    "twin": "emulator",
    "told": "what it holds: lines, response, expected",
    "unfinished": "interrupted",
    "weight": "cost",
    "who": "identity",
}
# Words of test code, in names of its modules, classes and fixtures.
RETIRED_IN_TESTS: Mapping[str, str] = {
    "houses": "harness",
    "meddle": "tamper, fault proxy",
    "meddler": "fault proxy",
    "scene": "harness",
    "twin": "emulator",
}
# Names that others chose, or that hold a word in another sense.
_OTHERS = {
    "steadfast.connect(dialect)",  # SQLAlchemy's word
    "emails.judge_emails",  # gives verdicts; the retired word classified responses of vendors
    "phones.judge_phones",
}


def words(name: str) -> list[str]:
    """Return the words of a name in snake_case or CamelCase, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


def names(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module gives: its own, those of classes, functions and parameters."""
    yield module
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield f"{module}.{node.name}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{module}.{node.name}"
            taken = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
            yield from (f"{module}.{node.name}({argument.arg})" for argument in taken)


def names_in_tests(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield the names of a module of test code, of its classes and of its fixtures."""
    yield module
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) or (
            isinstance(node, ast.FunctionDef) and _is_fixture(node)
        ):
            yield f"{module}.{node.name}"


def _is_fixture(node: ast.FunctionDef) -> bool:
    return any("fixture" in ast.unparse(decorator) for decorator in node.decorator_list)


def retired(name: str, terms: Mapping[str, str] = RETIRED) -> list[str]:
    """Return the retired words in the last part of a name, each with the field's term."""
    last = re.split(r"[.(]", name.rstrip(")"))[-1]
    hits = []
    for word in words(last):
        forms = (word, word.removesuffix("s"), f"{word}s")
        hit = next((form for form in forms if form in terms), None)
        if hit:
            hits.append(f"{name}: '{word}' is now {terms[hit]}")
    return hits


def test_no_name_holds_a_retired_word() -> None:
    """A data engineer guesses every name at first sight; the failure names the field's term for each."""
    hits = []
    for path in sorted(ROOT.rglob("*.py")):
        for name in names(path.stem, ast.parse(path.read_text(encoding="utf-8"))):
            hits += [] if name in _OTHERS else retired(name)
    assert hits == []


def test_no_name_of_test_code_holds_a_retired_word() -> None:
    """Modules, classes and fixtures of tests are called by what they are: emulator, harness, fault proxy."""
    hits = []
    for path in sorted(path for folder in TESTS for path in folder.rglob("*.py")):
        for name in names_in_tests(path.stem, ast.parse(path.read_text(encoding="utf-8"))):
            hits += retired(name, RETIRED_IN_TESTS)
    assert hits == []


@pytest.mark.parametrize(
    "code",
    [
        "class RateGate: ...",
        "def open_gate(): ...",
        "def f(*, gates): ...",
        "class A:\n    def spool_page(self): ...",
        "async def together(): ...",
    ],
)
def test_a_planted_name_is_found(code: str) -> None:
    """Each kind of name is checked, in singular and plural."""
    hits = [hit for name in names("module", ast.parse(code)) for hit in retired(name)]
    assert len(hits) == 1


@pytest.mark.parametrize(
    "code",
    [
        "class SalesforceTwin: ...",
        "@pytest.fixture\ndef scenes(): ...",
        "@pytest.fixture(scope='module')\ndef meddler(): ...",
    ],
)
def test_a_planted_name_in_test_code_is_found(code: str) -> None:
    """Classes and fixtures of test code are looked at."""
    planted = names_in_tests("module", ast.parse(code))
    assert len([hit for name in planted for hit in retired(name, RETIRED_IN_TESTS)]) == 1


def test_a_module_is_looked_at() -> None:
    """The file's own name counts as well."""
    assert retired("lanes") == ["lanes: 'lanes' is now worker"]
    assert retired("ledger") == []
    assert retired("houses", RETIRED_IN_TESTS) == ["houses: 'houses' is now harness"]
