"""Contracts: what every row of a table has to satisfy, judged before the table is committed.

A contract is a pandera `DataFrameSchema`: made from the model (`model_contract`), from what a vendor describes
(`vendor_contract`), or a user's own file (`files`). Rules whose meaning is known are compiled to one SQL scan
(`compiled`, `conditions`, `scan`); others are run by pandera on record batches (`batches`).
"""

from crm_pipeline.contracts.pairs import implies, not_before
from crm_pipeline.contracts.rules import POLICIES, Policies, Policy, RowRule, RuleResult
from crm_pipeline.contracts.scan import Subject, judged

__all__ = [
    "POLICIES",
    "Policies",
    "Policy",
    "RowRule",
    "RuleResult",
    "Subject",
    "implies",
    "judged",
    "not_before",
]
