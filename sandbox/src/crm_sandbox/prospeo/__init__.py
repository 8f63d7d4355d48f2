"""An emulated Prospeo account: enrichment of people and companies, search, credits."""

from crm_sandbox.prospeo.vendor import ProspeoVendor

vendor = ProspeoVendor()

__all__ = ["vendor"]
