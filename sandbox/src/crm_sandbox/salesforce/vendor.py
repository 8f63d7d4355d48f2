"""The entry of Salesforce in the registry of vendors."""

from crm_sandbox.operations import OperationTable
from crm_sandbox.registry import Emulation, Premises
from crm_sandbox.salesforce import credentials


class SalesforceVendor:
    """The host names of Salesforce and how to open an org."""

    name = "salesforce"
    hosts = ("*.my.salesforce.com", "login.salesforce.com", "test.salesforce.com")
    accounts = ("main",)

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        return [
            ("Salesforce", f"{url}/salesforce"),
            ("Salesforce token endpoint", f"{url}/salesforce/services/oauth2/token"),
            ("Salesforce client id", credentials.CLIENT_ID),
            ("Salesforce client secret", credentials.CLIENT_SECRET),
            ("Salesforce refresh token", credentials.REFRESH_TOKEN),
            ("Salesforce user name", credentials.USERNAME),
            ("Salesforce password", credentials.PASSWORD),
            ("Salesforce admin", f"{url}/_admin/salesforce"),
        ]

    def credentials(self, url: str, account: str) -> dict[str, str]:  # noqa: ARG002 - one org
        """Return what a client needs to log in to an account."""
        return {
            "token_url": f"{url}/salesforce/services/oauth2/token",
            "client_id": credentials.CLIENT_ID,
            "client_secret": credentials.CLIENT_SECRET,
            "refresh_token": credentials.REFRESH_TOKEN,
            "username": credentials.USERNAME,
            "password": credentials.PASSWORD,
        }

    @property
    def operations(self) -> OperationTable:
        """All operations that are built."""
        from crm_sandbox.salesforce.operations import OPERATIONS

        return OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Fill an org from the world and start answering for it."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.salesforce.emulation import SalesforceSandbox

        return SalesforceSandbox(premises)
