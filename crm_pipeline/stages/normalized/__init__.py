"""From landing to the common model: one table per connection, folded, typed and checked against its contract."""

from crm_pipeline.contracts import RuleResult
from crm_pipeline.stages.normalized.build import Normalized, check_mapping, normalize, tables_for
from crm_pipeline.stages.normalized.deleted import deleted_ids
from crm_pipeline.stages.normalized.doubted import doubted_lists
from crm_pipeline.stages.normalized.drift import DriftGuard, columns_fed, mapping_line
from crm_pipeline.stages.normalized.emptied import Doubt
from crm_pipeline.stages.normalized.preview import preview
from crm_pipeline.stages.normalized.retention import retire
from crm_pipeline.stages.normalized.retry import retry
from crm_pipeline.stages.normalized.trial import contract_names

__all__ = [
    "Doubt",
    "DriftGuard",
    "Normalized",
    "RuleResult",
    "check_mapping",
    "columns_fed",
    "contract_names",
    "deleted_ids",
    "doubted_lists",
    "mapping_line",
    "normalize",
    "preview",
    "retire",
    "retry",
    "tables_for",
]
