"""From a connector to landing: one window of one object, counted on both sides."""

from crm_pipeline.stages.raw.account import opened
from crm_pipeline.stages.raw.description import fields_told
from crm_pipeline.stages.raw.extract import extract, planned
from crm_pipeline.stages.raw.extraction import Extraction
from crm_pipeline.stages.raw.facts import note_account
from crm_pipeline.stages.raw.pace import pace, upkeep
from crm_pipeline.stages.raw.probe import Failed, News, Probe, probe
from crm_pipeline.stages.raw.remarks import (
    Remark,
    doubted_ids,
    doubted_reads,
    outstanding_cure,
    outstanding_told,
    refused_description,
    remarks_of,
    shrink_cure,
    shrink_told,
)
from crm_pipeline.stages.raw.task import Mode

__all__ = [
    "Extraction",
    "Failed",
    "Mode",
    "News",
    "Probe",
    "Remark",
    "doubted_ids",
    "doubted_reads",
    "extract",
    "fields_told",
    "note_account",
    "opened",
    "outstanding_cure",
    "outstanding_told",
    "pace",
    "planned",
    "probe",
    "refused_description",
    "remarks_of",
    "shrink_cure",
    "shrink_told",
    "upkeep",
]
