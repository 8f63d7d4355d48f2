"""The entry of Prospeo in the registry of vendors."""

from crm_sandbox.operations import OperationTable, listed
from crm_sandbox.prospeo.credentials import API_KEY
from crm_sandbox.registry import Emulation, Premises

OPERATIONS = OperationTable(
    listed(
        """
        POST /enrich-person
        POST /bulk-enrich-person
        POST /enrich-company
        POST /bulk-enrich-company
        POST /search-person
        GET|POST /account-information
        """
    ),
    lambda path: path.rstrip("/"),
)


class ProspeoVendor:
    """The host name of Prospeo and how to open its account."""

    name = "prospeo"
    hosts = ("api.prospeo.io",)
    accounts = ("main",)
    operations = OPERATIONS

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        return [
            ("Prospeo", f"{url}/prospeo"),
            ("Prospeo API key", API_KEY),
            ("Prospeo admin", f"{url}/_admin/prospeo"),
        ]

    def credentials(self, url: str, account: str) -> dict[str, str]:  # noqa: ARG002
        """Return what a client needs."""
        return {"api_key": API_KEY}

    def open(self, premises: Premises) -> Emulation:
        """Begin to answer."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.prospeo.emulation import ProspeoSandbox

        return ProspeoSandbox(premises)
