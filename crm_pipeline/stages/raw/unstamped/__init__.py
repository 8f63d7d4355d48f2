"""Sweeps: re-read values that change without a modification time, and land the records in which they differ."""

from crm_pipeline.stages.raw.unstamped.connection import (
    Allowance,
    SweepPlan,
    allowance,
    plan_sweep,
    sweep,
)
from crm_pipeline.stages.raw.unstamped.sweep import ObjectSweep

__all__ = ["Allowance", "ObjectSweep", "SweepPlan", "allowance", "plan_sweep", "sweep"]
