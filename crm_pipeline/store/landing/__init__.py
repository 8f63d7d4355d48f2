"""The landing zone of raw records: windows, manifests, checkpoints, quarantine, and notes on each object."""

from crm_pipeline.store.landing.landing import Landing

__all__ = ["Landing"]
