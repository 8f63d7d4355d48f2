"""What the sandbox's registry needs to know about Zoho."""

from crm_sandbox.registry import Emulation, Premises
from crm_sandbox.zoho.centres import HOSTS
from crm_sandbox.zoho.emulation import ZohoSandbox
from crm_sandbox.zoho.operations import OPERATIONS


class ZohoVendor:
    """The host names of Zoho and how to open its orgs."""

    name = "zoho"
    hosts = HOSTS
    operations = OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Start answering; an org is filled when it is first asked for."""
        return ZohoSandbox(premises)
