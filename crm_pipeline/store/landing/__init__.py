"""Raw records as they came: windows, their manifests, checkpoints, quarantine, and what is known of each object."""

from crm_pipeline.store.landing.landing import Landing

__all__ = ["Landing"]
