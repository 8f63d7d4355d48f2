"""From a connector to landing: one window of one object, counted on both sides."""

from crm_pipeline.stages.raw.account import opened
from crm_pipeline.stages.raw.extract import Mode, extract, planned
from crm_pipeline.stages.raw.extraction import Extraction
from crm_pipeline.stages.raw.probe import News, Probe, probe

__all__ = ["Extraction", "Mode", "News", "Probe", "extract", "opened", "planned", "probe"]
