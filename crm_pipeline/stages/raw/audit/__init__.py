"""Audits: compare the CRM with what landing folds to, and heal what differs."""

from crm_pipeline.stages.raw.audit.connection import (
    AuditPlan,
    AuditRun,
    allowed_today,
    audit_connection,
    audit_plans,
    auditable_objects,
)
from crm_pipeline.stages.raw.audit.sweep import sweep_plan

__all__ = [
    "AuditPlan",
    "AuditRun",
    "allowed_today",
    "audit_connection",
    "audit_plans",
    "auditable_objects",
    "sweep_plan",
]
