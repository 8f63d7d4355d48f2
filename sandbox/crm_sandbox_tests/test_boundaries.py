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


def dependencies(files: dict[str, str]) -> dict[str, set[str]]:
    """Return what each module imports of the others, in functions and for types as well."""
    modules = {"crm_sandbox." + path.removesuffix(".py").replace("/", "."): path for path in files}
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(files[path])):
            if isinstance(node, ast.ImportFrom) and node.module:
                named |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
        found[module] = (named & set(modules)) - {module}
    return found


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules that lead back to themselves."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            fresh = graph[waiting.pop()] - seen
            seen |= fresh
            waiting += fresh
        return seen

    return [module for module in graph if module in reached(module)]


def test_no_module_needs_itself() -> None:
    """No modules import each other, not even for their types."""
    files = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in ROOT.rglob("*.py")}
    assert circles(dependencies(files)) == []


def test_a_planted_circle_is_found() -> None:
    """The check sees a circle that only types close."""
    planted = {
        "a.py": "from crm_sandbox import b",
        "b.py": "if TYPE_CHECKING:\n    from crm_sandbox.a import A",
        "c.py": "from crm_sandbox.a import A",
    }
    assert circles(dependencies(planted)) == ["crm_sandbox.a", "crm_sandbox.b"]


def test_the_kernel_knows_no_vendor() -> None:
    """What the vendors have in common stands below them."""
    graph = dependencies(
        {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in ROOT.rglob("*.py")}
    )
    vendors = tuple(f"crm_sandbox.{name}." for name in find_vendors())
    kernel = {module: needs for module, needs in graph.items() if ".kernel." in module}
    assert len(kernel) >= 4
    assert not [one for needs in kernel.values() for one in needs if one.startswith(vendors)]
