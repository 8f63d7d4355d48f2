"""Emulated vendor servers on the real wire protocols, for tests, demos and benchmarks.

Nothing here is shared with the connectors that are judged by it.
"""

from crm_sandbox.access import describe_access
from crm_sandbox.server import SandboxServer

__all__ = ["SandboxServer", "describe_access"]
