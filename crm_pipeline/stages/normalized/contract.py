"""Judge a staged version before it is committed: every row, by the model's rules and by the user's contracts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.contracts.model_contract import model_rules
from crm_pipeline.contracts.rules import Policies, RowRule, RuleResult
from crm_pipeline.contracts.scan import EXAMPLES, Subject, failing_sql, judged
from crm_pipeline.contracts.user import UserRules, user_rules
from crm_pipeline.kernel.errors import ConfigError, ContractError
from crm_pipeline.model.contracts import LIVE, arrow_type
from crm_pipeline.model.names import literal, quoted, shown
from crm_pipeline.model.table import Table
from crm_pipeline.store.tables import Tables, TableVersion
from crm_pipeline.store.tables.engine import Engine

UNCONVERTED_SHARE = 0.2
"""If more than this share of a field's values (and `UNCONVERTED_ROWS`) do not fit, the field's type has changed.

Values of rows that changed since the version before count for themselves as well: a type that changed in a hundred
records must not drown in a million older ones.
"""
UNCONVERTED_ROWS = 20


@dataclass(frozen=True)
class Verdict:
    """The result of the contract for a staged version.

    Attributes:
        unconverted: number of values that did not fit their column, by `<object>.<field>`.
        misfits: the fields of which so many values do not fit that their type must be another one.
        aside: SQL for the rows to put into quarantine, with `_reason`; "" for none.
        rules: what SQL judged.
        is_by_rows: whether nothing but that was judged.
    """

    rows: int
    deleted: int
    results: tuple[RuleResult, ...]
    unconverted: Mapping[str, int]
    misfits: tuple[str, ...] = ()
    aside: str = ""
    rules: tuple[RowRule, ...] = ()
    is_by_rows: bool = True

    @property
    def errors(self) -> tuple[RuleResult, ...]:
        """The rules that forbid the commit."""
        return tuple(r for r in self.results if r.severity == "error" and r.failures)

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """The broken rules that do not forbid the commit."""
        return tuple(r for r in self.results if r.severity == "warning" and r.failures)


@dataclass(frozen=True)
class PreviousVersion:
    """The version before: what changed since, and whether the values of each field fitted their columns in it.

    A field whose values never fitted does not stop a build: a first load is not refused for a field with values
    of another type than the vendor states.

    Attributes:
        is_readable: whether its rows can be read.
    """

    version: TableVersion | None = None
    is_readable: bool = True

    def fitted(self, obj: str, name: str) -> bool:
        """Say whether the values of a field fitted their column."""
        if self.version is None or not self.version.rows:
            return False
        if f"{obj}.{name}" in self.version.meta.get("misfits", ()):
            return False
        fields = {obj["object"]: obj["fields"] for obj in self.version.meta.get("objects", ())}
        # The meta has no fields of objects whose rows are elements of records.
        return obj not in fields or any(field == name for field, *_ in fields[obj])

    @property
    def rows(self) -> str:
        """SQL for its rows; "" where there are none to compare with."""
        version = self.version
        if version is None or not (version.base and version.rows and self.is_readable):
            return ""
        return Tables.relation(version)


@dataclass(frozen=True)
class Asked:
    """What the user asks of a table.

    Attributes:
        folder: the user's contracts and policies.
        connection: the connection of the table.
        targets: the names by which they call the table.
        objects: the names by which they call the objects that feed it.
        may_set_aside: whether the rows are records, which can be put into quarantine as they landed.
    """

    folder: ContractFolder = field(default_factory=ContractFolder)
    connection: str = ""
    targets: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    may_set_aside: bool = True

    @cached_property
    def fingerprint(self) -> str:
        """A fingerprint of all that is asked of the table and its objects; "" for nothing."""
        return self.folder.fingerprint((*self.objects, *self.targets))

    @property
    def policies(self) -> Policies:
        """The user's policies for the table."""
        return self.folder.policies_of(self.targets)


_FIRST = PreviousVersion()
_NOTHING = Asked()


def verify(
    engine: Engine,
    table: Table,
    relation: str,
    columns: Mapping[tuple[str, str], str],
    *,
    previous: PreviousVersion = _FIRST,
    hints: Mapping[tuple[str, str], str] | None = None,
    asked: Asked = _NOTHING,
) -> Verdict:
    """Judge all rows of a version.

    Args:
        engine: runs the SQL.
        table: the table with its rules.
        relation: SQL for the rows.
        columns: the column that a source field, `(object, field)`, feeds.
        previous: the version before.
        hints: text to add to the rule of a field whose values do not fit.
        asked: what the user asks.

    Raises:
        ContractError: a contract of the user cannot be read.
    """
    changed = _changed(engine, relation, previous)
    subject = Subject(relation, table.key, f"({LIVE})", changed)
    rules, theirs = rules_for(engine, table, relation, asked)
    with _readable(table):
        by_pandera = theirs.judged_by_pandera(engine, subject)
    results = judged(engine, subject, rules)
    aside = _aside(subject, rules, results, theirs)
    live = f"(SELECT * FROM {relation} WHERE {LIVE})"
    lately = f"(SELECT * FROM {changed} WHERE {LIVE})" if changed else ""
    fitting = Fitting(table.key, live, live, lately, previous.rows)
    fits, misfits, unconverted = judged_fits(engine, fitting, columns, previous, hints or {})
    rows, deleted = engine.row(
        f"SELECT count(*), count(*) FILTER (WHERE is_deleted) FROM {relation}"
    )
    return Verdict(
        int(rows),
        int(deleted),
        (*results, *by_pandera, *fits),
        unconverted,
        misfits,
        aside,
        rules,
        not theirs.left,
    )


def rules_for(
    engine: Engine, table: Table, relation: str, asked: Asked
) -> tuple[tuple[RowRule, ...], UserRules]:
    """Return all rules of a table that SQL can judge, and the user's, for rows of a relation.

    Raises:
        ContractError: a contract of the user cannot be read.
    """
    types = {f.name: f.type for f in engine.arrow(f"SELECT * FROM {relation} LIMIT 0").schema}
    own = _never_aside(model_rules(table, types, asked.policies), asked)
    with _readable(table):
        theirs = user_rules(asked.folder, asked.targets, types, table.name)
    if not asked.may_set_aside:
        theirs = theirs.without_quarantine()
    return (*own, *theirs.rules), theirs


@contextmanager
def _readable(table: Table) -> Iterator[None]:
    """Say of a contract that cannot be read that the table keeps its version."""
    try:
        yield
    except ConfigError as error:
        raise ContractError(
            f"{error.message.rstrip('.')}. The table {table.name} keeps its current version.",
            failures=[("the contract can be read", 0, [])],
            cure=error.cure,
        ) from error


def refuse(name: str, verdict: Verdict) -> ContractError:
    """Return the error that says why a version is not committed."""
    broken = "; ".join(
        f"{r.rule}: {r.failures:,} rows"
        + (f", {r.changed:,} of {r.changed_rows:,} changed ones" if r.changed else "")
        + (f" (such as {', '.join(r.examples)})" if r.examples else "")
        for r in verdict.errors
    )
    return ContractError(
        f"{name} breaks its contract: {broken}. The table keeps its current version.",
        failures=[(r.rule, r.failures, list(r.examples)) for r in verdict.errors],
        cure=_cure(verdict.errors, f"`crm-pipeline refresh {name.partition('.')[0]}`"),
    )


def _cure(broken: Sequence[RuleResult], build: str) -> str:
    """Return what to do: about the records, about the contracts that say so, and about types that have changed."""
    own = ", ".join(dict.fromkeys(result.contract for result in broken if result.contract))
    if own and all(result.contract for result in broken):
        return f"Correct the records in the CRM, or change {own}; {build} builds the table again."
    also = f", or change {own}" if own else ""
    return (
        f"Correct the records in the CRM, or map the field elsewhere in connections.yaml{also}; {build} builds "
        "the table again. If the type of a field was changed, run a backfill: records read before have the old values."
    )


def _never_aside(rules: tuple[RowRule, ...], asked: Asked) -> tuple[RowRule, ...]:
    """Return rules of which none puts rows aside where rows are no records, or that judge several rows."""
    return tuple(
        replace(rule, policy="block")
        if rule.policy == "quarantine"
        and (rule.unique or rule.is_static or not asked.may_set_aside)
        else rule
        for rule in rules
    )


def _aside(
    subject: Subject, rules: Sequence[RowRule], results: Sequence[RuleResult], theirs: UserRules
) -> str:
    """Return SQL for the rows that go to quarantine."""
    chosen = [
        rule
        for rule, result in zip(rules, results, strict=True)
        if rule.policy == "quarantine" and result.failures
    ]
    parts = [failing_sql(subject, chosen)] if chosen else []
    if theirs.failing:
        reasons = (
            f"(SELECT key, string_agg(DISTINCT _reason, '; ' ORDER BY _reason) AS _reason "
            f"FROM {theirs.failing} GROUP BY key)"
        )
        parts.append(
            f"SELECT r._reason, t.* FROM {subject.relation} t JOIN {reasons} r "
            f"ON r.key = CAST(t.{quoted(subject.key)} AS VARCHAR)"
        )
    if not parts:
        return ""
    key = quoted(subject.key)
    return (
        f"SELECT string_agg(_reason, '; ' ORDER BY _reason) AS _reason, {key}, any_value(object) AS object, "
        f"any_value(source_id) AS source_id, any_value(batch_id) AS batch_id "
        f"FROM ({' UNION ALL BY NAME '.join(parts)}) GROUP BY {key}"
    )


def _changed(engine: Engine, relation: str, previous: PreviousVersion) -> str:
    """Return SQL for the rows that were read again since the version before; "" for all, or where that is not known."""
    if not previous.rows:
        return ""
    batches = engine.table(
        "batches since",
        f"SELECT DISTINCT batch_id FROM {relation} EXCEPT SELECT DISTINCT batch_id FROM {previous.rows}",
    )
    return f"(SELECT * FROM {relation} SEMI JOIN {batches} USING (batch_id))"


@dataclass(frozen=True)
class Fitting:
    """The rows of which it is judged whether values fit their columns; each is SQL.

    Attributes:
        key: the key column.
        live: all live rows.
        listed: live rows with `object`, `source_id` and `unconverted`, at least all with values that do not fit.
        changed: the live rows that were read again since the version before; "" where that is not known.
        before: rows of the version before, at least all of these records with values that did not fit.
    """

    key: str
    live: str
    listed: str
    changed: str
    before: str


def judged_fits(
    engine: Engine,
    rows_of: Fitting,
    columns: Mapping[tuple[str, str], str],
    previous: PreviousVersion,
    hints: Mapping[tuple[str, str], str],
) -> tuple[list[RuleResult], tuple[str, ...], dict[str, int]]:
    """Return the results for values that do not fit their column, the fields of another type, and all counts."""
    live, changed = rows_of.live, rows_of.changed
    unconverted = unfit(engine, rows_of.listed)
    lately: Mapping[tuple[str, str], int] = {}
    if unconverted and changed:
        lately = _lately_unfit(engine, changed, rows_of.key, rows_of.before)
    results, misfits = [], []
    for (obj, name), bad in unconverted.items():
        column = columns.get((obj, name))
        is_other = _is_other_type(engine, live, obj, column, bad)
        misfits.extend([f"{obj}.{name}"] if is_other else [])
        late = lately.get((obj, name), 0)
        is_other = is_other or _is_other_type(engine, changed, obj, column, late)
        rule = f"{obj}.{shown(name)} fits {column}{hints.get((obj, name), '')}"
        policy = "block" if is_other and previous.fitted(obj, name) else "warn"
        rows = changed if late else rows_of.listed
        results.append(
            RuleResult(
                rule,
                "error" if policy == "block" else "warning",
                bad,
                _misfits(engine, rows, obj, name),
                policy,
                late if changed else None,
                engine.row(f"SELECT count(*) FROM {changed}")[0] if late else 0,
            )
        )
    named = {f"{obj}.{name}": count for (obj, name), count in unconverted.items()}
    return results, tuple(misfits), named


def unfit(engine: Engine, relation: str) -> dict[tuple[str, str], int]:
    """Return the number of values that did not fit their column, by `(object, field)`."""
    return {
        (obj, name): int(count)
        for obj, name, count in engine.rows(
            "SELECT object, field, count(*) FROM (SELECT object, unnest(unconverted) AS field "
            f"FROM {relation} WHERE unconverted IS NOT NULL) GROUP BY ALL ORDER BY 1, 2"
        )
    }


def _lately_unfit(
    engine: Engine, changed: str, key: str, before: str
) -> dict[tuple[str, str], int]:
    """Return the same for changed rows, without values that did not fit in the version before either."""
    listed = (
        "SELECT {0}, object, unnest(unconverted) AS field FROM {1} WHERE unconverted IS NOT NULL"
    )
    rows = engine.rows(
        f"SELECT object, field, count(*) FROM ({listed.format(quoted(key), changed)}) "
        f"ANTI JOIN ({listed.format(quoted(key), before)}) USING ({quoted(key)}, object, field) "
        "GROUP BY ALL"
    )
    return {(obj, name): int(count) for obj, name, count in rows}


def _is_other_type(engine: Engine, relation: str, obj: str, column: str | None, bad: int) -> bool:
    """Say whether so many values of a field do not fit their column that it must be of another type."""
    if bad < UNCONVERTED_ROWS:
        return False
    good = (
        engine.row(
            f"SELECT count({quoted(column)}) FROM {relation} WHERE object = $object",
            {"object": obj},
        )[0]
        if column
        else 0
    )
    return bool(bad > UNCONVERTED_SHARE * (good + bad))


def _misfits(engine: Engine, relation: str, obj: str, name: str) -> tuple[str, ...]:
    rows = engine.rows(
        f"SELECT source_id FROM {relation} WHERE object = {literal(obj)} "
        f"AND list_contains(unconverted, {literal(name)}) LIMIT {EXAMPLES}"
    )
    return tuple(str(row[0]) for row in rows)


def column_schema(table: Table) -> Sequence[Mapping[str, Any]]:
    """Return the name, type and description of each of the table's columns."""
    return [
        {
            "name": c.name,
            "type": c.type,
            "arrow": str(arrow_type(c.type)),
            "description": c.description,
        }
        for c in table.columns
    ]
