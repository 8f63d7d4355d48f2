"""Asset checks: the stage has judged already, before its commit; these only show its verdict.

They belong to the asset itself (`check_specs`), so a verdict is never about other data than the
materialisation beside it. What was refused shows as a failed check and a failed step, and the
version before stays current.
"""

from collections.abc import Iterable

import dagster as dg

from crm_pipeline.kernel.errors import ContractError, CountMismatch
from crm_pipeline.stages.normalized import Normalized
from crm_pipeline.stages.raw import Extraction

COUNT = "source_count"
FIELDS = "fields"
CONTRACT = "contract"


def raw_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a raw asset."""
    return [
        dg.AssetCheckSpec(
            COUNT,
            asset=key,
            description="The vendor's count of the window equals what was read: landed, already "
            "landed and quarantined. A window that differs is not committed.",
        ),
        dg.AssetCheckSpec(
            FIELDS,
            asset=key,
            description="The object has the fields that it had at the read before. New fields are "
            "kept by themselves; a mapped field that is gone stops the normalized table.",
        ),
    ]


def raw_results(done: Extraction) -> list[dg.AssetCheckResult]:
    """Show how the counts compare and which fields came or went."""
    counts = {
        "source_count": done.vendor_count if done.vendor_count is not None else "not offered",
        "read": done.read,
        "landed": done.records,
        "already_landed": done.known,
        "not_in_source_count": done.uncounted,
        "quarantined": done.quarantined,
    }
    return [
        dg.AssetCheckResult(check_name=COUNT, passed=done.reconciled is not False, metadata=counts),
        dg.AssetCheckResult(
            check_name=FIELDS,
            passed=not done.schema_changes,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(done.schema_changes) or "No field came, went or changed.",
            metadata={"fields": len(done.schema.fields)},
        ),
    ]


def count_refused(error: CountMismatch) -> dg.AssetCheckResult:
    """Show that a window was not committed because the counts differ."""
    return dg.AssetCheckResult(check_name=COUNT, passed=False, description=str(error))


def normalized_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Declare the check of a normalized asset."""
    return [
        dg.AssetCheckSpec(
            CONTRACT,
            asset=key,
            description="Every rule of the table's contract, judged on the staged version before "
            "its commit. A broken rule of severity error keeps the current version.",
        )
    ]


def normalized_results(done: Normalized) -> list[dg.AssetCheckResult]:
    """Show how the current version fared; broken rules of severity warning are listed."""
    broken = done.warnings
    lines = [(r.rule, r.severity, r.failures, list(r.examples)) for r in broken]
    return [
        dg.AssetCheckResult(
            check_name=CONTRACT,
            passed=not broken,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{len(done.results) - len(broken)} of {len(done.results)} rules hold.",
            metadata={
                "rules": len(done.results),
                "rows_breaking_rules": sum(r.failures for r in broken),
                **({"broken": _table(lines)} if lines else {}),
            },
        )
    ]


def contract_refused(error: ContractError) -> dg.AssetCheckResult:
    """Show why a version was not committed: rules, counts and keys, never values."""
    lines = [(rule, "error", rows, keys) for rule, rows, keys in error.failures]
    return dg.AssetCheckResult(
        check_name=CONTRACT,
        passed=False,
        description=error.message,
        metadata={"broken": _table(lines), "cure": error.cure},
    )


def _table(lines: Iterable[tuple[str, str, int, list[str]]]) -> dg.MetadataValue:
    head = "| rule | severity | rows | such as |\n| --- | --- | --- | --- |"
    body = [
        f"| {rule} | {severity} | {rows:,} | {', '.join(keys)} |"
        for rule, severity, rows, keys in lines
    ]
    return dg.MetadataValue.md("\n".join([head, *body]).replace("\\|", "|"))
