"""The entry of HubSpot in the registry of vendors."""

from crm_sandbox.hubspot import credentials
from crm_sandbox.operations import OperationTable
from crm_sandbox.registry import Emulation, Premises


class HubSpotVendor:
    """The host names of HubSpot and how to open its portals."""

    name = "hubspot"
    hosts = ("api.hubapi.com", "api.hubspot.com", "app.hubspot.com")
    accounts = tuple(credentials.PORTALS)

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        lines = [("HubSpot", f"{url}/hubspot")]
        for name, facts in credentials.PORTALS.items():
            lines += [
                (f"HubSpot {name} private app token", facts.token),
                (f"HubSpot {name} refresh token", facts.refresh_token),
            ]
        return [
            *lines,
            ("HubSpot token endpoint", f"{url}/hubspot/oauth/v1/token"),
            ("HubSpot client id", credentials.CLIENT_ID),
            ("HubSpot client secret", credentials.CLIENT_SECRET),
            ("HubSpot admin", f"{url}/_admin/hubspot"),
        ]

    def credentials(self, url: str, account: str) -> dict[str, str]:
        """Return what a client needs to log in to an account."""
        portal = credentials.PORTALS[account]
        return {
            "token_url": f"{url}/hubspot/oauth/v1/token",
            "access_token": portal.token,
            "client_id": credentials.CLIENT_ID,
            "client_secret": credentials.CLIENT_SECRET,
            "refresh_token": portal.refresh_token,
        }

    @property
    def operations(self) -> OperationTable:
        """All operations that are built."""
        from crm_sandbox.hubspot.operations import OPERATIONS

        return OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Start answering; a portal is filled when it is first asked for."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.hubspot.emulation import HubSpotSandbox

        return HubSpotSandbox(premises)
