"""Rules that SQL can judge, and their results; no pandera, which takes more than a second to import.

`compiled` makes rules of a pandera schema, `model_contract` of a table of the model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Policy = Literal["block", "quarantine", "warn", "evolve"]
POLICIES: tuple[Policy, ...] = ("block", "quarantine", "warn", "evolve")
SEVERITIES: Mapping[str, str] = {
    "block": "error",
    "quarantine": "warning",
    "warn": "warning",
    "evolve": "note",
}
Keep = Literal["all", "exclude_first", "exclude_last"]


@dataclass(frozen=True)
class RowRule:
    """One rule.

    Attributes:
        name: what is wrong with a row that breaks it, for people; unique within a contract.
        check: the name of the check, by which policies refer to it, such as `in_range` or `nullable`.
        columns: the columns that it is about.
        broken: SQL that is true for a row that breaks it, and false or NULL for others.
        unique: columns that no two rows may have alike; `broken` is not used then.
        keep: which of several rows that are alike break the rule.
        all_rows: whether it is also about deleted rows.
        is_static: whether it is about the columns themselves: then no row or every row breaks it.
        contract: the file with the contract, "" for ours.
        suspect: shorter SQL that is true for each row that breaks it, and may be true for others; where no row is
            suspect, `broken` is not computed. "" where there is none.
    """

    name: str
    check: str
    columns: tuple[str, ...]
    broken: str
    policy: Policy = "block"
    unique: tuple[str, ...] = ()
    keep: Keep = "all"
    all_rows: bool = False
    is_static: bool = False
    contract: str = ""
    suspect: str = ""

    @property
    def severity(self) -> str:
        """The severity that its policy means: error, warning or note."""
        return SEVERITIES[self.policy]

    def where(self, live: str) -> str:
        """Return the SQL for rows that break it, given the SQL for rows that are not deleted."""
        return f"({self.broken})" if self.all_rows else f"({live} AND ({self.broken}))"


@dataclass(frozen=True)
class RuleResult:
    """The result of a rule: the number of rows that break it and the keys of a few of them.

    Attributes:
        severity: what the policy means; an `error` keeps the table's current version.
        policy: what is done about rows that break it; "" in results of older versions.
        changed: how many of them changed since the version before; None where that is not known.
        changed_rows: how many rows changed in all.
        contract: the file with the contract, "" for ours.
    """

    rule: str
    severity: str
    failures: int
    examples: tuple[str, ...] = ()
    policy: str = ""
    changed: int | None = None
    changed_rows: int = 0
    contract: str = ""


@dataclass(frozen=True)
class Policies:
    """The user's policies from connections.yaml, by dotted name: `deals`, `deals.amount`, `deals.amount.in_range`.

    Attributes:
        by_name: the policy of each name.
        prefixes: the names by which the table is called, such as `deals`, `crm.deals` and `acme.deals`.
    """

    by_name: Mapping[str, Policy] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()

    def of(self, column: str, check: str) -> Policy | None:
        """Return the policy of a check of a column by the longest name that fits; None where none does."""
        for name in (f".{column}.{check}", f".{column}", ""):
            for prefix in reversed(self.prefixes):
                if (policy := self.by_name.get(f"{prefix}{name}")) is not None:
                    return policy
        return None

    def applied(self, rule: RowRule) -> RowRule:
        """Return a rule with the policy that the user gave to one of its columns."""
        found = (self.of(column, rule.check) for column in rule.columns)
        policy = next((policy for policy in found if policy is not None), None)
        return rule if policy is None else replace(rule, policy=policy)


def named_apart(rules: Iterable[RowRule]) -> tuple[RowRule, ...]:
    """Return rules whose names are unique: a number is added where a name is there already."""
    seen: dict[str, int] = {}
    apart = []
    for rule in rules:
        seen[rule.name] = count = seen.get(rule.name, 0) + 1
        apart.append(rule if count == 1 else replace(rule, name=f"{rule.name} ({count})"))
    return tuple(apart)
