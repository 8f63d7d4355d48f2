"""From the normalized tables to verdicts on every e-mail address and phone number."""

from crm_pipeline.stages.verified.build import Choices, verify
from crm_pipeline.stages.verified.result import SPEAKS_AGAINST, PointCount, Verified, counts_in
from crm_pipeline.stages.verified.verifiers import Verifiers

__all__ = [
    "SPEAKS_AGAINST",
    "Choices",
    "PointCount",
    "Verified",
    "Verifiers",
    "counts_in",
    "verify",
]
