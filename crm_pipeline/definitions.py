"""What Dagster loads: `dg dev`, `dagster dev`, `crm-pipeline up` and workspace.yaml name this module."""

from crm_pipeline.orchestration.build import build_defs

defs = build_defs()
