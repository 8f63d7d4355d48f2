"""Signatures of webhook deliveries.

Source: https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests
"""

import base64
import hashlib
import hmac

# These stand decoded in what is signed.
_DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}


def signature_v1(secret: str, body: bytes) -> str:
    """Return the first signature: of secret and body."""
    return hashlib.sha256(secret.encode() + body).hexdigest()


def signature_v2(secret: str, method: str, uri: str, body: bytes) -> str:
    """Return the second signature: of secret, method, address and body."""
    return hashlib.sha256(f"{secret}{method}{uri}".encode() + body).hexdigest()


def signature_v3(secret: str, method: str, uri: str, body: bytes, stamp: str) -> str:
    """Return the third signature: keyed with the secret, over method, address, body and stamp."""
    decoded = uri
    for code, letter in _DECODED.items():
        decoded = decoded.replace(code, letter).replace(code.lower(), letter)
    signed = f"{method}{decoded}".encode() + body + stamp.encode()
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def signed_headers(secret: str, uri: str, body: bytes, stamp: str) -> dict[str, str]:
    """Return the headers of a delivery, which carries the first and the third signature."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/) (namespace: webhooks-nio-http-client)",
        "X-HubSpot-Signature": signature_v1(secret, body),
        "X-HubSpot-Signature-Version": "v1",
        "X-HubSpot-Signature-v3": signature_v3(secret, "POST", uri, body, stamp),
        "X-HubSpot-Request-Timestamp": stamp,
    }
