"""An emulated HubSpot: the CRM's HTTP API in its named and its dated versions, for two portals."""

from crm_sandbox.hubspot.vendor import HubSpotVendor

vendor = HubSpotVendor()

__all__ = ["vendor"]
