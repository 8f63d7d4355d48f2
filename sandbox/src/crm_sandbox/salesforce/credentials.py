"""The sandbox org's fixed credentials; made up, printed in documentation, worth nothing."""

import re

CLIENT_ID = "sandbox-client-id"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - a public constant of an emulated server
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - as above
USERNAME = "user0@sandbox.example"
PASSWORD = "sandbox-password"  # noqa: S105 - as above
MY_DOMAIN = "sandbox.my.salesforce.com"
# The port may be any: several sandboxes and their clients share one machine (RFC 8252, 7.3).
_CALLBACK = re.compile(r"http://localhost(:\d{1,5})?/OauthRedirect")


def is_callback(address: str) -> bool:
    """Say whether the app has this address registered for its callback."""
    return _CALLBACK.fullmatch(address) is not None
