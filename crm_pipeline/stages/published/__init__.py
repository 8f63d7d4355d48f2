"""From the current release to the file that analysts open."""

from crm_pipeline.stages.published.operations import ApiUsage
from crm_pipeline.stages.published.publish import Publication, publish

__all__ = ["ApiUsage", "Publication", "publish"]
