"""The components that `dg` finds, through the entry point in pyproject.toml: `crm_pipeline.components.CrmConnections`."""

from crm_pipeline.orchestration.component import CrmConnections

__all__ = ["CrmConnections"]
