"""Quarantine as one thing: rows that could not be landed, not be normalized, or that break a contract."""

from crm_pipeline.store.quarantine.quarantine import Quarantine
from crm_pipeline.store.quarantine.quarantined import Quarantined, Stage

__all__ = ["Quarantine", "Quarantined", "Stage"]
