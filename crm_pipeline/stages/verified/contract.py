"""Judge the new rows of the verified tables before they are committed, by our rules and by the user's contracts."""

from collections.abc import Mapping

from crm_pipeline.contracts import RowRule, RuleResult, Subject, judged
from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.contracts.user import user_rules
from crm_pipeline.kernel.errors import ConfigError, ContractError
from crm_pipeline.model.names import quoted
from crm_pipeline.model.stages import VERIFIED
from crm_pipeline.model.verified_tables import CONTACT_POINTS, StageTable
from crm_pipeline.store.tables.engine import Engine

_POINT = ("record_key", "kind", "position")


def targets_of(table: StageTable) -> tuple[str, ...]:
    """Return the names of a verified table in contracts."""
    return (f"crm.{table.name}", table.name)


def fingerprint_of(contracts: ContractFolder) -> str:
    """Return a fingerprint of all that the user asks of verified tables; "" for nothing."""
    names = tuple(name for table in VERIFIED.tables for name in targets_of(table))
    return contracts.fingerprint(names)


def check(
    engine: Engine,
    new: Mapping[str, str],
    whole: Mapping[str, str],
    contracts: ContractFolder,
) -> dict[str, list[RuleResult]]:
    """Return the results of all rules by table.

    Args:
        engine: runs the SQL.
        new: the relations with the new rows of each table.
        whole: the relations with all rows of each table, kept ones included.
        contracts: the user's.

    Raises:
        ContractError: a rule of policy `block` is broken, or a contract cannot be read.
    """
    results = {
        table.name: _judged(engine, table, new[table.name], whole[table.name], contracts)
        for table in VERIFIED.tables
    }
    errors = [
        (name, result)
        for name, of_table in results.items()
        for result in of_table
        if result.severity == "error" and result.failures
    ]
    if errors:
        listed = "; ".join(f"{result.rule}: {result.failures:,} rows" for _, result in errors)
        ours = all(not result.contract for _, result in errors)
        raise ContractError(
            f"{errors[0][0]} breaks its contract: {listed}. The tables keep their current versions.",
            failures=[(r.rule, r.failures, list(r.examples)) for _, r in errors],
            cure="This is an error of the pipeline, not of the records: report it with these texts."
            if ours
            else "Correct the records in the CRM, or the contract, or give it the policy warn.",
        )
    return results


def _judged(
    engine: Engine, table: StageTable, new: str, whole: str, contracts: ContractFolder
) -> list[RuleResult]:
    is_points = table == CONTACT_POINTS
    # The keys of verdicts are addresses and numbers, which no message may quote.
    key = "record_key" if is_points else ""
    own = [
        RowRule(f"{name} is empty", "nullable", (name,), f"({quoted(name)} IS NULL)")
        for name in (*table.key, "verdict")
    ]
    unique = _POINT if is_points else (*table.key, "position")
    what = "point is not unique" if is_points else "value is not unique"
    own.append(RowRule(what, "unique", unique, "false", unique=unique))
    targets = targets_of(table)
    types = {f.name: f.type for f in engine.arrow(f"SELECT * FROM {new} LIMIT 0").schema}
    try:
        theirs = user_rules(contracts, targets, types, table.name).without_quarantine()
        rules = [rule for rule in theirs.rules if not rule.unique]
        alike = [rule for rule in theirs.rules if rule.unique]
        return [
            *judged(engine, Subject(new, key), [*own, *rules]),
            *judged(engine, Subject(whole, key), alike),
            *theirs.judged_by_pandera(engine, Subject(new, key)),
        ]
    except ConfigError as error:
        raise ContractError(
            f"{error.message.rstrip('.')}. The tables keep their current versions.",
            failures=[("the contract can be read", 0, [])],
            cure=error.cure,
        ) from error
