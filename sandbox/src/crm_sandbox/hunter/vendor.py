"""The entry of Hunter in the registry of vendors."""

from crm_sandbox.operations import OperationTable, listed
from crm_sandbox.registry import Emulation, Premises

API_KEY = "sandbox-hunter-key"
OPERATIONS = OperationTable(listed("GET /v2/email-verifier"), lambda path: path.rstrip("/"))


class HunterVendor:
    """The host name of Hunter and how to open its account."""

    name = "hunter"
    hosts = ("api.hunter.io",)
    accounts = ("main",)
    operations = OPERATIONS

    def access(self, url: str) -> list[tuple[str, str]]:
        """Say how to connect."""
        return [
            ("Hunter", f"{url}/hunter"),
            ("Hunter API key", API_KEY),
            ("Hunter admin", f"{url}/_admin/hunter"),
        ]

    def credentials(self, url: str, account: str) -> dict[str, str]:  # noqa: ARG002
        """Return what a client needs."""
        return {"api_key": API_KEY}

    def open(self, premises: Premises) -> Emulation:
        """Begin to answer."""
        # Loaded here, because a start that loads every vendor takes too long.
        from crm_sandbox.hunter.emulation import HunterSandbox

        return HunterSandbox(premises, API_KEY)
