"""The object types of a portal with their properties and how a population makes their values."""

from crm_sandbox.hubspot.credentials import PortalFacts
from crm_sandbox.hubspot.objects.activities import activities
from crm_sandbox.hubspot.objects.parties import companies, contacts
from crm_sandbox.hubspot.objects.sales import deals, leads, line_items, products, quotes
from crm_sandbox.hubspot.objects.service import assets, tickets
from crm_sandbox.hubspot.schema import ObjectType


def object_types(portal: PortalFacts) -> tuple[ObjectType, ...]:
    """Return the object types of a portal; what it made itself differs between portals."""
    return (
        contacts(portal),
        companies(portal),
        deals(portal),
        tickets(portal),
        products(portal),
        line_items(portal),
        quotes(portal),
        *activities(),
        leads(portal),
        assets(portal),
    )
