"""All contracts of a user for one table, compiled; pandera is imported only if there are any."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from crm_pipeline.contracts.files import ContractFolder
from crm_pipeline.contracts.rules import RowRule, RuleResult
from crm_pipeline.contracts.scan import Subject
from crm_pipeline.store.tables.engine import Engine

if TYPE_CHECKING:
    from crm_pipeline.contracts.compiled import Left

_FAILING = "rows that pandera refuses"


@dataclass(frozen=True)
class UserRules:
    """The rules of a user's contracts.

    Attributes:
        rules: what SQL judges.
        left: what pandera judges.
    """

    rules: tuple[RowRule, ...] = ()
    left: "tuple[Left, ...]" = ()

    @property
    def failing(self) -> str:
        """The table with the keys of rows that pandera refuses and that go aside; "" for none."""
        is_asked = any(one.rule.policy == "quarantine" for one in self.left)
        return f'"{_FAILING}"' if is_asked else ""

    def without_quarantine(self) -> "UserRules":
        """Return the rules with the policy `block` for those that would put rows into quarantine."""

        def kept(rule: RowRule) -> RowRule:
            return replace(rule, policy="block") if rule.policy == "quarantine" else rule

        return UserRules(
            tuple(kept(rule) for rule in self.rules),
            tuple(replace(one, rule=kept(one.rule)) for one in self.left),
        )

    def judged_by_pandera(self, engine: Engine, subject: Subject) -> list[RuleResult]:
        """Return the results of what pandera judges.

        Raises:
            ConfigError: a check judges more than single rows.
        """
        if not self.left:
            return []
        from crm_pipeline.contracts.batches import judged_by_pandera

        return judged_by_pandera(engine, subject, self.left, _FAILING if self.failing else "")


def user_rules(
    folder: ContractFolder, targets: tuple[str, ...], types: Mapping[str, pa.DataType], table: str
) -> UserRules:
    """Compile the contracts of a table.

    Args:
        folder: the user's contracts and policies.
        targets: the names by which the table is called.
        types: the types of its columns.
        table: its name, for texts.

    Raises:
        ConfigError: a contract cannot be read, or asks for something that cannot be judged.
    """
    contracts = folder.of(targets)
    if not contracts:
        return UserRules()
    from crm_pipeline.contracts.compiled import compiled

    policies = folder.policies_of(targets)
    parts = [
        compiled(c.schema, types, policies=policies, contract=c.file, table=table)
        for c in contracts
    ]
    rules = (rule for part in parts for rule in part.rules)
    left = (one for part in parts for one in part.left)
    return UserRules(
        tuple(replace(rule, name=f"{rule.name} [{rule.contract}]") for rule in rules),
        tuple(
            replace(one, rule=replace(one.rule, name=f"{one.rule.name} [{one.rule.contract}]"))
            for one in left
        ),
    )
