"""Emulated vendor servers on the real wire protocols, for tests, demos and benchmarks.

Nothing here is shared with the connectors that are judged by it.
"""

from crm_sandbox.access import describe_access
from crm_sandbox.server import SandboxServer
from crm_sandbox.vendor_sandbox import VendorSandbox

__all__ = ["SandboxServer", "VendorSandbox", "describe_access"]
