"""The sandbox's own certificate authority, and the certificates that it issues.

The authority is made once per folder and read again at every start, so that a client that trusts it
goes on doing so. It never leaves the machine, and only its owner can read its key.
"""

import contextlib
import os
import ssl
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

BUNDLE = "sandbox-ca.pem"
KEY = "sandbox-ca.key"
_HERE = ("localhost", "*.localhost", "127.0.0.1", "::1")
_MOST_NAMES = 256


class Authority:
    """A certificate authority whose certificate and key lie in a folder.

    Args:
        folder: where they lie, or are put if there are none that fit together.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.bundle = folder / BUNDLE
        self._authority = _kept(self.bundle, folder / KEY) or _made(self.bundle, folder / KEY)

    def context(self, patterns: Iterable[str], owns: Callable[[str], bool]) -> ssl.SSLContext:
        """Return what a server needs to speak TLS under these host names.

        Args:
            patterns: host names, wildcards among them, that one certificate covers.
            owns: says of any other name that a client asks for (a wildcard stands for one label)
                whether a certificate of its own is made for it.
        """
        shared = self._context((*_HERE, *patterns))
        covered = frozenset(patterns)

        @lru_cache(maxsize=_MOST_NAMES)
        def single(name: str) -> ssl.SSLContext:
            return self._context((name,))

        def choose(tunnel: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            asked = (name or "").lower()
            wildcard = "*." + asked.partition(".")[2]
            if asked not in covered and wildcard not in covered and owns(asked):
                tunnel.context = single(asked)

        shared.sni_callback = choose
        return shared

    def _context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._authority.issue_cert(*names).configure_cert(context)
        return context


def _kept(bundle: Path, key: Path) -> trustme.CA | None:
    """Return the authority that lies there; None where there is none, or one that is of no use."""
    try:
        certificate, secret = bundle.read_bytes(), key.read_bytes()
        found = load_pem_x509_certificate(certificate)
        fits = load_pem_private_key(secret, None).public_key() == found.public_key()
    except (OSError, ValueError, TypeError):
        return None
    if not fits or found.not_valid_after_utc <= datetime.now(UTC):
        return None
    return trustme.CA.from_pem(certificate, secret)


def _made(bundle: Path, key: Path) -> trustme.CA:
    made = trustme.CA(organization_name="crm-pipeline sandbox")
    bundle.parent.mkdir(parents=True, exist_ok=True)
    _write(key, made.private_key_pem.bytes(), 0o600)
    _write(bundle, made.cert_pem.bytes(), 0o600)
    return made


def _write(path: Path, content: bytes, mode: int) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, mode)  # noqa: PTH101 - the name comes as text
        os.replace(temporary, path)  # noqa: PTH105 - as above
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108 - as above
        raise
