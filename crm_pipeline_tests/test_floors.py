import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import crm_pipeline

PACKAGE = "crm_pipeline"
ROOT = Path(crm_pipeline.__file__).parent
FLOORS = {
    "kernel": 0,
    "project": 0,
    "settings": 1,
    "model": 1,
    "wire": 2,
    "store": 2,
    "verification": 2,
    "ratelimit": 3,
    "contracts": 3,
    "connectors": 4,
    "providers": 4,
    "configuration": 5,
    "stages": 5,
    "watch": 6,
    "receiver": 6,
    "client": 6,
    "erasure": 6,
    "orchestration": 7,
    "supervisor": 8,
    "components": 9,
    "definitions": 9,
    "cli": 9,
    "__main__": 10,
}
# Folders whose members do not know each other, and what of them is common to all members.
SIBLINGS = {
    "connectors": {path.stem for path in (ROOT / "connectors").glob("*.py")} | {"oauth"},
    "providers": {path.stem for path in (ROOT / "providers").glob("*.py")},
    "stages": set[str](),
}
# Whoever calls one of these opens a socket.
SOCKETS = (
    "socket.socket",
    "socket.create_connection",
    "socket.create_server",
    "socketserver",
    "http.client",
    "http.server",
    "urllib.request",
    "requests",
    "urllib3",
    "httpx",
    "aiohttp",
    "websockets",
    "smtplib",
    "ftplib",
    "psycopg2.connect",
    "psycopg2.pool",
    "sqlalchemy.create_engine",
    "asyncio.open_connection",
    "asyncio.start_server",
)
HARMLESS = (
    "requests.exceptions",
    "urllib3.exceptions",
    "requests.Response",
    "requests.PreparedRequest",
)
MAY_OPEN = ("wire", "store.postgres.database", "verification.dns", "watch.alerts", "receiver")
# The embedded server is started, probed and stopped here: its own sockets, on this machine.
MAY_OPEN_LOCALLY = (
    "ratelimit.flusher",
    "store.postgres.embedded",
    "store.postgres.migrations",
    "orchestration",
    "supervisor",
    "cli",
)


@dataclass(frozen=True)
class Import:
    """One import: the module's name within the package, what it imports, where, and how deep."""

    module: str
    target: str
    line: int
    is_in_function: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def modules(root: Path = ROOT) -> dict[str, ast.Module]:
    """Return the syntax tree of every module by its dotted name within the package."""
    trees = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
        trees[name].is_package = path.name == "__init__.py"  # type: ignore[attr-defined]
    return trees


def imports(name: str, tree: ast.Module) -> Iterator[Import]:
    """Yield what a module imports, relative imports resolved, anywhere in it."""
    functions = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    typing_only = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.If) and "TYPE_CHECKING" in ast.dump(outer.test)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        inside = id(node) in functions or id(node) in typing_only
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, inside)
        elif isinstance(node, ast.ImportFrom):
            above = node.module or ""
            if node.level:
                parts = [PACKAGE, *(name.split(".") if name != "__init__" else [])]
                up = node.level - (1 if getattr(tree, "is_package", False) else 0)
                base = parts[: len(parts) - up] if up else parts
                above = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(name, f"{above}.{alias.name}", node.lineno, inside)


def own(target: str) -> list[str]:
    """Return the parts of a target within the package; empty for others."""
    parts = target.split(".")
    return parts[1:] if parts[0] == PACKAGE else []


def broken_rules(target: Import) -> Iterator[str]:
    """Yield the rules that an import breaks."""
    folder = target.module.split(".")[0]
    parts = own(target.target)
    outside = target.target.split(".")[0]
    if outside == "dagster" or outside.startswith("dagster_"):
        is_allowed = folder in {"orchestration", "supervisor", "definitions"}
        if not is_allowed and not (folder == "cli" and target.is_in_function):
            yield "only orchestration, supervisor, definitions and functions of cli import dagster"
    if folder == "kernel" and not parts and outside not in sys.stdlib_module_names:
        yield "kernel imports only the standard library"
    if outside == "crm_sandbox" and not (folder == "cli" and target.is_in_function):
        yield "nothing but functions of cli imports the sandbox, which may not be installed"
    if not parts or parts[0] not in FLOORS:
        return
    if parts[0] != folder and FLOORS[parts[0]] >= FLOORS.get(folder, 99):
        yield "imports go to lower floors only"
    yield from _sideways(target, folder, parts)


def _sideways(target: Import, folder: str, parts: list[str]) -> Iterator[str]:
    if folder not in SIBLINGS or parts[0] != folder or len(parts) < 2:
        return
    mine = target.module.split(".")[1:2]
    common = SIBLINGS[folder]
    if mine and mine[0] not in common and parts[1] not in {mine[0], *common}:
        yield "vendors and stages do not import their siblings"


def opened_sockets(tree: ast.Module) -> Iterator[str]:
    """Yield the calls (and base classes) that open a socket, by the names they were imported under."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                names[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        called = [node.func] if isinstance(node, ast.Call) else []
        called += node.bases if isinstance(node, ast.ClassDef) else []
        for expression in called:
            dotted = _dotted(expression, names)
            if _is_below(dotted, SOCKETS) and not _is_below(dotted, HARMLESS):
                yield f"line {expression.lineno}: {dotted}"


def _dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *parts])


def _is_below(dotted: str, prefixes: tuple[str, ...]) -> bool:
    return any(dotted == prefix or dotted.startswith(f"{prefix}.") for prefix in prefixes)


def all_broken(trees: Mapping[str, ast.Module]) -> list[str]:
    broken = []
    for name, tree in trees.items():
        broken += [
            f"{target}: {rule}" for target in imports(name, tree) for rule in broken_rules(target)
        ]
    return broken


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return modules()


def test_no_import_breaks_a_rule(trees: dict[str, ast.Module]) -> None:
    """Floors, dagster's place, the sandbox's place and the independence of siblings hold in every module."""
    assert all_broken(trees) == []


def test_pandera_is_imported_where_it_is_needed(trees: dict[str, ast.Module]) -> None:
    """Importing pandera takes longer than a small build: no module does it at its top."""
    all_imports = [one for name, tree in trees.items() for one in imports(name, tree)]
    of_pandera = [one for one in all_imports if one.target.split(".")[0] == "pandera"]
    assert [str(one) for one in of_pandera if not one.is_in_function] == []
    assert of_pandera


def test_every_folder_has_a_floor(trees: dict[str, ast.Module]) -> None:
    """A folder that the rules do not know would escape them."""
    assert {name.split(".")[0] for name in trees} - {"__init__"} <= {*FLOORS}
    assert len(trees) > 60


def test_sockets_are_opened_where_they_may_be(trees: dict[str, ast.Module]) -> None:
    """Only the wire and the database reach out; local probes have their known places."""
    opened = {
        name: list(opened_sockets(tree))
        for name, tree in trees.items()
        if not _is_below(name, (*MAY_OPEN, *MAY_OPEN_LOCALLY))
    }
    assert {name: calls for name, calls in opened.items() if calls} == {}
    assert list(opened_sockets(trees["wire.session"]))
    assert list(opened_sockets(trees["store.postgres.database"]))


def test_the_model_does_no_input_or_output(trees: dict[str, ast.Module]) -> None:
    """The common language opens no file and starts nothing."""
    forbidden = ("os", "pathlib", "io", "shutil", "subprocess", "tempfile", "sqlite3", "duckdb")
    for name, tree in trees.items():
        if name.split(".")[0] == "model":
            assert [str(i) for i in imports(name, tree) if _is_below(i.target, forbidden)] == []
            calls = {
                n.func.id
                for n in ast.walk(tree)
                if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            }
            assert "open" not in calls, name


PLANTED = {
    "kernel imports requests": ("kernel.bad", "import requests"),
    "kernel imports model": ("kernel.bad", "from crm_pipeline.model.schema import Field"),
    "upward": ("store.bad", "from crm_pipeline.stages.raw import extract"),
    "same floor, other folder": ("store.bad", "import crm_pipeline.wire.session"),
    "upward inside a function": ("model.bad", "def f():\n    from crm_pipeline.wire import retry"),
    "upward, relative": ("store.bad", "from ..stages import raw"),
    "package by name": ("wire.bad", "from crm_pipeline import orchestration"),
    "dagster in a stage": ("stages.raw.bad", "import dagster as dg"),
    "dagster in a stage's function": ("stages.raw.bad", "def f():\n    from dagster import asset"),
    "dagster at the top of cli": ("cli.bad", "import dagster"),
    "an integration of dagster": ("watch.bad", "import dagster_postgres"),
    "stage knows the sandbox": ("stages.raw.bad", "from crm_sandbox import world"),
    "orchestration knows the sandbox": ("orchestration.bad", "import crm_sandbox.server"),
    "cli needs the sandbox": ("cli.bad", "from crm_sandbox import server"),
    "vendor knows vendor": (
        "connectors.hubspot.api",
        "from crm_pipeline.connectors.salesforce import soql",
    ),
    "vendor knows vendor, relative": ("connectors.hubspot.api", "from ..salesforce import soql"),
    "stage knows stage": ("stages.normalized.bad", "from crm_pipeline.stages.raw import extract"),
    "stage knows stage by folder": ("stages.normalized.bad", "from crm_pipeline.stages import raw"),
}
ALLOWED = {
    "lower floor": ("stages.raw.good", "from crm_pipeline.store.landing import Landing"),
    "same folder": ("store.good", "from crm_pipeline.store import files"),
    "same folder, relative": ("store.good", "from . import files"),
    "dagster in its place": ("orchestration.good", "import dagster as dg"),
    "dagster in a function of cli": ("cli.good", "def f():\n    import dagster"),
    "cli starts the sandbox": ("cli.good", "def f():\n    from crm_sandbox import server"),
    "vendor uses the base": (
        "connectors.hubspot.api",
        "from crm_pipeline.connectors.base import Page",
    ),
    "vendor uses its own": (
        "connectors.hubspot.api",
        "from crm_pipeline.connectors.hubspot import auth",
    ),
    "the version": ("cli.good", "from crm_pipeline import __version__"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_violation_is_found(case: str) -> None:
    """The checker sees each kind of forbidden import, exactly once."""
    name, code = PLANTED[case]
    assert len(all_broken({name: ast.parse(code)})) == 1


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_is_not_reported(case: str) -> None:
    """The checker reports nothing that is allowed."""
    name, code = ALLOWED[case]
    assert all_broken({name: ast.parse(code)}) == []


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('x', 1))",
        "from socket import socket as s\ns()",
        "import requests\nrequests.get('x')",
        "import requests\ndef f():\n    with requests.Session() as s: ...",
        "import http.client\nhttp.client.HTTPConnection('x')",
        "from urllib.request import urlopen\nurlopen('x')",
        "import psycopg2\npsycopg2.connect('')",
        "from psycopg2.pool import ThreadedConnectionPool as P\nP(1, 2)",
        "from http.server import HTTPServer\nclass S(HTTPServer): ...",
    ],
)
def test_a_planted_socket_is_found(code: str) -> None:
    """The checker sees sockets under whatever name they were imported."""
    assert len(list(opened_sockets(ast.parse(code)))) == 1


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.gethostname()",
        "import requests\ndef f(r: requests.Response): raise requests.exceptions.Timeout()",
        "from urllib.parse import urlsplit\nurlsplit('x')",
    ],
)
def test_what_only_sounds_like_a_socket_is_not_reported(code: str) -> None:
    """Names and types of network libraries may be used anywhere."""
    assert list(opened_sockets(ast.parse(code))) == []


def vendor_choices(name: str, tree: ast.Module, vendors: set[str]) -> Iterator[str]:
    """Yield the places where code outside a vendor's folder chooses by a vendor's name."""
    if set(name.split(".")) & vendors:
        return
    for node in ast.walk(tree):
        compared: list[ast.expr | ast.pattern] = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.match_case):
            compared = [node.pattern]
        for part in compared:
            texts = {n.value for n in ast.walk(part) if isinstance(n, ast.Constant)}
            if named := sorted(vendors & {text for text in texts if isinstance(text, str)}):
                yield f"{name}:{node.lineno if hasattr(node, 'lineno') else '?'} asks for {named}"


def test_shared_code_asks_abilities_and_never_names(trees: dict[str, ast.Module]) -> None:
    """No module outside a vendor's folder compares with a vendor's name."""
    vendors = {path.parent.name for path in (ROOT / "connectors").glob("*/__init__.py")}
    assert len(vendors) >= 4
    choices = [
        choice for name, tree in trees.items() for choice in vendor_choices(name, tree, vendors)
    ]
    assert choices == []


@pytest.mark.parametrize(
    "code",
    [
        "if vendor == 'zoho': pass",
        "x = vendor in ('salesforce', 'hubspot')",
        "match vendor:\n case 'zoho' | 'hubspot': pass",
    ],
)
def test_a_choice_by_name_is_found(code: str) -> None:
    """The rule above can fail; within the vendor's own folder it does not."""
    tree = ast.parse(code)
    vendors = {"zoho", "hubspot", "salesforce"}
    assert list(vendor_choices("stages.raw.extract", tree, vendors))
    assert not list(vendor_choices("connectors.zoho.account", tree, vendors))
