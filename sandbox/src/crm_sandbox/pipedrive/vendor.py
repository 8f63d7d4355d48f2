"""What the sandbox's registry needs to know about Pipedrive."""

from crm_sandbox.pipedrive.emulation import PipedriveSandbox
from crm_sandbox.pipedrive.operations import OPERATIONS
from crm_sandbox.registry import Emulation, Premises


class PipedriveVendor:
    """The host names of Pipedrive and how to open its companies."""

    name = "pipedrive"
    hosts = ("*.pipedrive.com",)
    operations = OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Begin to answer; a company is filled when somebody asks for it."""
        return PipedriveSandbox(premises)
