"""What Dagster loads: `dg dev`, `dagster dev`, `crm-pipeline up` and workspace.yaml name this module."""

from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.narrowing import job_of_this_process

defs = build_defs(job=job_of_this_process())
