"""Emulated Pipedrive companies: API v2, what is left of v1, OAuth, webhooks."""

from crm_sandbox.pipedrive.vendor import PipedriveVendor

vendor = PipedriveVendor()

__all__ = ["vendor"]
