"""Read every file below the data folder and compare it with the checksum of when it was written."""

from crm_pipeline.store.scrub.check import KINDS
from crm_pipeline.store.scrub.walk import Corruption, Scrubbed, Tally, scrub

__all__ = ["KINDS", "Corruption", "Scrubbed", "Tally", "scrub"]
