"""The sandbox orgs' fixed credentials; made up, printed in documentation, worth nothing."""

import re
from dataclasses import dataclass

# The port may be any: several sandboxes and their clients share one machine (RFC 8252, 7.3).
_CALLBACK = re.compile(r"http://(localhost|127\.0\.0\.1)(:\d{1,5})?(/[\w/-]*)?")


@dataclass(frozen=True)
class Credentials:
    """What an app needs for one org.

    Attributes:
        code: the self-client's code, good once.
        refresh_token: the refresh token, valid until it is revoked.
    """

    client_id: str
    client_secret: str
    code: str
    refresh_token: str


BY_ACCOUNT = {
    "main": Credentials(
        "1000.SANDBOXMAINCLIENTID",
        "sandbox-main-client-secret",
        "1000.sandbox-main-code",
        "1000.sandbox-main-refresh-token",
    ),
    "second": Credentials(
        "1000.SANDBOXSECONDCLIENTID",
        "sandbox-second-client-secret",
        "1000.sandbox-second-code",
        "1000.sandbox-second-refresh-token",
    ),
}


def is_callback(address: str) -> bool:
    """Say whether the apps have this address registered for their callback."""
    return _CALLBACK.fullmatch(address) is not None
