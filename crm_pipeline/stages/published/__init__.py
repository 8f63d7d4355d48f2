"""From the current release to the file that analysts open."""

from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.consistency import NOTE, Finding
from crm_pipeline.stages.published.freshness import AT_MOST_EVERY, Shown, state_of
from crm_pipeline.stages.published.making import is_full_due
from crm_pipeline.stages.published.publish import Publication, publish

__all__ = [
    "AT_MOST_EVERY",
    "NOTE",
    "ApiAccounts",
    "Finding",
    "Publication",
    "Shown",
    "is_full_due",
    "publish",
    "state_of",
]
