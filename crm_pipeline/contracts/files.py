"""The user's contracts: Python and YAML files in the folder `contracts/` beside connections.yaml.

A file is for the table that its name says (`deals.py`, `acme.deals.yaml`), or that the `name` of each schema in it
says. Which files concern a table is read from their texts: pandera is imported only where one has to be run.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from crm_pipeline.contracts.rules import Policies, Policy
from crm_pipeline.kernel.errors import ConfigError, UnknownName
from crm_pipeline.kernel.identity import fingerprint

if TYPE_CHECKING:
    import pandera.pandas as pandera

FOLDER = "contracts"
_SUFFIXES = (".py", ".yaml", ".yml")
_MOST_BYTES = 1_000_000
_NAME = re.compile(r"""(?m)(?:^|[\s({,])name\s*[=:]\s*(?:["']([^"'\n]+)["']|([\w.\-]+)\s*$)""")
_OTHERS_MAY_WRITE = 0o002


@dataclass(frozen=True)
class UserContract:
    """One contract of a user.

    Attributes:
        file: the file, relative to the folder of connections.yaml.
        target: the table or object that it is for, as written.
        schema: the pandera schema.
    """

    file: str
    target: str
    schema: "pandera.DataFrameSchema"


@dataclass(frozen=True)
class ContractFolder:
    """The contracts and policies of a user.

    Attributes:
        root: the folder of connections.yaml.
        policies: the policies by dotted name, from connections.yaml.
    """

    root: Path | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict)

    def policies_of(self, targets: tuple[str, ...]) -> Policies:
        """Return the policies of a table that is called by some names, the most special one last."""
        chosen = {
            name: policy
            for name, policy in self.policies.items()
            if any(name == target or name.startswith(f"{target}.") for target in targets)
        }
        return Policies(chosen, targets)

    def fingerprint(self, targets: tuple[str, ...]) -> str:
        """Return a fingerprint of all that a user says of a table; "" for nothing."""
        files = [
            (path.name, fingerprint(_text(path))) for path in self.files if _concerns(path, targets)
        ]
        policies = sorted(self.policies_of(targets).by_name.items())
        return fingerprint([files, policies]) if files or policies else ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files with contracts, in the order of their names; those that begin with _ or . are none."""
        folder = self.root / FOLDER if self.root else None
        if folder is None or not folder.is_dir():
            return ()
        return tuple(
            path
            for path in sorted(folder.iterdir())
            if path.suffix in _SUFFIXES and path.name[0] not in "._" and path.is_file()
        )

    def of(self, targets: tuple[str, ...]) -> tuple[UserContract, ...]:
        """Return the contracts of a table.

        Args:
            targets: the names by which the table is called.

        Raises:
            ConfigError: a file with a contract of this table cannot be read.
        """
        return tuple(
            contract
            for path in self.files
            if _concerns(path, targets)
            for contract in load(path)
            if contract.target in targets
        )

    def all(self) -> tuple[list[UserContract], list[ConfigError]]:
        """Return all contracts, and the errors of the files that cannot be read."""
        contracts: list[UserContract] = []
        errors: list[ConfigError] = []
        for path in self.files:
            try:
                contracts += load(path)
            except ConfigError as error:
                errors.append(error)
        return contracts, errors

    def strangers(self, known: Iterable[str]) -> list[UnknownName]:
        """Return an error for each name in files and policies that no table or object has.

        Args:
            known: the names of all tables and objects.
        """
        names = set(known)
        faults = []
        for path in self.files:
            where = f"{FOLDER}/{path.name}"
            faults += [
                UnknownName("table or object", name, names, where=where)
                for name in sorted(_names_of_schemas(path) or {path.stem} - _shown(path, names))
                if name not in names
            ]
        for name in self.policies:
            if not any(name == each or name.startswith(f"{each}.") for each in names):
                where = "policies of connections.yaml"
                faults.append(UnknownName("table or object", name, names, where=where))
        return faults


def targets_of(connection: str, table: str) -> tuple[str, ...]:
    """Return the names of a normalized table in contracts, the most special one last."""
    return (f"crm.{table}", table, f"{connection}.{table}")


def names_in(path: Path) -> set[str]:
    """Return what may be the tables and objects that a file is for, from its text: names of checks, too."""
    given = {quoted or plain for quoted, plain in _NAME.findall(_text(path))}
    return given or {path.stem}


def _names_of_schemas(path: Path) -> set[str]:
    """Return the names that the schemas in a file have as plain texts, and no name of a check or a column."""
    import yaml

    try:
        if path.suffix == ".py":
            return set(_names_in_python(ast.parse(_text(path))))
        document = yaml.safe_load(_text(path))
    except (SyntaxError, ValueError, yaml.YAMLError):
        return set()
    name = document.get("name") if isinstance(document, dict) else None
    return {name} if isinstance(name, str) and name else set()


def _names_in_python(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        given: list[ast.expr | None] = []
        if isinstance(node, ast.ClassDef) and node.name == "Config":
            for each in node.body:
                targets = each.targets if isinstance(each, ast.Assign) else []
                targets = [each.target] if isinstance(each, ast.AnnAssign) else targets
                if any(isinstance(t, ast.Name) and t.id == "name" for t in targets):
                    given.append(getattr(each, "value", None))
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called == "DataFrameSchema":
                given += [k.value for k in node.keywords if k.arg == "name"]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def _shown(path: Path, names: set[str]) -> set[str]:
    """Return the file's own name if its text names a table in another way, such as by a schema under another name."""
    return {path.stem} if names_in(path) & names else set()


def _concerns(path: Path, targets: tuple[str, ...]) -> bool:
    return bool(names_in(path) & set(targets)) or path.stem in targets


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise ConfigError(
            f"{FOLDER}/{path.name} cannot be read: {error.strerror}.", cure="Check its permissions."
        ) from None


def load(path: Path) -> list[UserContract]:
    """Return the contracts in a file.

    Raises:
        ConfigError: it cannot be read; the text names the file and the line.
    """
    file = f"{FOLDER}/{path.name}"
    if path.stat().st_size > _MOST_BYTES:
        raise ConfigError(
            f"{file} is larger than {_MOST_BYTES:,} bytes.", cure="A contract is a short text."
        )
    if path.suffix == ".py":
        _refuse_writable(path, file)
        schemas = list(_in_python(path, file))
    else:
        schemas = [_in_yaml(path, file)]
    if not schemas:
        raise ConfigError(
            f"{file} has no contract.",
            cure="Write a DataFrameModel or a DataFrameSchema at the top level; `crm-pipeline contract init` "
            "shows one.",
        )
    targets = names_in(path)
    contracts = []
    for title, schema in schemas:
        target = schema.name if schema.name and schema.name != title else path.stem
        if target not in {*targets, path.stem}:
            raise ConfigError(
                f"{file}: the name '{target}' of {title} is not written as a plain text.",
                cure=f'Write `name = "{target}"`.',
            )
        contracts.append(UserContract(file, target, schema))
    return contracts


def _refuse_writable(path: Path, file: str) -> None:
    for each in (path, path.parent):
        if each.stat().st_mode & _OTHERS_MAY_WRITE:
            raise ConfigError(
                f"{file} can be changed by anybody on this machine, and it is a program that would be run.",
                cure=f"Run `chmod o-w {each}`.",
            )


def _in_python(path: Path, file: str) -> Iterator[tuple[str, "pandera.DataFrameSchema"]]:
    import pandera.pandas as pandera

    name = f"_crm_contract_{path.stem.replace('.', '_')}_{fingerprint(str(path))[:8]}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # annotations of models are looked up there
    try:
        exec(compile(_text(path), str(path), "exec"), module.__dict__)  # noqa: S102 - it is the user's own program
        for title, value in vars(module).copy().items():
            if title.startswith("_"):
                continue
            if isinstance(value, pandera.DataFrameSchema):
                yield title, value
            elif (
                isinstance(value, type)
                and issubclass(value, pandera.DataFrameModel)
                and value.__module__ == name
            ):
                model: Any = value
                schema = model.to_schema()
                # pandera keeps the metadata of a model's Config for itself.
                schema.metadata = getattr(model.Config, "metadata", None)
                yield title, schema
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code may raise anything
        raise _explained(error, path, file) from None
    finally:
        sys.modules.pop(name, None)


def _explained(error: BaseException, path: Path, file: str) -> ConfigError:
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f"{file}:{line}" if line else file
    text = error.msg if isinstance(error, SyntaxError) else f"{error}"
    return ConfigError(
        f"{where}: {type(error).__name__}: {text}",
        cure="Correct the contract; `crm-pipeline contract test` tries it.",
    )


def _in_yaml(path: Path, file: str) -> tuple[str, "pandera.DataFrameSchema"]:
    import yaml
    from pandera.io import pandas_io

    text = _text(path)
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else file
        problem = getattr(error, "problem", None) or "it is no YAML"
        raise ConfigError(f"{where}: {problem}.", cure="Correct the file.") from None
    if not isinstance(document, dict) or not isinstance(document.get("columns"), dict):
        raise ConfigError(
            f"{file}:1: a contract in YAML has the key 'columns'.",
            cure="pandera writes such files: `pandera.io.pandas_io.to_yaml(schema)`.",
        )
    try:
        schema: pandera.DataFrameSchema = pandas_io.deserialize_schema(document)
    except Exception as error:  # noqa: BLE001 - pandera raises what its parts raise
        line = _line_of_fault(document, text)
        raise ConfigError(
            f"{file}:{line}: {type(error).__name__}: {error}",
            cure="Types are written as str, int, float, bool, date or datetime64[us, UTC].",
        ) from None
    for name, column in document["columns"].items():
        # pandera reads no metadata of columns.
        if isinstance(column, dict) and isinstance(column.get("metadata"), dict):
            schema.columns[name].metadata = column["metadata"]
    return "", schema


def _line_of_fault(document: Mapping[str, Any], text: str) -> int:
    """Return the line of the column that pandera cannot read."""
    from pandera.io import pandas_io

    for name, column in document["columns"].items():
        try:
            pandas_io.deserialize_schema({**document, "columns": {name: column}, "checks": None})
        except Exception:  # noqa: BLE001 - that is what is looked for
            lines = text.splitlines()
            found = (n for n, line in enumerate(lines, 1) if line.strip().startswith(f"{name}:"))
            return next(found, 1)
    return 1
