"""Compile a pandera schema: what SQL judges like pandera becomes rules, the rest is left to pandera itself.

A column with parsers, `coerce` or `default` is left to pandera as a whole. Columns and types are compared with the
table's at once. `unique` is always compiled: within one record batch it would be wrong.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.contracts.conditions import broken_by
from crm_pipeline.contracts.pairs import is_implied, is_not_before
from crm_pipeline.contracts.rules import (
    POLICIES,
    Keep,
    Policies,
    Policy,
    RowRule,
    named_apart,
)
from crm_pipeline.contracts.types import is_of_type
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.names import quoted

if TYPE_CHECKING:
    import pandera.pandas as pandera


@dataclass(frozen=True)
class Left:
    """A check that pandera runs.

    Attributes:
        rule: its name and policy; `broken` is not used.
        check: the check; None for a column that pandera judges as a whole.
        column: the column's schema; None for a check of the frame.
        reads: the columns that it needs; () for all.
        is_whole: whether it needs the columns whole, not in record batches.
    """

    rule: RowRule
    check: "pandera.Check | None"
    column: "pandera.Column | None" = None
    reads: tuple[str, ...] = ()
    is_whole: bool = False


@dataclass(frozen=True)
class Compiled:
    """A contract, ready for one table.

    Attributes:
        rules: what SQL judges.
        left: what pandera judges.
    """

    rules: tuple[RowRule, ...] = ()
    left: tuple[Left, ...] = ()


@dataclass(frozen=True)
class _Compiler:
    schema: "pandera.DataFrameSchema"
    types: Mapping[str, pa.DataType]
    policies: Policies
    contract: str
    table: str
    left: list[Left] = field(default_factory=list)

    def rules(self) -> Iterator[RowRule]:
        schema = self.schema
        self._refuse_what_tables_have_not()
        yield from self._of_columns()
        for name, column in self._present():
            yield from self._of_column(name, column)
        if schema.unique:
            columns = tuple(schema.unique)
            self._need(columns, "unique")
            text = f"{', '.join(columns)} are not unique together"
            yield self._rule(
                text,
                "unique",
                columns,
                "false",
                unique=columns,
                keep=schema.report_duplicates,
            )
        for check in schema.checks:
            yield from self._of_frame(check)

    def _refuse_what_tables_have_not(self) -> None:
        schema = self.schema
        if schema.index is not None:
            self._refuse(
                "has an index; tables here have none", "Write its columns under `columns`."
            )
        if schema.drop_invalid_rows:
            self._refuse(
                "says drop_invalid_rows",
                'Write metadata={"policy": "quarantine"}: failing rows go aside and are counted.',
            )
        if schema.parsers or schema.add_missing_columns or schema.dtype is not None:
            self._refuse(
                "changes rows (parsers, add_missing_columns) or has one type for all columns",
                "A contract judges rows and changes none; give each column its checks.",
            )

    def _of_columns(self) -> Iterator[RowRule]:
        """Yield the rules about which columns there are."""
        schema = self.schema
        expanded = {name for name, _ in self._present()}
        for name, column in schema.columns.items():
            if column.regex:
                is_there = any(name_ in self.types for name_ in self._named(column))
            else:
                is_there = name in self.types
            if column.required and not is_there:
                yield self._static(f"column {name} is missing", "column", name)
        if schema.strict:
            for name in self.types:
                if name not in expanded:
                    yield self._static(f"column {name} is not in the contract", "strict", name)
        listed = [name for name in schema.columns if name in self.types]
        if schema.ordered and listed != [name for name in self.types if name in set(listed)]:
            yield self._static("columns are in another order", "ordered", "")

    def _named(self, column: "pandera.Column") -> list[str]:
        import re

        return [name for name in self.types if re.match(str(column.name), name)]

    def _present(self) -> Iterator[tuple[str, "pandera.Column"]]:
        for name, column in self.schema.columns.items():
            names = self._named(column) if column.regex else [name]
            yield from ((each, column) for each in names if each in self.types)

    def _of_column(self, name: str, column: "pandera.Column") -> Iterator[RowRule]:
        own = quoted(name)
        if column.unique:
            yield self._rule(
                f"{name} is not unique",
                "unique",
                (name,),
                "false",
                column,
                unique=(name,),
                keep=column.report_duplicates,
            )
        if column.parsers or column.coerce or self.schema.coerce or column.default is not None:
            rule = self._rule(f"{name}: {self._what(column)}", "coerce", (name,), "", column)
            self.left.append(Left(rule, None, column, (name,)))
            return
        is_typed = column.dtype is None or is_of_type(column.dtype, self.types[name])
        text = f"{name} is {self.types[name]} and not {str(column.dtype).removesuffix(_ARROW)}"
        if not is_typed:
            yield self._static(text, "dtype", name, column)
        if not column.nullable:
            yield self._rule(f"{name} is empty", "nullable", (name,), f"({own} IS NULL)", column)
        for check in column.checks:
            broken = None
            if is_known(check):
                self._check_pattern(check)
                broken = broken_by(
                    function_of(check).__name__, facts_of(check), own, self.types[name]
                )
            rule = self._checked(check, (name,), broken or "", column)
            if broken is not None:
                yield rule
            else:
                self.left.append(self._left(rule, check, column, (name,)))

    def _check_pattern(self, check: "pandera.Check") -> None:
        pattern = facts_of(check).get("pattern")
        text = getattr(pattern, "pattern", pattern)
        if isinstance(text, str):
            try:
                pc.match_substring_regex(pa.array([""]), text)
            except pa.ArrowInvalid as error:
                self._refuse(
                    f"has a pattern that RE2 does not know ({error})",
                    "RE2 has no look-ahead, look-behind and back-references; write it without.",
                )

    def _what(self, column: "pandera.Column") -> str:
        return (
            f"does not become {column.dtype}, or breaks a check"
            if column.dtype
            else "breaks a check"
        )

    def _of_frame(self, check: "pandera.Check") -> Iterator[RowRule]:
        pair = _PAIRS.get(function_of(check))
        if pair is not None:
            columns = (facts_of(check)["column"], facts_of(check)["other"])
            self._need(columns, check.name)
            if self._are_comparable(columns, check):
                broken = pair.format(*map(quoted, columns))
                yield self._checked(check, columns, broken, None)
                return
        rule = self._checked(check, (), "", None)
        self.left.append(self._left(rule, check, None, ()))

    def _are_comparable(self, columns: Sequence[str], check: "pandera.Check") -> bool:
        kinds = [self.types[name] for name in columns]
        if function_of(check) is is_implied:
            return all(map(pa.types.is_boolean, kinds))
        return kinds[0] == kinds[1] and not pa.types.is_floating(kinds[0])

    def _left(
        self,
        rule: RowRule,
        check: "pandera.Check",
        column: "pandera.Column | None",
        reads: tuple[str, ...],
    ) -> Left:
        """Return a check for pandera.

        Raises:
            ConfigError: it judges more than single rows, and its columns were not declared.
        """
        import pandera.pandas as pandera

        whole = (self.schema.metadata or {}).get("whole", {})
        if check.name in whole:
            columns = (*reads, *(name for name in whole[check.name] if name not in reads))
            self._need(columns, check.name)
            return Left(rule, check, column, columns, is_whole=True)
        if isinstance(check, pandera.Hypothesis) or check.groupby is not None:
            self.refuse_whole(check.name)
        return Left(rule, check, column, reads)

    def refuse_whole(self, name: str) -> None:
        raise needs_whole(self.contract, name)

    def _need(self, columns: Iterable[str], check: str) -> None:
        missing = [name for name in columns if name not in self.types]
        if missing:
            self._refuse(
                f"checks {', '.join(missing)} by {check}, and {self.table} has no such column",
                f"Its columns: {', '.join(self.types)}.",
            )

    def _refuse(self, text: str, cure: str) -> None:
        raise ConfigError(f"{self.contract or 'the contract'} {text}.", cure=cure)

    def _static(
        self, text: str, check: str, name: str, column: "pandera.Column | None" = None
    ) -> RowRule:
        return self._rule(text, check, (name,), "true", column, is_static=True)

    def _checked(
        self,
        check: "pandera.Check",
        columns: tuple[str, ...],
        broken: str,
        column: "pandera.Column | None",
    ) -> RowRule:
        text = str(check.error or check.name)
        name = text if not columns or text.startswith(columns[0]) else f"{columns[0]}: {text}"
        return self._rule(name, check.name, columns, broken, column, is_warning=check.raise_warning)

    def _rule(
        self,
        name: str,
        check: str,
        columns: tuple[str, ...],
        broken: str,
        column: "pandera.Column | None" = None,
        *,
        unique: tuple[str, ...] = (),
        keep: Keep = "all",
        is_static: bool = False,
        is_warning: bool = False,
    ) -> RowRule:
        said = (column.metadata if column is not None else None) or {}
        rule = RowRule(
            name,
            check,
            columns,
            broken,
            self._policy(check, columns, said, is_warning=is_warning),
            unique,
            keep,
            all_rows=said.get("rows") == "all",
            is_static=is_static,
            contract=self.contract,
        )
        applied = self.policies.applied(rule)
        if applied.policy == "quarantine" and (unique or is_static):
            self._refuse(
                f"wants to quarantine rows where {name}, which no single row is to blame for",
                "Choose block, warn or evolve for it.",
            )
        return applied

    def _policy(
        self, check: str, columns: tuple[str, ...], said: Mapping[str, Any], *, is_warning: bool
    ) -> Policy:
        of_table = self.schema.metadata or {}
        listed = of_table.get("policies", {})
        names = [name for column in columns for name in (f"{column}.{check}", column)]
        own = said.get("policy")
        chosen = own.get(check) if isinstance(own, Mapping) else own
        candidates = (
            "warn" if is_warning else None,
            chosen,
            *(listed.get(name) for name in (*names, check)),
            of_table.get("policy"),
            "block",
        )
        policy = next(candidate for candidate in candidates if candidate is not None)
        if policy not in POLICIES:
            self._refuse(f"has the policy '{policy}'", f"Write one of {', '.join(POLICIES)}.")
        result: Policy = policy
        return result


_ARROW = "[pyarrow]"
_PAIRS = {is_not_before: "({0} < {1})", is_implied: "({0} AND NOT {1})"}


def function_of(check: "pandera.Check") -> Any:
    """Return the function of a check; a name of its own hides it everywhere else."""
    return check._check_fn  # noqa: SLF001 - pandera's own backends read it


def facts_of(check: "pandera.Check") -> Mapping[str, Any]:
    """Return the arguments of a check as its function gets them; `statistics` may differ."""
    facts: Mapping[str, Any] = check._check_kwargs  # noqa: SLF001 - pandera's own backends read it
    return facts


def is_known(check: "pandera.Check") -> bool:
    """Say whether a check is one of pandera's own, used in the usual way."""
    import pandera.pandas as pandera

    name = getattr(function_of(check), "__name__", "")
    is_plain = check.ignore_na and not check.element_wise and check.groupby is None
    return bool(is_plain and pandera.Check.is_builtin_check(name))


def needs_whole(contract: str, check: str) -> ConfigError:
    """Return the error about a check that judges more than single rows."""
    return ConfigError(
        f"{contract or 'the contract'}: the check '{check}' judges all rows together, and rows are read in batches.",
        cure="If its columns fit into memory, declare them in the schema's metadata: "
        f'{{"whole": {{"{check}": ["amount"]}}}}; else write a check of single rows.',
    )


def compiled(
    schema: "pandera.DataFrameSchema",
    types: Mapping[str, pa.DataType],
    *,
    policies: Policies | None = None,
    contract: str = "",
    table: str = "the table",
) -> Compiled:
    """Compile a schema for a table.

    Args:
        schema: the contract.
        types: the types of the table's columns, in their order.
        policies: the user's, from connections.yaml.
        contract: the file that the contract is from, "" for ours.
        table: the table's name, for texts.

    Raises:
        ConfigError: the schema asks for something that cannot be judged, or changes rows.
    """
    compiler = _Compiler(schema, types, policies or Policies(), contract, table)
    rules = named_apart(compiler.rules())
    return Compiled(rules, tuple(compiler.left))
