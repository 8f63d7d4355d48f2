"""Pipedrive: reads through API v2, and through v1 what v2 lacks. Exports `connector`."""

from functools import cached_property

from crm_pipeline.connectors.base import (
    Abilities,
    ConnectorContext,
    LoginKind,
    VendorLimits,
    published_limits,
)
from crm_pipeline.connectors.pipedrive.account import PipedriveAccount
from crm_pipeline.connectors.pipedrive.catalog import ITEMS, SNAPSHOTS
from crm_pipeline.connectors.pipedrive.keys import PipedriveKeys
from crm_pipeline.connectors.pipedrive.mapping import MAPPING
from crm_pipeline.connectors.pipedrive.profile import refuse_unusable
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.settings import Connection

__all__ = ["connector"]


class PipedriveConnector:
    """Implements `connectors.base.Connector`."""

    vendor = "pipedrive"
    abilities = Abilities(
        bulk_read=False,
        counts=False,
        deleted_flag=True,
        keeps_locator_over_login=True,
        unstamped=True,
        unseen_deletions="Deleted records other than deals, and deals that were deleted 30 days before a read: "
        "they stay live.",
    )
    logins = (
        LoginKind("token", "the API token of one user: the simplest for one company"),
        LoginKind(
            "refresh_token",
            "an app that a person lets in once in the browser: more calls, and scopes",
            by_browser=True,
        ),
    )
    callback_url = "http://localhost:8401/OauthRedirect"
    address_example = "https://acme.pipedrive.com"
    has_one_address = False
    mapping: tuple[ObjectMap, ...] = MAPPING
    # Short lists without a filter by time are read completely each time; an absent record is deleted.
    snapshot_objects = SNAPSHOTS
    default_objects = tuple(name for name, item in ITEMS.items() if not item.is_costly)
    keys = PipedriveKeys()

    @cached_property
    def limits(self) -> VendorLimits:
        """Published limits, versions and end-of-life dates, from limits.yaml."""
        return published_limits(__package__)

    def vet(self, connection: Connection) -> None:
        """Refuse an address or a login that cannot work."""
        refuse_unusable(connection)

    def open(self, connection: Connection, context: ConnectorContext) -> PipedriveAccount:
        """Open a company without touching the network."""
        return PipedriveAccount(connection, context, self.limits)


connector = PipedriveConnector()
