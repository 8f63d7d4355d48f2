"""What the sandbox's registry needs to know about HubSpot."""

from crm_sandbox.hubspot import credentials
from crm_sandbox.registry import Emulation, Premises


class HubSpotVendor:
    """The host names of HubSpot and how to open its portals."""

    name = "hubspot"
    hosts = ("api.hubapi.com", "api.hubspot.com", "app.hubspot.com")

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

    def open(self, premises: Premises) -> Emulation:
        """Start answering; a portal is filled when it is first asked for."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.hubspot.emulation import HubSpotSandbox

        return HubSpotSandbox(premises)
