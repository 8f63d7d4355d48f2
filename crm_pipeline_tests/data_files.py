"""Which data files of the package a module names or opens, read from its syntax tree.

A file is named by a text that ends like its path (`"*/limits.yaml"`), by a path that is built from the
module's own (`Path(__file__).parent / "x"`), or by a package's name (`importlib.resources.files("a.b")`).
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

ANY = "*"  # a part of a path that only the running program knows
_TOP = PurePosixPath("/checkout")
_SUFFIXES = (".yaml", ".yml", ".json", ".sql", ".csv", ".toml")
_READERS = re.compile(r"(files|get_data|(open|read)_(text|binary)|path|contents)\Z")
_SAME = {"resolve", "absolute", "expanduser", "iterdir", "as_posix", "Path", "PurePath", "str"}
_DOWN = {"joinpath", "glob", "rglob", "join", "Path", "PurePath", "get_data"}


@dataclass(frozen=True)
class Reference:
    """A line that names data files: one of `paths`, which are relative to the package."""

    line: int
    paths: tuple[str, ...]


def data_files(root: Path) -> list[str]:
    """Return the data files below the package's folder, relative to it."""
    paths = (path for path in root.rglob("*") if path.suffix in _SUFFIXES)
    return sorted(path.relative_to(root).as_posix() for path in paths)


def references(
    package: str, module: PurePosixPath, tree: ast.Module, files: Iterable[str]
) -> Iterator[Reference]:
    """Yield what a module names: `module` is its path relative to the package, `files` the data files."""
    paths = _Paths(package, _TOP / package / module, _assigned(tree))
    ignored = _docstrings(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr) or id(node) in ignored:
            continue
        text = _text(node)
        if text.endswith(_SUFFIXES) and (named := tuple(f for f in files if _ends(f, text))):
            yield Reference(node.lineno, named)
        path = paths.of(node)
        if path is not None and _TOP / package in path.parents:
            yield Reference(node.lineno, (path.relative_to(_TOP / package).as_posix(),))


def _assigned(tree: ast.Module) -> Mapping[str, ast.expr]:
    """Return the expressions of names that are assigned once or more; the first one counts."""
    values: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name) and node.value is not None:
                values.setdefault(target.id, node.value)
    return values


def _docstrings(tree: ast.Module) -> set[int]:
    bodies = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = (node.body[0] for node in ast.walk(tree) if isinstance(node, bodies) and node.body)
    return {id(node.value) for node in first if isinstance(node, ast.Expr)}


def _text(node: ast.expr | None) -> str:
    """Return a text, with `*` for what an f-string fills in; empty for other expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or ANY for part in node.values)
    return ""


def _ends(file: str, text: str) -> bool:
    parts, wanted = PurePosixPath(file).parts, PurePosixPath(text).parts
    tail = parts[-len(wanted) :]
    return len(tail) == len(wanted) and all(map(fnmatchcase, tail, wanted))


@dataclass
class _Paths:
    """Reckons paths below the checkout; None for every other expression."""

    package: str
    module: PurePosixPath
    values: Mapping[str, ast.expr]
    open: set[str] = field(default_factory=set)

    def of(self, node: ast.expr | None) -> PurePosixPath | None:
        if isinstance(node, ast.Name):
            return self._of_name(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return _below(self.of(node.left), [node.right])
        if isinstance(node, ast.Attribute):
            return self._of_attribute(node)
        if isinstance(node, ast.Subscript):
            return self._of_subscript(node)
        return self._of_call(node) if isinstance(node, ast.Call) else None

    def _of_name(self, name: str) -> PurePosixPath | None:
        if name == "__file__":
            return self.module
        if name == "__path__":
            return self.module.parent
        if name not in self.values or name in self.open:
            return None
        self.open.add(name)
        path = self.of(self.values[name])
        self.open.discard(name)
        return path

    def _of_attribute(self, node: ast.Attribute) -> PurePosixPath | None:
        if node.attr in ("__file__", "__path__"):
            parts = ast.unparse(node.value).split(".")
            folder = _TOP.joinpath(*parts) if parts[0] == self.package else None
            return folder / "__init__.py" if folder and node.attr == "__file__" else folder
        path = self.of(node.value)
        return path.parent if path is not None and node.attr == "parent" else None

    def _of_subscript(self, node: ast.Subscript) -> PurePosixPath | None:
        if isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
            path = self.of(node.value.value)
            index = node.slice.value if isinstance(node.slice, ast.Constant) else None
            above = [*path.parents] if path is not None else []
            return above[index] if isinstance(index, int) and index < len(above) else None
        return self.of(node.value)  # of __path__, which has one folder

    def _of_call(self, node: ast.Call) -> PurePosixPath | None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        first = node.args[0] if node.args else None
        if _READERS.match(name) and (base := self._of_package(first)) is not None:
            return _below(base, node.args[1:])
        start = self.of(function.value) if isinstance(function, ast.Attribute) else None
        rest = node.args
        if start is None:
            start, rest = self.of(first), node.args[1:]
        if name == "dirname":
            return start.parent if start is not None else None
        if name == "with_name":
            return _below(start.parent if start is not None else None, rest)
        if name in _DOWN:
            return _below(start, rest)
        return start if name in _SAME else None

    def _of_package(self, node: ast.expr | None) -> PurePosixPath | None:
        if isinstance(node, ast.Name) and node.id in ("__package__", "__name__"):
            return self.module.parent
        parts = _text(node).split(".")
        return _TOP.joinpath(*parts) if parts[0] == self.package else None


def _below(start: PurePosixPath | None, steps: list[ast.expr]) -> PurePosixPath | None:
    if start is None:
        return None
    for step in steps:
        for part in PurePosixPath(_text(step) or ANY).parts:
            start = start.parent if part == ".." else start / part
    return start
