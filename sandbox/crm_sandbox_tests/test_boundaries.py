from __future__ import annotations

import ast
from pathlib import Path

import crm_sandbox
from crm_sandbox.registry import find_vendors

ROOT = Path(crm_sandbox.__file__).parent


def imported(tree: ast.Module) -> set[str]:
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    return names | {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}


def wrong(path: str, code: str) -> list[str]:
    """What a module imports and may not: the product that it judges, and vendors beside its own."""
    own = path.split("/", maxsplit=1)[0]
    vendors = set(find_vendors()) - {own}
    found = []
    for name in imported(ast.parse(code)):
        parts = name.split(".")
        if parts[0].startswith("crm_pipeline"):
            found.append(name)
        if own in find_vendors() and parts[0] == "crm_sandbox" and set(parts[1:2]) & vendors:
            found.append(name)
    return found


def test_the_sandbox_stands_by_itself() -> None:
    """It shares no line with the connectors that it judges, and no vendor knows another."""
    files = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in ROOT.rglob("*.py")}
    assert len(files) > 100
    assert {path: found for path, code in files.items() if (found := wrong(path, code))} == {}


def test_a_planted_import_is_found() -> None:
    """The check sees both kinds of forbidden imports."""
    assert wrong("zoho/a.py", "from crm_pipeline.wire import session")
    assert wrong("zoho/a.py", "def f():\n    import crm_sandbox.hubspot.grants")
    assert not wrong("zoho/a.py", "from crm_sandbox.zoho import grants")
