"""Names are the field's words: those that were given up stay out of modules, classes, functions and parameters."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import crm_pipeline

ROOT = Path(crm_pipeline.__file__).parent
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
    "emulators": "harness",
    "judge": "classify_response",
    "keeping": "retention",
    "lane": "worker",
    "meddler": "fault proxy",
    "observations": "vendor counters",
    "safekeeping": "backup",
    "sheet": "page",
    "slice": "batch",
    "spool": "checkpoint",
    "standing": "object status",
    "strays": "stale index hits",
    "together": "merged",
    "tools": "context",
    "emulator": "emulator",
    "unfinished": "interrupted",
    "weight": "cost",
    "who": "identity",
}
_OTHERS = {
    "ledger_state._Claim",  # as rows of the limiter's table name it
    "ledger_state._claims",
    "steadfast.connect(dialect)",  # SQLAlchemy's word
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
            yield from (f"{module}.{node.name}({one.arg})" for one in taken)


def retired(name: str) -> list[str]:
    """Return the words of the last part of a name that were given up, with what to write instead."""
    last = re.split(r"[.(]", name.rstrip(")"))[-1]
    found = []
    for word in words(last):
        singular = word.removesuffix("s")
        hit = next((one for one in (word, singular, f"{word}s") if one in RETIRED), None)
        if hit:
            found.append(f"{name}: '{word}' is now {RETIRED[hit]}")
    return found


def test_no_name_holds_a_retired_word() -> None:
    """A data engineer guesses every name at first sight; what the words became stands beside each."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        for name in names(path.stem, ast.parse(path.read_text(encoding="utf-8"))):
            found += [] if name in _OTHERS else retired(name)
    assert found == []


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
    """Each kind of name is looked at, in singular and plural."""
    found = [one for name in names("module", ast.parse(code)) for one in retired(name)]
    assert len(found) == 1


def test_a_module_is_looked_at() -> None:
    """The file's own name counts as well."""
    assert retired("lanes") == ["lanes: 'lanes' is now worker"]
    assert retired("ledger") == []
