"""The checks of published tables: rules between tables, and how fresh the accounts are whose rows they have."""

from collections.abc import Iterable, Sequence

import dagster as dg

from crm_pipeline.contracts import RuleResult
from crm_pipeline.orchestration.checks import FRESHNESS, rules_words
from crm_pipeline.orchestration.failing_cases import failing_cases
from crm_pipeline.orchestration.markdown import kept
from crm_pipeline.stages.published import NOTE, Finding, freshness_words, is_fresh
from crm_pipeline.store.landing.freshness import Freshness, complete_up_to

CONSISTENCY = "consistency"
_MOST_NAMED = 5
_DIFFERED = (
    "The full build of the night had other rows than the incremental publishes before it. The full one is published; "
    "please report it. "
)


def consistency_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check of the rules between tables."""
    return dg.AssetCheckSpec(
        CONSISTENCY,
        asset=key,
        description="What live rows say agrees with other tables: a deal with its history and its stage, keys "
        "with the records that they name; and no column is empty that every CRM fills. Rules that are broken are "
        "listed, and the check passes: the tables are as the CRMs have them. It fails if the full build of the night has "
        "other rows than the incremental publishes before it.",
    )


def freshness_spec(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check of the accounts behind a table."""
    return dg.AssetCheckSpec(
        FRESHNESS,
        asset=key,
        description="The CRM was asked about every object that feeds the table, on time; and no account's rows are older because "
        "a contract refused newer ones or they could not be built. An account without changes is fresh: the last time it was asked "
        "counts, not its last change.",
    )


def consistency(
    key: dg.AssetKey, table: str, findings: Iterable[Finding], *, has_differed: bool = False
) -> dg.AssetCheckResult:
    """Show the result of the rules between tables for one table, in the published file.

    Args:
        key: the table's asset.
        table: its name in schema `crm`.
        findings: of all tables.
        has_differed: whether the nightly full build gave other rows than the incremental publishes before it.
    """
    checked = [
        finding for finding in findings if finding.table == table and finding.severity != NOTE
    ]
    broken = [finding for finding in checked if finding.failures]
    lines = [
        RuleResult(
            f"{finding.connection}: {finding.rule}",
            finding.severity,
            finding.failures,
            tuple(finding.examples),
            "warn",
        )
        for finding in broken
    ]
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CONSISTENCY,
        passed=not has_differed,
        description=(_DIFFERED if has_differed else "") + rules_words(len(checked), lines),
        metadata={
            "rules": len(checked),
            "rules_warning": len(lines),
            **({"broken": failing_cases(lines)} if lines else {}),
        },
    )


def freshness(key: dg.AssetKey, table: str, rows: Sequence[Freshness]) -> dg.AssetCheckResult:
    """Show how fresh the accounts are whose rows a table has; `rows` are those of all objects."""
    feeding = [row for row in rows if table in row.tables and row.state != "unread"]
    stale = [row for row in feeding if not is_fresh(row)]
    held = [row for row in feeding if row.held_back_since is not None and is_fresh(row)]
    lines = [f"{_name(row)}: {freshness_words(row)}" for row in stale]
    lines += [
        f"{_name(row)}: a table that it feeds is held back since {row.held_back_since:%Y-%m-%d %H:%M} UTC."
        for row in held
    ]
    oldest = complete_up_to(feeding)
    fine = (
        "Nothing has been read for it yet."
        if oldest is None
        else f"Complete up to {oldest:%Y-%m-%d %H:%M} UTC."
    )
    more = f" And {len(lines) - _MOST_NAMED} more." if len(lines) > _MOST_NAMED else ""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=FRESHNESS,
        passed=not lines,
        severity=dg.AssetCheckSeverity.WARN,
        description=kept(f"{' '.join(lines[:_MOST_NAMED])}{more}" if lines else fine),
        metadata={
            "objects": len(feeding),
            "objects_stale": len(stale),
            "objects_held_back": len(held),
        },
    )


def _name(fresh: Freshness) -> str:
    return f"{fresh.connection}/{fresh.object}"
