"""The objects of a company, one module per neighbourhood."""

from crm_sandbox.pipedrive.objects.catalogue import PIPELINES, PRODUCTS, STAGES
from crm_sandbox.pipedrive.objects.engagement import ACTIVITIES, LEADS, NOTES, USERS
from crm_sandbox.pipedrive.objects.parties import ORGANIZATIONS, PERSONS
from crm_sandbox.pipedrive.objects.sales import DEAL_PRODUCTS, DEALS
from crm_sandbox.pipedrive.schema import Entity

# In the order in which they are filled.
ALL = (
    USERS,
    PIPELINES,
    STAGES,
    ORGANIZATIONS,
    PERSONS,
    PRODUCTS,
    DEALS,
    DEAL_PRODUCTS,
    LEADS,
    ACTIVITIES,
    NOTES,
)
ENTITIES: dict[str, Entity] = {one.name: one for one in ALL}

__all__ = ["ALL", "ENTITIES"]
