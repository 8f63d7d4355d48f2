"""Read one window of one object from a connector into landing, and compare the counts of both sides."""

from crm_pipeline.stages.raw.account import opened
from crm_pipeline.stages.raw.description import fields_text
from crm_pipeline.stages.raw.drift import note_changes
from crm_pipeline.stages.raw.extract import extract, planned
from crm_pipeline.stages.raw.extraction import Extraction
from crm_pipeline.stages.raw.facts import note_account
from crm_pipeline.stages.raw.missed import missed_text
from crm_pipeline.stages.raw.pace import pace, upkeep
from crm_pipeline.stages.raw.point import PointRead, read_points
from crm_pipeline.stages.raw.probe import Failed, News, Probe, Skipped, probe
from crm_pipeline.stages.raw.remarks import (
    Remark,
    doubted_ids,
    doubted_reads,
    outstanding_cure,
    outstanding_text,
    refused_description,
    remarks_of,
    shrink_cure,
    shrink_text,
)
from crm_pipeline.stages.raw.rename_evidence import prove_renames
from crm_pipeline.stages.raw.task import Mode, visible_schema

__all__ = [
    "Extraction",
    "Failed",
    "Mode",
    "News",
    "PointRead",
    "Probe",
    "Remark",
    "Skipped",
    "doubted_ids",
    "doubted_reads",
    "extract",
    "fields_text",
    "missed_text",
    "note_account",
    "note_changes",
    "opened",
    "outstanding_cure",
    "outstanding_text",
    "pace",
    "planned",
    "probe",
    "prove_renames",
    "read_points",
    "refused_description",
    "remarks_of",
    "shrink_cure",
    "shrink_text",
    "upkeep",
    "visible_schema",
]
