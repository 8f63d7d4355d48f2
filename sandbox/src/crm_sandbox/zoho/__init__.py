"""The emulated Zoho CRM, API v8: two orgs in two data centres."""

from crm_sandbox.zoho.vendor import ZohoVendor

vendor = ZohoVendor()

__all__ = ["vendor"]
