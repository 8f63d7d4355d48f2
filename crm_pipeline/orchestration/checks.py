"""Asset checks: they show the verdict that a stage reached before its commit.

They belong to the asset itself (`check_specs`), so a verdict is about the same data as the materialisation
beside it. Refused data show as a failed check and a failed step, and the previous version stays current.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import dagster as dg

from crm_pipeline.contracts import RuleResult
from crm_pipeline.kernel.clock import format_instant
from crm_pipeline.kernel.errors import ContractError, CountMismatch
from crm_pipeline.model.schema_changes import FieldChange
from crm_pipeline.orchestration.failing_cases import failing_cases
from crm_pipeline.orchestration.markdown import kept
from crm_pipeline.stages.normalized import Normalized
from crm_pipeline.stages.published import freshness_words, is_fresh
from crm_pipeline.stages.raw import (
    Extraction,
    outstanding_cure,
    outstanding_text,
    shrink_cure,
    shrink_text,
)
from crm_pipeline.store.audits import ObjectAudits
from crm_pipeline.store.drift import Change
from crm_pipeline.store.drift.texts import CHANGES_CURE, changes_text
from crm_pipeline.store.landing.freshness import Freshness
from crm_pipeline.store.landing.outstanding import Outstanding

COUNT = "source_count"
FIELDS = "fields"
ABSENCE = "absence"
FRESHNESS = "freshness"
QUARANTINE = "quarantine"
AUDIT = "audit"
CONTRACT = "contract"
MAPPING = "mapping"
_MOST_NAMED = 5
"""More rules than these are counted in a text, and listed in the table beside it."""


def raw_specs(key: dg.AssetKey, *, is_audited: bool = True) -> list[dg.AssetCheckSpec]:
    """Declare the checks of a raw asset."""
    audited = dg.AssetCheckSpec(
        AUDIT,
        asset=key,
        description="The records here are those of the CRM, by the last audit of each month. Judged by the audit; "
        "other runs show its last verdict.",
    )
    return [
        *([audited] if is_audited else []),
        dg.AssetCheckSpec(
            COUNT,
            asset=key,
            description="The vendor's count of the window equals what was read: landed, already "
            "landed and quarantined. A window that differs is not committed.",
        ),
        dg.AssetCheckSpec(
            FIELDS,
            asset=key,
            description="No change of the object's fields waits for a decision. New fields and choices are taken over; "
            "a mapped field that is gone stops the normalized table. `crm-pipeline drift` lists all changes.",
        ),
        dg.AssetCheckSpec(
            ABSENCE,
            asset=key,
            description="A read of the whole object has about as many records as the one before. If far more are missing, they "
            "stay live until the vendor, a second read or a person confirms that they are deleted.",
        ),
        dg.AssetCheckSpec(
            QUARANTINE,
            asset=key,
            description="Every record that the vendor sent could be used. One that could not is kept in quarantine, as it was "
            "sent, and is missing from the tables until a later read brings it.",
        ),
        dg.AssetCheckSpec(
            FRESHNESS,
            asset=key,
            description="The object can be read, and the CRM was asked about it on time. Judged by each run, and by the sensor "
            "`freshness` for objects that no run reads any more.",
        ),
    ]


def raw_results(done: Extraction) -> list[dg.AssetCheckResult]:
    """Show how the counts compare, and whether the absent records are believed to be deleted."""
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
        _absence(done),
    ]


def fields_result(
    open_changes: Sequence[Change], noticed: Sequence[FieldChange]
) -> dg.AssetCheckResult:
    """Show the changed fields of an object that wait for a decision, and what this run noticed."""
    if not open_changes:
        text = "; ".join(map(str, noticed)) or "No field came, went or changed."
        return dg.AssetCheckResult(check_name=FIELDS, passed=True, description=kept(text))
    return dg.AssetCheckResult(
        check_name=FIELDS,
        passed=False,
        severity=_severity(open_changes),
        description=kept(f"{changes_text(open_changes)}. {CHANGES_CURE}"),
        metadata={"open_changes": len(open_changes), "changes": changes_table(open_changes)},
    )


def _severity(changes: Sequence[Change]) -> dg.AssetCheckSeverity:
    is_error = any(change.is_blocking for change in changes)
    return dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN


def changes_table(changes: Sequence[Change]) -> dg.MetadataValue:
    """Return changes as a table for Dagster: facts of the description, never values of records."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "number": change.number,
                    "field": change.field,
                    "kind": change.kind,
                    "change": change.text,
                    "since": _second(change.seen_at),
                    "policy": change.policy,
                }
            )
            for change in changes
        ]
    )


def _absence(done: Extraction) -> dg.AssetCheckResult:
    shrink = done.shrink
    if shrink is None:
        return dg.AssetCheckResult(check_name=ABSENCE, passed=True)
    cure = shrink_cure(done.connection, done.object)
    return dg.AssetCheckResult(
        check_name=ABSENCE,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=kept(f"{shrink_text(shrink)}. {cure}"),
        metadata={"records_before": shrink.before, "records_missing": shrink.rows},
    )


def quarantine_result(connection: str, obj: str, missing: Outstanding) -> dg.AssetCheckResult:
    """Show how many records are missing because they could not be read, in this run or before."""
    if not missing.records:
        return dg.AssetCheckResult(check_name=QUARANTINE, passed=True)
    return dg.AssetCheckResult(
        check_name=QUARANTINE,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=kept(f"{outstanding_text(missing)}. {outstanding_cure(connection, obj)}"),
        metadata={"records_missing": missing.records},
    )


def count_refused(error: CountMismatch) -> dg.AssetCheckResult:
    """Show that a window was not committed because the counts differ."""
    return dg.AssetCheckResult(check_name=COUNT, passed=False, description=kept(str(error)))


def fields_refused(error: ContractError) -> dg.AssetCheckResult:
    """Show that nothing was read because too many fields are gone."""
    return dg.AssetCheckResult(check_name=FIELDS, passed=False, description=kept(str(error)))


def audit_result(results: ObjectAudits) -> dg.AssetCheckResult:
    """Show the verdicts of the last audits of an object, in a run that made none."""
    return dg.AssetCheckResult(
        check_name=AUDIT,
        passed=not results.open,
        description=kept(audit_words(results)),
        metadata=_audit(results),
    )


def audit_evaluation(key: dg.AssetKey, results: ObjectAudits) -> dg.AssetCheckEvaluation:
    """Show the verdicts of an audit that has just been made."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=AUDIT,
        passed=not results.open,
        description=kept(audit_words(results)),
        metadata=_audit(results),
    )


def audit_words(results: ObjectAudits) -> str:
    """Say what the last audits of an object have found."""
    if not results.months:
        return "It has not been audited yet."
    if results.open:
        texts = [f"{each.month or 'in all'}: {each.verdict}" for each in results.open]
        return f"It differs from the CRM. {'; '.join(texts[:_MOST_NAMED])}"
    times = sorted(each.audited_at for each in results.months.values())
    healed = [each for each in results.months.values() if each.state == "healed"]
    also = f" In {len(healed)} of them something differed and was healed." if healed else ""
    return f"{len(times)} comparisons, of {_second(times[0])} to {_second(times[-1])}, found nothing that is wrong now.{also}"


def _audit(results: ObjectAudits) -> dict[str, Any]:
    whole = results.months.get("")
    numbers = {"comparisons": len(results.months), "differing": len(results.open)}
    if whole is None:
        return numbers
    return numbers | {
        "in_crm": whole.in_crm if whole.in_crm is not None else "not counted",
        "with_us": whole.with_us,
        "audited_at": dg.MetadataValue.timestamp(whole.audited_at),
    }


def freshness_result(fresh: Freshness) -> dg.AssetCheckResult:
    """Show how fresh an object is, in the run that tried to read it."""
    return dg.AssetCheckResult(
        check_name=FRESHNESS,
        passed=is_fresh(fresh),
        description=kept(freshness_words(fresh)),
        metadata=_freshness(fresh),
    )


def freshness_evaluation(key: dg.AssetKey, fresh: Freshness) -> dg.AssetCheckEvaluation:
    """Show how fresh an object is, outside of runs."""
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=FRESHNESS,
        passed=is_fresh(fresh),
        description=kept(freshness_words(fresh)),
        metadata=_freshness(fresh),
    )


def _freshness(fresh: Freshness) -> dict[str, dg.MetadataValue]:
    instants = {
        "current_up_to": fresh.current_at,
        "read_up_to": fresh.read_to,
        "history_read_from": fresh.history_from,
        "last_look": fresh.looked_at,
        "last_good_look": fresh.good_at,
        "failing_since": fresh.failing_since,
        "next_try": fresh.next_try_at,
    }
    return {name: dg.MetadataValue.timestamp(at) for name, at in instants.items() if at is not None}


def _second(at: datetime) -> str:
    return format_instant(at.replace(microsecond=0))


def normalized_specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Declare the check of a normalized asset."""
    return [
        dg.AssetCheckSpec(
            CONTRACT,
            asset=key,
            description="Every rule of the table's contract and of the contracts in contracts/, judged on all rows of "
            "the staged version before its commit. It fails where a rule of policy `block` is broken: then the "
            "current version stays. Rules that only warn are listed, and the check passes.",
        ),
        dg.AssetCheckSpec(
            ABSENCE,
            asset=key,
            description="No read emptied the lists of many records at once, such as their links or line items. Where one did, the "
            "rows made of those lists stay until a later read has lists again, or a person accepts that they are empty.",
        ),
        dg.AssetCheckSpec(
            MAPPING,
            asset=key,
            description="Values of new records fit their columns about as often as those of the others. Text that does "
            "not fit stays in `custom`.",
        ),
    ]


def normalized_results(done: Normalized) -> list[dg.AssetCheckResult]:
    """Show the contract's result for the current version; broken rules of severity warning are listed.

    They are no failure: the version was committed, and Dagster calls each check that does not pass *Failed*,
    whatever its severity. Their numbers are plotted.
    """
    broken = done.warnings
    notes = [r for r in done.results if r.severity == "note" and r.failures]
    described = [
        replace(r, rule=f"{each.object}: {r.rule}") for each in done.described for r in each.broken
    ]
    return [
        dg.AssetCheckResult(
            check_name=CONTRACT,
            passed=True,
            description=rules_words(len(done.results), broken),
            metadata={
                "rules": len(done.results),
                "rules_warning": len(broken),
                "rows_breaking_rules": sum(r.failures for r in broken),
                **({"broken": failing_cases((*broken, *notes))} if broken or notes else {}),
                # Vendors' descriptions are often wrong, so what breaks them does not fail the check.
                **({"unlike_described": failing_cases(described)} if described else {}),
            },
        ),
        _lists(done),
        _mapping(done),
    ]


def _lists(done: Normalized) -> dg.AssetCheckResult:
    if not done.doubts:
        return dg.AssetCheckResult(check_name=ABSENCE, passed=True)
    return dg.AssetCheckResult(
        check_name=ABSENCE,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=kept("; ".join(map(str, done.doubts))),
        metadata={
            "records": sum(doubt.records for doubt in done.doubts),
            "rows_kept": sum(doubt.rows for doubt in done.doubts),
        },
    )


def _mapping(done: Normalized) -> dg.AssetCheckResult:
    if not done.failing:
        return dg.AssetCheckResult(check_name=MAPPING, passed=True)
    cure = (
        "Look at the field in the CRM: correct its records, or map another field to the column, or none (null), under "
        "`mapping` in connections.yaml."
    )
    rows = [
        dg.TableRecord(
            {
                "field": f"{each.object}.{each.field}",
                "failures": each.failures,
                "records": each.records,
                "share_before": round(each.share_before, 4),
            }
        )
        for each in done.failing
    ]
    return dg.AssetCheckResult(
        check_name=MAPPING,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=kept(f"{'; '.join(map(str, done.failing))}. {cure}"),
        metadata={"failing": dg.MetadataValue.table(rows)},
    )


def rules_words(rules: int, broken: Sequence[RuleResult]) -> str:
    """Say how many rules hold, and which ones warn."""
    holding = rules - len(broken)
    if not broken:
        return f"All {rules} rules hold."
    named = "; ".join(f"{each.rule} ({each.failures:,} rows)" for each in broken[:_MOST_NAMED])
    more = f"; and {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
    return kept(f"{holding} of {rules} rules hold, {len(broken)} warn: {named}{more}.")


def contract_refused(error: ContractError) -> dg.AssetCheckResult:
    """Show why a version was not committed: rules, counts and keys, never values."""
    lines = [
        RuleResult(rule, "error", rows, tuple(keys), "block") for rule, rows, keys in error.failures
    ]
    return dg.AssetCheckResult(
        check_name=CONTRACT,
        passed=False,
        description=kept(error.message),
        metadata={"broken": failing_cases(lines), "cure": error.cure},
    )
