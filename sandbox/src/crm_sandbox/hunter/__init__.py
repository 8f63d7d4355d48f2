"""An emulated Hunter account: the verifier of e-mail addresses."""

from crm_sandbox.hunter.vendor import HunterVendor

vendor = HunterVendor()

__all__ = ["vendor"]
