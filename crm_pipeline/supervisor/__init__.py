"""The processes of a deployment on one machine: started, watched, restarted and stopped together."""

from crm_pipeline.supervisor.stack import Service, Stack, StackOptions

__all__ = ["Service", "Stack", "StackOptions"]
