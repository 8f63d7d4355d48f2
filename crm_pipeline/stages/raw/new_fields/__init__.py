"""New fields: read records again, by their ids, that were read before a field was there."""

from crm_pipeline.stages.raw.new_fields.backfill import fill_new_fields, is_due
from crm_pipeline.stages.raw.new_fields.plan import BackfillPlan, plan_backfills

__all__ = ["BackfillPlan", "fill_new_fields", "is_due", "plan_backfills"]
