"""From the current release to the file that analysts open."""

from crm_pipeline.stages.published.budgets import ApiAccounts
from crm_pipeline.stages.published.publish import Publication, publish

__all__ = ["ApiAccounts", "Publication", "publish"]
