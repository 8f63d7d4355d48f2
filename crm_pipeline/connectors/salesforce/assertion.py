"""Assertions of the JWT bearer flow, signed with the key whose certificate the app has.

Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow for Server-to-Server Integration": RS256, RSA keys
of at least 2048 bits, `exp` at most three minutes ahead.
"""

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.kernel.secret import Secret
from crm_pipeline.settings import Connection, Settings

# A minute less than Salesforce allows, to tolerate a clock that is slightly ahead.
LIFETIME = timedelta(minutes=2)
_SMALLEST_BITS = 2048
_MAKE_KEY = (
    "Make one with `openssl req -x509 -newkey rsa:2048 -nodes -days 730 -subj /CN=crm-pipeline -keyout "
    "key.pem -out certificate.pem`, and upload certificate.pem to the app."
)


def signed(
    key: RSAPrivateKey, *, issuer: str, subject: str, audience: str, now: datetime
) -> Secret:
    """Return an assertion that is valid for two minutes from now."""
    payload = {
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "exp": int((now + LIFETIME).timestamp()),
    }
    head = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256"}, payload))
    return Secret(f"{head}.{_encoded(key.sign(head.encode(), PKCS1v15(), SHA256()))}")


def private_key(settings: Settings, connection: Connection) -> RSAPrivateKey:
    """Return the connection's key, from its variable or from the file that its variable names.

    Raises:
        SecretMissing: the variable is not set.
        ConfigError: the file cannot be read, or holds no RSA key without a password.
    """
    pem = key_text(settings, connection)
    source = _source(connection)
    owner = f"connection '{connection.name}'"
    if "PRIVATE KEY-----" not in pem:
        content = "a certificate or a public key" if "-----BEGIN" in pem else "no key in PEM form"
        raise ConfigError(
            f"{owner}: {source} holds {content}, and a private key is needed "
            "('-----BEGIN PRIVATE KEY-----').",
            cure=f"Put the whole file there; in .env in one line with \\n for line ends. {_MAKE_KEY}",
        )
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise ConfigError(
            f"{owner}: the private key of {source} has a password.",
            cure="Take it off with `openssl pkey -in key.pem -out plain.pem`, and let only this user "
            "read the file (mode 0600).",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(
            f"{owner}: the private key of {source} cannot be read; it is damaged or cut short.",
            cure=f"Look for missing lines and line ends. {_MAKE_KEY}",
        ) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _SMALLEST_BITS:
        raise ConfigError(
            f"{owner}: the private key of {source} is no RSA key of at least {_SMALLEST_BITS} bits, the "
            "only kind that Salesforce takes.",
            cure=_MAKE_KEY,
        )
    return key


def key_text(settings: Settings, connection: Connection) -> str:
    """Return the PEM text of the variable, or of the file that the variable names.

    Raises:
        SecretMissing: the variable is not set.
        ConfigError: the file cannot be read.
    """
    if "private_key" in connection.auth.variables:
        text = settings.secret(connection, "private_key").reveal()
        # A variable of one line holds \n for line ends.
        return text.replace("\\r", "").replace("\\n", "\n")
    named = settings.secret(connection, "private_key_file").reveal()
    path = (settings.root / Path(named).expanduser()).resolve()
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        # The text does not repeat the file name: it may be the key itself, in the wrong variable.
        raise ConfigError(
            f"connection '{connection.name}': the file that {_source(connection)} names cannot be "
            f"read: {reason}.",
            cure="Put the path of the PEM file into it, absolute or from the folder of "
            "connections.yaml, and let this user read the file.",
        ) from None


def audience(connection: Connection) -> str:
    """Return the audience of the assertion: the configured one, else the login server.

    External Client Apps take the org's My Domain, and orgs may forbid the generic hosts.
    """
    return connection.auth.audience or connection.login_url


def _source(connection: Connection) -> str:
    variables = connection.auth.variables
    return f"the variable {variables.get('private_key') or variables.get('private_key_file')}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
