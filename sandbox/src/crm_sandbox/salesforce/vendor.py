"""What the sandbox's registry needs to know about Salesforce."""

from crm_sandbox.registry import Emulation, Premises
from crm_sandbox.salesforce.emulation import SalesforceSandbox
from crm_sandbox.salesforce.operations import OPERATIONS


class SalesforceVendor:
    """The host names of Salesforce and how to open an org."""

    name = "salesforce"
    hosts = ("*.my.salesforce.com", "login.salesforce.com", "test.salesforce.com")
    operations = OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Fill an org from the world and start answering for it."""
        return SalesforceSandbox(premises)
