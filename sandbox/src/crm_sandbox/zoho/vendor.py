"""The entry of Zoho in the registry of vendors."""

from crm_sandbox.operations import OperationTable
from crm_sandbox.registry import Emulation, Premises
from crm_sandbox.zoho.centres import HOSTS
from crm_sandbox.zoho.credentials import BY_ACCOUNT


class ZohoVendor:
    """The host names of Zoho and how to open its orgs."""

    name = "zoho"
    hosts = HOSTS
    accounts = tuple(BY_ACCOUNT)

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        lines = [
            ("Zoho CRM", f"{url}/zoho"),
            ("Zoho token endpoint", f"{url}/zoho/oauth/v2/token"),
        ]
        for key, one in BY_ACCOUNT.items():
            lines += [
                (f"Zoho client id ({key})", one.client_id),
                (f"Zoho client secret ({key})", one.client_secret),
                (f"Zoho refresh token ({key})", one.refresh_token),
            ]
        return [*lines, ("Zoho admin", f"{url}/_admin/zoho")]

    def credentials(self, url: str, account: str) -> dict[str, str]:
        """Return what a client needs to log in to an account."""
        org = BY_ACCOUNT[account]
        return {
            "token_url": f"{url}/zoho/oauth/v2/token",
            "client_id": org.client_id,
            "client_secret": org.client_secret,
            "refresh_token": org.refresh_token,
        }

    @property
    def operations(self) -> OperationTable:
        """All operations that are built."""
        from crm_sandbox.zoho.operations import OPERATIONS

        return OPERATIONS

    def open(self, premises: Premises) -> Emulation:
        """Start answering; an org is filled when it is first asked for."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.zoho.emulation import ZohoSandbox

        return ZohoSandbox(premises)
