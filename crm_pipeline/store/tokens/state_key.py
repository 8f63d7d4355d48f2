"""The key that encrypts secrets in PostgreSQL: its origin, sealing and opening."""

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import disk_full, is_full

KEY_VARIABLE = "CRM_STATE_KEY"
KEY_FILE = "state.key"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"  # AES-256-GCM: format, nonce, cipher text with tag
_MAKE = "`python -c 'import secrets; print(secrets.token_hex(32))'`"


class KeySettings(Protocol):
    """The part of the settings that the key comes from."""

    @property
    def data(self) -> Path:
        """The data folder."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, `.env` included."""


class StateKey:
    """Encrypts and decrypts bytes (AES-256-GCM); the key is never shown.

    Args:
        key: 32 bytes.
        origin: of the key, for error texts.
    """

    __slots__ = ("_cipher", "origin")

    def __init__(self, key: bytes, *, origin: str = "the state key") -> None:
        if len(key) != _KEY_BYTES:
            raise ConfigError(
                f"{origin} holds {len(key)} bytes instead of {_KEY_BYTES}.",
                cure=f"Make a key with {_MAKE}.",
            )
        self._cipher = AESGCM(key)
        self.origin = origin

    @classmethod
    def of(cls, settings: KeySettings) -> "StateKey":
        """Return the key of `CRM_STATE_KEY`, otherwise of `data/state.key`, which is made if missing.

        Raises:
            ConfigError: the text is not a key, or others may read the file.
            StoreError: the file cannot be read or written.
        """
        given = settings.environ.get(KEY_VARIABLE, "").strip()
        if given:
            return cls(_decoded(given, KEY_VARIABLE), origin=f"the variable {KEY_VARIABLE}")
        path = settings.data / KEY_FILE
        try:
            text = _read_or_make(path)
            mode = path.stat().st_mode & 0o777
        except OSError as error:
            if is_full(error):
                raise disk_full(f"the key file {path} cannot be made", path) from error
            raise StoreError(
                f"the key file {path} cannot be read or made ({error.strerror}).",
                cure=f"Give this user access to it, or set {KEY_VARIABLE}.",
            ) from error
        if mode & 0o077:
            raise ConfigError(
                f"the key file {path} has mode {mode:04o}: others on this machine may use it.",
                cure=f"Run `chmod 600 {path}`; where the disk knows no modes, set {KEY_VARIABLE}.",
            )
        return cls(_decoded(text.strip(), str(path)), origin=f"the file {path}")

    def __repr__(self) -> str:
        return f"StateKey(from {self.origin})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a StateKey is not written to anything")

    def seal(self, plain: bytes, *, context: str) -> bytes:
        """Return encrypted bytes, which only `opened` with the same context decrypts."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, _FORMAT + context.encode())

    def opened(self, sealed: bytes, *, context: str) -> bytes:
        """Return the decrypted bytes of `seal`.

        Raises:
            StoreError: the key or the context is another one, or the bytes are damaged.
        """
        form, nonce = sealed[: len(_FORMAT)], sealed[len(_FORMAT) : len(_FORMAT) + _NONCE_BYTES]
        body = sealed[len(_FORMAT) + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, form + context.encode())
        except (InvalidTag, ValueError) as error:
            raise StoreError(
                f"the stored {context} cannot be decrypted with {self.origin}: it was written under"
                " another key, or is damaged.",
                cure=f"Put the former key back ({KEY_VARIABLE}, or {KEY_FILE} in the data folder).",
            ) from error


def _decoded(text: str, origin: str) -> bytes:
    try:
        if len(text) == 2 * _KEY_BYTES:
            return bytes.fromhex(text)
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (ValueError, binascii.Error):
        # Without a cause, because such errors may quote the text.
        raise ConfigError(
            f"{origin} is no key: 64 hexadecimal digits or 32 bytes in base64 are expected.",
            cure=f"Make one with {_MAKE}.",
        ) from None


def _read_or_make(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        files.make_private(path.parent)
    fresh = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # Linking, unlike renaming, fails for the second of two processes.
            os.link(fresh, path)
            _sync_folder(path.parent)
        except FileExistsError:
            pass
    finally:
        fresh.unlink()
    return path.read_text(encoding="ascii", errors="replace")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
