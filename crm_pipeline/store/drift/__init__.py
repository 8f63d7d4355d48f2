"""The register of changed fields: which were noticed, which wait for a person, and what was decided."""

from crm_pipeline.store.drift.change import Change, State
from crm_pipeline.store.drift.register import Register

__all__ = ["Change", "Register", "State"]
