"""Sessions, limits, switches and rules of the portals that an admin may set."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crm_sandbox.hubspot.api import PortalApi
from crm_sandbox.hubspot.credentials import PORTALS
from crm_sandbox.hubspot.errors import ApiError
from crm_sandbox.hubspot.oauth import OAuthHandler
from crm_sandbox.hubspot.scopes import ALL_SCOPES
from crm_sandbox.hubspot.subscriptions import SubscriptionStore
from crm_sandbox.hubspot.webhooks import WebhookSender
from crm_sandbox.kernel.receivers import is_local


class Controls:
    """What an admin can switch."""

    api: Callable[[str], PortalApi]
    oauth: OAuthHandler
    subscriptions: SubscriptionStore
    webhooks: WebhookSender

    def expire_sessions(self) -> int:
        """End every access token of the marketplace app; those of private apps never end."""
        return self.oauth.grants.expire()

    def revoke_refresh(self, *, account: str = "main") -> int:
        """End the refresh tokens of a portal, as uninstalling the app does; return how many."""
        tokens = self.oauth.grants.chains(account)
        return sum(self.oauth.grants.revoke(token) for token in tokens)

    def restore_refresh(self, *, account: str = "main") -> None:
        """Make the documented refresh token of a portal work again."""
        self.oauth.grants.begin_chain(account, ALL_SCOPES, PORTALS[account].refresh_token)

    def rotate(self, *, on: bool = True) -> None:
        """Let a refresh answer another refresh token; the vendor's usually stays."""
        self.oauth.grants.rotates = on

    def set_limits(self, *, account: str = "main", **ceilings: int) -> dict[str, Any]:
        """Change ceilings on calls and return them.

        Args:
            account: the portal.
            **ceilings: `private`, `marketplace`, `associations` (in 10 seconds), `search` (in one),
                `daily`, `daily_used`, `daily_associations`.
        """
        limits = self.api(account).portal.limits
        limits.set(**ceilings)
        return limits.shown()

    def set(self, *, account: str = "main", **values: Any) -> dict[str, Any]:
        """Change switches of a portal and return them."""
        settings = self.api(account).portal.settings
        settings.set(values)
        self.api(account).portal.tables.bump()
        return settings.shown()

    def ignore_writes(self, *, times: int = 1, account: str = "main") -> None:
        """Let the next changes by the API answer 200 and change nothing."""
        self.api(account).portal.oddities.idle_writes = times

    def repeat_cursor(self, path: str, *, times: int = 1, account: str = "main") -> None:
        """Let the next pages below a path (a regular expression) lead to themselves."""
        self.api(account).portal.oddities.repeat(path, times)

    def hide_records(self, name: str, records: Sequence[str], *, account: str = "main") -> None:
        """Hide these records and no others: they are counted by searches, but shown nowhere."""
        portal = self.api(account).portal
        portal.oddities.hide(portal.catalog.known(name).name, [int(one) for one in records])
        portal.tables.bump()

    def subscribe(
        self, url: str, events: Sequence[Mapping[str, Any]], *, account: str = "main"
    ) -> list[int]:
        """Let the app hear of events at an address on this machine; return the subscriptions' ids.

        Args:
            url: the receiver.
            events: `event_type`, and `property_name` or `object_type` where it needs one.
            account: a portal, which is filled so that something can happen in it.
        """
        if not is_local(url):
            raise ValueError(f"'{url}' is not an address on this machine")
        self.api(account)
        self.subscriptions.target_url = url
        try:
            return [self.subscriptions.subscribe(**{**one, "active": True}).id for one in events]
        except ApiError as problem:
            raise ValueError(problem.message) from problem

    def set_webhooks(self, **manner: Any) -> dict[str, Any]:
        """Change how deliveries are made and return it; see `Manner`."""
        return self.webhooks.set(manner)

    def deliver_webhooks(self) -> dict[str, int]:
        """Send what is due by the sandbox's clock, and count the states."""
        return self.webhooks.deliver()

    def require(self, name: str, properties: Sequence[str], *, account: str = "main") -> None:
        """Demand properties of every new record (dated API)."""
        portal = self.api(account).portal
        portal.rules.require(portal.catalog.known(name).name, properties)

    def require_when(
        self, name: str, rules: Sequence[Mapping[str, Any]], *, account: str = "main"
    ) -> None:
        """Demand properties while others have some values (dated API)."""
        portal = self.api(account).portal
        portal.rules.require_when(portal.catalog.known(name).name, rules)

    def use_field(self, field: str, *, used: bool = True, account: str = "main") -> None:
        """Say that a property is used somewhere, so that it cannot be archived."""
        names = self.api(account).portal.in_use
        if used:
            names.add(field)
        else:
            names.discard(field)

    def change_owner(self, owner: str, values: Mapping[str, Any], *, account: str = "main") -> None:
        """Change an owner, for example let him leave: `archived`, `userId`."""
        self.api(account).portal.owners.change(owner, values)
