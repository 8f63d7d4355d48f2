"""The org's objects, a module per part of the business; data only."""

from crm_sandbox.salesforce.objects.activities import ACTIVITY_OBJECTS
from crm_sandbox.salesforce.objects.marketing import MARKETING_OBJECTS
from crm_sandbox.salesforce.objects.parties import PARTY_OBJECTS
from crm_sandbox.salesforce.objects.sales import SALES_OBJECTS
from crm_sandbox.salesforce.objects.setup import SETUP_OBJECTS
from crm_sandbox.salesforce.schema import SObject

ALL_OBJECTS: tuple[SObject, ...] = (
    *PARTY_OBJECTS,
    *SALES_OBJECTS,
    *MARKETING_OBJECTS,
    *ACTIVITY_OBJECTS,
    *SETUP_OBJECTS,
)
