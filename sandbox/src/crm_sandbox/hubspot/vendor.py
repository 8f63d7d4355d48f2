"""What the sandbox's registry needs to know about HubSpot."""

from crm_sandbox.hubspot.emulation import HubSpotSandbox
from crm_sandbox.hubspot.operations import OPERATIONS
from crm_sandbox.registry import Emulation, Premises


class HubSpotVendor:
    """The host names of HubSpot and how to open its portals."""

    name = "hubspot"
    hosts = ("api.hubapi.com", "api.hubspot.com", "app.hubspot.com")
    operations = OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Start answering; a portal is filled when it is first asked for."""
        return HubSpotSandbox(premises)
