"""The entry of Pipedrive in the registry of vendors."""

from crm_sandbox.operations import OperationTable
from crm_sandbox.pipedrive import credentials
from crm_sandbox.registry import Emulation, Premises


class PipedriveVendor:
    """The host names of Pipedrive and how to open its companies."""

    name = "pipedrive"
    hosts = ("*.pipedrive.com",)
    accounts = tuple(credentials.ACCOUNTS)

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        lines = [("Pipedrive", f"{url}/pipedrive")]
        for name, one in credentials.ACCOUNTS.items():
            lines += [
                (f"Pipedrive {name} API token", one.api_token),
                (f"Pipedrive {name} refresh token", one.refresh_token),
            ]
        return [
            *lines,
            ("Pipedrive token endpoint", f"{url}/pipedrive/oauth/token"),
            ("Pipedrive client id", credentials.CLIENT_ID),
            ("Pipedrive client secret", credentials.CLIENT_SECRET),
            ("Pipedrive admin", f"{url}/_admin/pipedrive"),
        ]

    def credentials(self, url: str, account: str) -> dict[str, str]:
        """Return what a client needs to log in to an account."""
        company = credentials.ACCOUNTS[account]
        return {
            "token_url": f"{url}/pipedrive/oauth/token",
            "api_token": company.api_token,
            "client_id": credentials.CLIENT_ID,
            "client_secret": credentials.CLIENT_SECRET,
            "refresh_token": company.refresh_token,
        }

    @property
    def operations(self) -> OperationTable:
        """All operations that are built."""
        from crm_sandbox.pipedrive.operations import OPERATIONS

        return OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Begin to answer; a company is filled when somebody asks for it."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.pipedrive.emulation import PipedriveSandbox

        return PipedriveSandbox(premises)
