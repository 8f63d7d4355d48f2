"""The sandbox companies' fixed credentials; made up, printed in documentation, worth nothing."""

import re
from dataclasses import dataclass

CLIENT_ID = "sandbox-pipedrive-client-id"
CLIENT_SECRET = "sandbox-pipedrive-client-secret"  # noqa: S105 - a public constant of an emulated server
# The port may be any: several sandboxes and their clients share one machine (RFC 8252, 7.3).
_CALLBACK = re.compile(r"http://localhost(:\d{1,5})?/OauthRedirect")


@dataclass(frozen=True)
class Access:
    """How to get into one company.

    Attributes:
        api_token: of an administrator, who sees everything.
        restricted_token: of a user who sees shared records and the own ones.
        refresh_token: of the app that an administrator has installed.
        domain: the company's part of `<domain>.pipedrive.com`.
        company_id: the number of the company.
    """

    api_token: str
    restricted_token: str
    refresh_token: str
    domain: str
    company_id: int


ACCOUNTS = {
    "main": Access(
        "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c00001",
        "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c00009",
        "sandbox-pipedrive-refresh-main",
        "sandbox-main",
        6_000_001,
    ),
    "second": Access(
        "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c00002",
        "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c0000a",
        "sandbox-pipedrive-refresh-second",
        "sandbox-second",
        7_000_002,
    ),
}


def is_callback(address: str) -> bool:
    """Say whether the app has this address registered for its callback."""
    return _CALLBACK.fullmatch(address) is not None
