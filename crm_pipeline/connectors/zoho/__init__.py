"""Zoho CRM: reads through Get Records, COQL and Bulk Read. Exports `connector`."""

from functools import cached_property

from crm_pipeline.connectors.base import (
    Abilities,
    ConnectorContext,
    LoginKind,
    VendorLimits,
    published_limits,
)
from crm_pipeline.connectors.zoho.account import ZohoAccount
from crm_pipeline.connectors.zoho.data_centres import refuse_unusable
from crm_pipeline.connectors.zoho.keys import ZohoKeys
from crm_pipeline.connectors.zoho.mapping import MAPPING
from crm_pipeline.connectors.zoho.upkeep import ORG
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.settings import Connection

__all__ = ["connector"]


class ZohoConnector:
    """Implements `connectors.base.Connector`."""

    vendor = "zoho"
    abilities = Abilities(
        bulk_read=True,
        counts=True,
        deleted_flag=True,
        keeps_locator_over_login=True,
        unstamped=True,
        round_cost=ORG,
        unseen_deletions="Records that Zoho has taken off its list of deleted ones (after 60 days) before a read: "
        "they stay live.",
    )
    logins = (
        LoginKind(
            "self_client",
            "a code that you make in the API console, once: the simplest, without a callback",
            by_browser=True,
        ),
        LoginKind(
            "refresh_token",
            "a person logs in once in the browser, also from another data centre",
            by_browser=True,
        ),
    )
    callback_url = "http://localhost:8401/callback"
    address_example = "https://accounts.zoho.com"
    has_one_address = False
    mapping: tuple[ObjectMap, ...] = MAPPING
    # These objects are not modules; the API lists them only as a whole.
    snapshot_objects = frozenset(
        {"Users", "Pipelines", "Currencies", "CampaignMembers", "ContactRoles"}
    )
    keys = ZohoKeys()
    default_objects = (
        "Accounts",
        "Contacts",
        "Leads",
        "Deals",
        "DealHistory",
        "Products",
        "Campaigns",
        "Cases",
        "Tasks",
        "Events",
        "Calls",
        "Notes",
        "Users",
        "Pipelines",
        "Currencies",
    )

    @cached_property
    def limits(self) -> VendorLimits:
        """Published limits and versions, from limits.yaml."""
        return published_limits(__package__)

    def vet(self, connection: Connection) -> None:
        """Refuse an address or a login that cannot work."""
        refuse_unusable(connection)

    def open(self, connection: Connection, context: ConnectorContext) -> ZohoAccount:
        """Open an org without touching the network."""
        return ZohoAccount(connection, context, self.limits, self.snapshot_objects)


connector = ZohoConnector()
