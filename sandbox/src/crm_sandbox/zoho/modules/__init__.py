"""The modules of an org, a file per part of the business; data only."""

from crm_sandbox.zoho.modules.activities import ACTIVITY_MODULES
from crm_sandbox.zoho.modules.parties import PARTY_MODULES
from crm_sandbox.zoho.modules.sales import SALES_MODULES
from crm_sandbox.zoho.modules.setup import SETUP_MODULES
from crm_sandbox.zoho.schema import Module

ALL_MODULES: tuple[Module, ...] = (
    *PARTY_MODULES,
    *SALES_MODULES,
    *ACTIVITY_MODULES,
    *SETUP_MODULES,
)
