"""The Salesforce connector: reads through REST and Bulk API 2.0. Exports one name, `connector`."""

from dataclasses import replace
from functools import cached_property

from crm_pipeline.connectors.base import (
    Abilities,
    ConnectorContext,
    LoginKind,
    VendorLimits,
    published_limits,
)
from crm_pipeline.connectors.salesforce.account import SalesforceAccount
from crm_pipeline.connectors.salesforce.keys import SalesforceKeys
from crm_pipeline.connectors.salesforce.login import refuse_unusable
from crm_pipeline.connectors.salesforce.mapping import MAPPING
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.settings import Connection

__all__ = ["connector"]


class SalesforceConnector:
    """Implements `connectors.base.Connector`."""

    vendor = "salesforce"
    abilities = Abilities(
        bulk_read=True,
        counts=True,
        deleted_flag=True,
        keeps_locator_over_login=True,
        unstamped=True,
        unseen_deletions="Records that were deleted for good, or purged from the recycle bin before a read, stay live.",
    )
    logins = (
        LoginKind(
            "client_credentials",
            "key and secret of an app that runs as a user of its own: the simplest for a server",
        ),
        LoginKind(
            "jwt_bearer",
            "a key file instead of a secret: nothing to renew, the app knows the certificate",
        ),
        LoginKind(
            "refresh_token",
            "a person logs in once in the browser; ends after 30 days without a run",
            by_browser=True,
        ),
    )
    callback_url = "http://localhost:8401/OauthRedirect"
    address_example = "https://acme.my.salesforce.com"
    has_one_address = False
    mapping: tuple[ObjectMap, ...] = MAPPING
    # Short lists without IsDeleted are read whole each time; absent records are deleted. The end of a rate is the
    # start of the next one, so it may change without a new modification time.
    snapshot_objects = frozenset(
        {"OpportunityStage", "LeadStatus", "CurrencyType", "DatedConversionRate"}
    )
    keys = SalesforceKeys()
    default_objects = (
        "Account",
        "Contact",
        "Lead",
        "Opportunity",
        "OpportunityHistory",
        "OpportunityLineItem",
        "OpportunityContactRole",
        "Product2",
        "PricebookEntry",
        "Campaign",
        "CampaignMember",
        "Case",
        "Task",
        "Event",
        "User",
        "OpportunityStage",
        "LeadStatus",
        # Only orgs of several currencies have these.
        "CurrencyType",
        "DatedConversionRate",
    )

    @cached_property
    def limits(self) -> VendorLimits:
        """Published limits, versions and end-of-life dates, from limits.yaml."""
        return published_limits(__package__)

    def vet(self, connection: Connection) -> None:
        """Refuse an address or a kind of login that cannot work."""
        refuse_unusable(connection)

    def open(self, connection: Connection, context: ConnectorContext) -> SalesforceAccount:
        """Open an org without touching the network."""
        own = replace(self.limits, ceilings={**self.limits.ceilings, **connection.ceilings})
        return SalesforceAccount(connection, context, own, self.snapshot_objects)


connector = SalesforceConnector()
