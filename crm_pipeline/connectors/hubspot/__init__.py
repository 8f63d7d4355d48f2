"""The HubSpot connector: reads through the CRM API's lists, searches and batches. Exports one name, `connector`."""

from functools import cached_property

from crm_pipeline.connectors.base import (
    Abilities,
    ConnectorContext,
    LoginKind,
    VendorLimits,
    published_limits,
)
from crm_pipeline.connectors.hubspot.account import HubSpotAccount
from crm_pipeline.connectors.hubspot.catalog import COSTLY, LABELS, SNAPSHOTS
from crm_pipeline.connectors.hubspot.list_keys import ObjectKeys
from crm_pipeline.connectors.hubspot.mapping import MAPPING
from crm_pipeline.connectors.hubspot.profile import refuse_unusable
from crm_pipeline.connectors.hubspot.upkeep import DETAILS
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.settings import Connection

__all__ = ["connector"]


class HubSpotConnector:
    """Implements `connectors.base.Connector`."""

    vendor = "hubspot"
    abilities = Abilities(
        bulk_read=False,
        counts=True,
        deleted_flag=True,
        keeps_locator_over_login=True,
        unstamped=True,
        round_cost=DETAILS,
        unseen_deletions="Records that were deleted for good, or archived 90 days before a read, stay live.",
    )
    logins = (
        LoginKind(
            "token",
            "a private app's token or a service key: the simplest, valid until somebody revokes it",
        ),
        LoginKind(
            "refresh_token",
            "a person authorizes an app once in the browser; valid until it is uninstalled",
            by_browser=True,
        ),
    )
    callback_url = "http://localhost:8401/OauthRedirect"
    address_example = "https://api.hubapi.com"
    has_one_address = True
    mapping: tuple[ObjectMap, ...] = MAPPING
    # Objects without a search by the last change are read whole each time; absent records are deleted.
    snapshot_objects = SNAPSHOTS
    default_objects = tuple(name for name in LABELS if name not in COSTLY)
    keys = ObjectKeys()

    @cached_property
    def limits(self) -> VendorLimits:
        """Published limits, versions and end-of-life dates, from limits.yaml."""
        return published_limits(__package__)

    def vet(self, connection: Connection) -> None:
        """Refuse an address or a kind of login that cannot work."""
        refuse_unusable(connection)

    def open(self, connection: Connection, context: ConnectorContext) -> HubSpotAccount:
        """Open an account without touching the network."""
        return HubSpotAccount(connection, context, self.limits)


connector = HubSpotConnector()
