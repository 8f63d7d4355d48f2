"""JWT bearer assertions: signed with RS256 by a key whose certificate the app has registered."""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

_AUDIENCES = ("https://login.salesforce.com", "https://test.salesforce.com")
# Salesforce documents three minutes and tolerates clocks that are a little off.
_LONGEST_S = 300


def public_key_of(pem: str) -> RSAPublicKey:
    """Read a public key or a certificate.

    Raises:
        ValueError: it is neither, or not RSA.
    """
    text = pem.encode()
    certificate = b"CERTIFICATE" in text
    key = load_pem_x509_certificate(text).public_key() if certificate else load_pem_public_key(text)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the key must be an RSA key")  # noqa: TRY004 - its content is at fault
    return key


def claims_of(assertion: str, key: RSAPublicKey) -> dict[str, Any]:
    """Return the claims of an assertion whose signature is right.

    Raises:
        ValueError: the assertion cannot be read or was signed by another key.
    """
    signed, _, signature = assertion.rpartition(".")
    head, _, body = signed.partition(".")
    try:
        header, claims = json.loads(_decoded(head)), json.loads(_decoded(body))
        key.verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
    except (binascii.Error, InvalidSignature, UnicodeDecodeError) as problem:
        raise ValueError("invalid assertion") from problem
    if not isinstance(claims, dict) or header.get("alg") != "RS256":
        raise ValueError("invalid assertion")
    return claims


def is_current(claims: dict[str, Any], now: datetime) -> bool:
    """Tell whether an assertion is valid now, and not for too long."""
    expires = claims.get("exp")
    if not isinstance(expires, int | float):
        return False
    return 0 < expires - now.timestamp() <= _LONGEST_S


def is_meant_here(claims: dict[str, Any], own: tuple[str, ...]) -> bool:
    """Tell whether the audience is a login host or one of the org's own addresses."""
    return claims.get("aud") in (*_AUDIENCES, *own)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
