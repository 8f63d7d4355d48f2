"""Judge rows by rules: one scan counts what breaks each rule; for broken ones a few keys are looked up."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from crm_pipeline.contracts.rules import RowRule, RuleResult
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.store.tables.engine import Engine

EXAMPLES = 5
_MOST_SORTED = 16_000_000


@dataclass(frozen=True)
class Subject:
    """The rows that are judged.

    Attributes:
        relation: SQL for the rows.
        key: the column that names a row to people; "" where keys are values that nobody may quote.
        live: SQL that is true for rows that are not deleted.
        changed: SQL for those of the rows that changed since the version before; "" where that is not asked.
    """

    relation: str
    key: str
    live: str = "true"
    changed: str = ""


def judged(engine: Engine, subject: Subject, rules: Sequence[RowRule]) -> list[RuleResult]:
    """Return the result of each rule on all rows.

    Args:
        engine: runs the SQL.
        subject: the rows.
        rules: the rules.
    """
    if not rules:
        return []
    rows, *counts = _counts(engine, subject, subject.relation, [_at_first(rule) for rule in rules])
    counts = _exact(engine, subject, rules, counts)
    counts = [
        int(_have_alike(engine, subject, rule, rows)) if rule.unique else count
        for rule, count in zip(rules, counts, strict=True)
    ]
    broken = [rule for rule, count in zip(rules, counts, strict=True) if count]
    examples = _examples(engine, subject, broken)
    changed: dict[str, int] = {}
    changed_rows = 0
    if subject.changed:
        changed_rows, *among = _counts(engine, subject, subject.changed, broken)
        changed = dict(zip([rule.name for rule in broken], among, strict=True))
    return [
        RuleResult(
            rule.name,
            rule.severity,
            _failures(engine, subject, rule, count, rows),
            examples.get(rule.name, ()),
            rule.policy,
            changed.get(rule.name, 0) if subject.changed else None,
            changed_rows,
            rule.contract,
        )
        for rule, count in zip(rules, counts, strict=True)
    ]


def counts_sql(subject: Subject, relation: str, rules: Sequence[RowRule]) -> str:
    """Return one SQL scan: rows, then for every rule the number of rows that break it.

    It is 0 for rules of unique values, which concern several rows.
    """
    counts = ["count(*)", *(_count(subject, rule) for rule in rules)]
    return f"SELECT {', '.join(counts)} FROM {relation}"


def failing_sql(subject: Subject, rules: Sequence[RowRule]) -> str:
    """Return SQL for the rows that break any of the rules, with `_reason`, the names of those rules.

    Raises:
        ValueError: a rule is about several rows, so that no single row breaks it.
    """
    if any(rule.unique for rule in rules):
        raise ValueError("rules of unique values do not say which row is wrong")
    reasons = ", ".join(
        f"CASE WHEN {rule.where(subject.live)} THEN {literal(rule.name)} END" for rule in rules
    )
    condition = " OR ".join(rule.where(subject.live) for rule in rules) or "false"
    return (
        f"SELECT concat_ws('; ', {reasons or 'NULL'}) AS _reason, * FROM {subject.relation} "
        f"WHERE {condition}"
    )


def _counts(engine: Engine, subject: Subject, relation: str, rules: Sequence[RowRule]) -> list[int]:
    return [int(count) for count in engine.row(counts_sql(subject, relation, rules))]


def _at_first(rule: RowRule) -> RowRule:
    return replace(rule, broken=rule.suspect) if rule.suspect else rule


def _exact(
    engine: Engine, subject: Subject, rules: Sequence[RowRule], counts: Sequence[int]
) -> list[int]:
    """Return the counts with those of suspect rows replaced by those of rows that break the rule.

    DuckDB takes a tenth of a millisecond to prepare the SQL of a typed text, and most tables have fewer rows than that.
    """
    places = [place for place, rule in enumerate(rules) if rule.suspect and counts[place]]
    exact = list(counts)
    if places:
        again = _counts(engine, subject, subject.relation, [rules[place] for place in places])[1:]
        for place, count in zip(places, again, strict=True):
            exact[place] = count
    return exact


def _count(subject: Subject, rule: RowRule) -> str:
    return "0" if rule.unique else f"count(*) FILTER (WHERE {rule.where(subject.live)})"


def _have_alike(engine: Engine, subject: Subject, rule: RowRule, rows: int) -> bool:
    """Say whether there may be rows that are alike: hashes of equal values are equal.

    Sorting eight bytes for each row takes a third of the time that counting different texts takes.
    """
    where = "" if rule.all_rows else f" WHERE {subject.live}"
    hashes = f"SELECT hash({_listed(rule)}) AS h FROM {subject.relation}{where}"
    if rows > _MOST_SORTED:
        [alike] = engine.row(f"SELECT count(*) - count(DISTINCT h) FROM ({hashes})")
        return bool(alike)
    values = np.sort(engine.arrow(hashes)["h"].to_numpy())
    return bool((values[1:] == values[:-1]).any())


def _listed(rule: RowRule) -> str:
    return ", ".join(map(quoted, rule.unique))


def _alike(subject: Subject, rule: RowRule, columns: str) -> str:
    where = "" if rule.all_rows else f" WHERE {subject.live}"
    return (
        f"SELECT {columns} FROM {subject.relation}{where} GROUP BY {_listed(rule)} "
        "HAVING count(*) > 1"
    )


def _failures(engine: Engine, subject: Subject, rule: RowRule, count: int, rows: int) -> int:
    if rule.is_static:
        return 0 if rule.broken == "false" else max(rows, 1)
    if not (rule.unique and count):
        return count
    alike = "count(*)" if rule.keep == "all" else "count(*) - 1"
    [total] = engine.row(f"SELECT sum(n) FROM ({_alike(subject, rule, f'{alike} AS n')})")
    return int(total or 0)


def _examples(
    engine: Engine, subject: Subject, rules: Sequence[RowRule]
) -> dict[str, tuple[str, ...]]:
    """Return a few keys of rows that break each rule; a scan for them ends at the first that it finds."""
    if not subject.key:
        return {}
    key = f"CAST({quoted(subject.key)} AS VARCHAR)"
    found: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        if rule.is_static:
            continue
        sql = (
            _alike(subject, rule, f"min({key})")
            if rule.unique
            else f"SELECT {key} FROM {subject.relation} WHERE {rule.where(subject.live)}"
        )
        rows = engine.rows(f"{sql} LIMIT {EXAMPLES}")
        found[rule.name] = tuple(sorted(str(key) for (key,) in rows))
    return found
