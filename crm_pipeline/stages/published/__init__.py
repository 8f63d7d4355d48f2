"""From the current release to the file that analysts open."""

from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.carried import Finding
from crm_pipeline.stages.published.check_results import freshness_words, is_fresh
from crm_pipeline.stages.published.consistency import NOTE
from crm_pipeline.stages.published.freshness import AT_MOST_EVERY, Shown, state_of
from crm_pipeline.stages.published.making import is_full_due
from crm_pipeline.stages.published.ops import OpsSources, publish_ops
from crm_pipeline.stages.published.publish import Publication, publish

__all__ = [
    "AT_MOST_EVERY",
    "NOTE",
    "ApiAccounts",
    "Finding",
    "OpsSources",
    "Publication",
    "Shown",
    "freshness_words",
    "is_fresh",
    "is_full_due",
    "publish",
    "publish_ops",
    "state_of",
]
