"""Judge landed texts by what the vendor describes of their fields, before they are typed.

Only records that were read since the version before are judged; what is known of the others stands with earlier
versions. What breaks the description is noted in the version's metadata. A user's contract of an object, and a policy
`block`, stop the build.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa

from crm_pipeline.contracts.rules import Policies, RowRule, RuleResult
from crm_pipeline.contracts.scan import Subject, judged
from crm_pipeline.contracts.user import user_rules
from crm_pipeline.contracts.vendor_contract import vendor_rules
from crm_pipeline.kernel.errors import ConfigError, ContractError
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.stages.normalized.contract import Asked
from crm_pipeline.stages.normalized.feed import Feed
from crm_pipeline.stages.normalized.inputs import ObjectInput
from crm_pipeline.stages.normalized.reading import raw
from crm_pipeline.store.tables import TableVersion
from crm_pipeline.store.tables.engine import Engine, parquet_files

_LIVE = "(NOT _deleted AND _is_seen)"
_KEY = "_source_id"


@dataclass(frozen=True)
class Described:
    """How the texts of an object agree with its description.

    Attributes:
        rows: how many records were judged.
        rules: how many rules there are.
        broken: the results of those that are broken.
    """

    object: str
    rows: int
    rules: int
    broken: tuple[RuleResult, ...] = ()

    def to_meta(self) -> dict[str, Any]:
        """Return the stored form."""
        broken = [
            [r.rule, r.severity, r.failures, list(r.examples), r.policy, r.contract]
            for r in self.broken
        ]
        return {"object": self.object, "rows": self.rows, "rules": self.rules, "broken": broken}

    @classmethod
    def of_meta(cls, raw_form: Mapping[str, Any]) -> Self:
        """Return what `to_meta` stored."""
        broken = tuple(
            RuleResult(rule, severity, failures, tuple(examples), policy, contract=contract)
            for rule, severity, failures, examples, policy, contract in raw_form["broken"]
        )
        return cls(raw_form["object"], raw_form["rows"], raw_form["rules"], broken)


def described(
    engine: Engine, feed: Feed, records: str, parent: TableVersion | None, asked: Asked
) -> Described:
    """Judge the records of an object that were read since the version before.

    Args:
        engine: runs the SQL.
        feed: the object.
        records: the relation with its records as text, see `fold.folded`.
        parent: the version before.
        asked: what the user asks.

    Raises:
        ContractError: a rule that may block is broken, or a contract cannot be read.
    """
    name = f"{asked.connection}.{feed.landed.object}"
    policies = asked.folder.policies_of((name,))
    batches = _batches_since(engine, records, parent)
    texts, own = _vendor_rules(feed, policies)
    if batches == ():
        return Described(feed.landed.object, 0, len(own))
    where = "" if batches is None else f" WHERE _batch_id IN ({', '.join(map(literal, batches))})"
    relation = f"(SELECT * FROM {records}{where})"
    # Each text is made once under a short name: what the statement costs goes by its length.
    made = "".join(f", {_text(field)} AS {text}" for field, text in texts.items())
    subject = Subject(f"(SELECT {_KEY}{made} FROM {relation} WHERE {_LIVE})", _KEY)
    try:
        results = _judged(engine, subject, own)
        theirs = _by_user(engine, feed, relation, name, asked)
    except ConfigError as error:
        raise ContractError(
            f"{error.message.rstrip('.')}. The table {feed.table.name} keeps its current version.",
            failures=[("the contract can be read", 0, [])],
            cure=error.cure,
        ) from error
    rows, results = results[0].failures, [*results[1:], *theirs]
    broken = tuple(result for result in results if result.failures)
    _refuse(name, feed.table.name, broken)
    return Described(feed.landed.object, rows, len(results), broken)


def _judged(engine: Engine, subject: Subject, rules: Sequence[RowRule]) -> list[RuleResult]:
    """Return the number of live rows as the first result, and then those of the rules."""
    everybody = RowRule("is there", "", (), "true", "evolve")
    return judged(engine, subject, (everybody, *rules))


def _vendor_rules(feed: Feed, policies: Policies) -> tuple[Mapping[str, str], tuple[RowRule, ...]]:
    """Return names for the texts of fields, and the rules about them."""
    typed = {
        entry.source
        for entry in feed.mapped
        if (column := feed.table.by_name.get(entry.column)) and column.type != "VARCHAR"
    }
    fields = [
        field for field in feed.landed.latest_schema.fields if field.name in feed.landed.names
    ]
    texts = {field.name: f"t{number}" for number, field in enumerate(fields)}
    return texts, vendor_rules(fields, texts.__getitem__, policies, typed=typed)


def _text(field: str) -> str:
    return f"nullif({raw(field)}, '')"


def _batches_since(
    engine: Engine, records: str, parent: TableVersion | None
) -> tuple[str, ...] | None:
    """Return the batches of records that the version before does not have; None for all."""
    if parent is None or not parent.base:
        return None
    here = {batch for (batch,) in engine.rows(f"SELECT DISTINCT _batch_id FROM {records}")}
    before = engine.rows(f"SELECT DISTINCT batch_id FROM {parquet_files(parent.base)}")
    new = here - {batch for (batch,) in before}
    return None if new == here else tuple(sorted(new))


def _by_user(
    engine: Engine, feed: Feed, relation: str, name: str, asked: Asked
) -> list[RuleResult]:
    """Return the results of the user's contracts of the object; all of its columns are texts."""
    if name in asked.targets or not asked.folder.fingerprint((name,)):
        return []  # where both have one name, it is that of the table
    rows, types = text_relation(feed.landed, relation)
    theirs = user_rules(asked.folder, (name,), types, name).without_quarantine()
    subject = Subject(rows, "_judged_id")
    return [*judged(engine, subject, theirs.rules), *theirs.judged_by_pandera(engine, subject)]


def text_relation(landed: ObjectInput, records: str) -> tuple[str, dict[str, pa.DataType]]:
    """Return SQL for the texts of live records under the names of their fields, and their types.

    Of fields whose names differ in case only, the first one is there.
    """
    columns: dict[str, str] = {}
    for field in landed.fields:
        columns.setdefault(field.name.lower(), field.name)
    texts = ", ".join(f"{_text(name)} AS {quoted(name)}" for name in columns.values())
    rows = f"(SELECT {_KEY} AS _judged_id, {texts} FROM {records} WHERE {_LIVE})"
    return rows, dict.fromkeys(columns.values(), pa.string())


def _refuse(name: str, table: str, broken: Sequence[RuleResult]) -> None:
    errors = [result for result in broken if result.severity == "error"]
    if not errors:
        return
    listed = "; ".join(
        f"{r.rule}: {r.failures:,} records"
        + (f" (such as {', '.join(r.examples)})" if r.examples else "")
        for r in errors
    )
    raise ContractError(
        f"{name} breaks its contract: {listed}. The table {table} keeps its current version.",
        failures=[(r.rule, r.failures, list(r.examples)) for r in errors],
        cure="Correct the records in the CRM and read them again, or give the rule another policy.",
    )
