"""What an admin may order about tokens, ceilings and switches."""

from typing import Any

from crm_pipeline.sandbox.hubspot.api import PortalApi
from crm_pipeline.sandbox.hubspot.credentials import PORTALS
from crm_pipeline.sandbox.hubspot.oauth import OAuthDesk


class Controls:
    """The orders of an admin."""

    oauth: OAuthDesk

    def api(self, account: str = "main") -> PortalApi:
        """Return what answers for a portal."""
        raise NotImplementedError

    def expire_sessions(self) -> int:
        """End every access token that can expire; the next call of each client gets a 401."""
        return self.oauth.grants.expire()

    def revoke_refresh(self, *, account: str = "main") -> int:
        """End the refresh tokens of a portal, as uninstalling the app does; return how many."""
        tokens = self.oauth.grants.chains(account)
        return sum(self.oauth.grants.revoke(token) for token in tokens)

    def restore_refresh(self, *, account: str = "main") -> None:
        """Make the documented refresh token of a portal work again."""
        scopes = self.oauth.grants.scopes_of(PORTALS[account].token)
        self.oauth.grants.begin_chain(account, scopes, PORTALS[account].refresh_token)

    def rotate(self, *, on: bool = True) -> None:
        """Let each refresh end the refresh token and give a new one."""
        self.oauth.grants.rotates = on

    def set_limits(self, *, account: str = "main", **ceilings: int) -> dict[str, Any]:
        """Change ceilings and return them all; see `CallLimits.set`."""
        limits = self.api(account).portal.limits
        limits.set(**ceilings)
        return limits.shown()

    def set(self, *, account: str = "main", **switches: Any) -> dict[str, Any]:
        """Change switches and return them all; see `Settings`."""
        settings = self.api(account).portal.settings
        settings.set(switches)
        return settings.shown()
