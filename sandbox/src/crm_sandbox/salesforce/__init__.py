"""An emulated Salesforce org: OAuth, REST data API, Bulk API 2.0 queries."""

from crm_sandbox.salesforce.vendor import SalesforceVendor

vendor = SalesforceVendor()

__all__ = ["vendor"]
