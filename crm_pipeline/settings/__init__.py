"""What the user configures: connections.yaml and the environment, as frozen dataclasses.

Belongs here: reading, checking and explaining the configuration. Does not belong here: what a vendor
makes of it (connectors) and anything that opens a connection.
"""

from crm_pipeline.settings.connection import AuthSettings, Connection, ObjectSettings, Settings
from crm_pipeline.settings.load import load_settings
from crm_pipeline.settings.quarantine import QuarantineLimit
from crm_pipeline.settings.retention import Retention
from crm_pipeline.settings.vendors import known_vendors

__all__ = [
    "AuthSettings",
    "Connection",
    "ObjectSettings",
    "QuarantineLimit",
    "Retention",
    "Settings",
    "known_vendors",
    "load_settings",
]
