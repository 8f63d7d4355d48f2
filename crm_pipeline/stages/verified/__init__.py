"""From the normalized tables to verdicts on every e-mail address and phone number."""

from crm_pipeline.stages.verified.build import Choices, verify
from crm_pipeline.stages.verified.judging import Judges
from crm_pipeline.stages.verified.result import SPEAKS_AGAINST, PointCount, Verified

__all__ = ["SPEAKS_AGAINST", "Choices", "Judges", "PointCount", "Verified", "verify"]
