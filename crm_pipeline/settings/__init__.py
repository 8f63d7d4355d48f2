"""What the user configures: connections.yaml and the environment, as frozen dataclasses.

Belongs here: reading, checking and explaining the configuration. Does not belong here: what a vendor
makes of it (connectors), which vendors there are (`crm_pipeline/configuration.py` says that when it loads
the settings), and anything that opens a connection.
"""

from crm_pipeline.settings.connection import AuthSettings, Connection, ObjectSettings, Settings
from crm_pipeline.settings.providers import Budget, Price, Provider, ProviderFacts
from crm_pipeline.settings.quarantine import QuarantineLimit
from crm_pipeline.settings.retention import Retention
from crm_pipeline.settings.vendors import VendorFacts

__all__ = [
    "AuthSettings",
    "Budget",
    "Connection",
    "ObjectSettings",
    "Price",
    "Provider",
    "ProviderFacts",
    "QuarantineLimit",
    "Retention",
    "Settings",
    "VendorFacts",
]
