"""The result of a build of a normalized table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_pipeline.contracts import RuleResult
from crm_pipeline.stages.normalized.described import Described
from crm_pipeline.stages.normalized.emptied import Doubt, doubts_in
from crm_pipeline.stages.normalized.mapping_failures import Failing, failing_in
from crm_pipeline.store.tables import TableVersion

BUILT = "built"
"""The entry of a version's meta that says whether it was made of all that has landed, and why."""


@dataclass(frozen=True)
class Normalized:
    """The result of a build.

    Attributes:
        version: the table's current version; None where nothing has landed yet.
        rows: rows of the version, deleted ones included; `live` leaves those out.
        changed: False where inputs, mapping and code were those of the current version.
        batches: landed batches that the table is made of.
        unconverted: number of values that did not fit their column, by `<object>.<field>`.
        quarantined: landed rows that cannot be used, kept under quarantine/.
        landed, superseded: landed rows, and those of them that are older versions of records. Both are
            0 where rows are elements of records; otherwise `landed` = `rows` + `superseded` + `quarantined`.
        results: every rule of the contract with its count.
        columns: name, type and description of each column.
        repaired: the damage of the version before, because of which the table was built again; "" for none.
        failing: fields of which far more values do not fit than before.
        history: the version with the earlier versions of records; None for a table without a history.
        doubts: empty lists that are not believed, so that their earlier rows stay.
        described: how the landed texts of each object agree with what its vendor describes.
        because: why the version was made of all that has landed; "" if it was made from the version before.
    """

    table: str
    version: TableVersion | None
    changed: bool
    rows: int = 0
    live: int = 0
    batches: int = 0
    quarantined: int = 0
    landed: int = 0
    superseded: int = 0
    unconverted: Mapping[str, int] = field(default_factory=dict)
    results: tuple[RuleResult, ...] = ()
    columns: Sequence[Mapping[str, Any]] = ()
    repaired: str = ""
    doubts: tuple[Doubt, ...] = ()
    described: tuple[Described, ...] = ()
    failing: tuple[Failing, ...] = ()
    because: str = ""
    history: TableVersion | None = None

    @property
    def warnings(self) -> tuple[RuleResult, ...]:
        """The broken rules that do not forbid the commit."""
        return tuple(r for r in self.results if r.severity == "warning" and r.failures)


def results_in(version: TableVersion) -> tuple[RuleResult, ...]:
    """Return the results of all rules, from a version's metadata."""
    results = version.meta["results"]
    # Versions that were written before policies existed do not have the second list.
    more = version.meta.get("judged") or [["", None, 0, ""]] * len(results)
    return tuple(
        RuleResult(rule, severity, failures, tuple(examples), policy, changed, rows, contract)
        for (rule, severity, failures, examples), (policy, changed, rows, contract) in zip(
            results, more, strict=True
        )
    )


def unchanged(table: str, version: TableVersion | None) -> Normalized:
    """Return the result of a build that had nothing to do."""
    return result_of(table, version, changed=False)


def result_of(table: str, version: TableVersion | None, *, changed: bool) -> Normalized:
    """Return the result of a build, from the metadata of its version."""
    if version is None:
        return Normalized(table, None, changed)
    meta = version.meta
    return Normalized(
        table=table,
        version=version,
        changed=changed,
        rows=version.rows,
        live=meta["live"],
        batches=meta["batches"],
        quarantined=meta["quarantined"],
        landed=meta.get("landed", 0),
        superseded=meta.get("superseded", 0),
        unconverted=meta["unconverted"],
        results=results_in(version),
        described=tuple(Described.of_meta(raw) for raw in meta.get("described", ())),
        columns=meta["columns"],
        doubts=doubts_in(version),
        failing=failing_in(version),
        because=meta.get(BUILT, {}).get("because", ""),
    )
