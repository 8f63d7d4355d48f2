"""Keys of 32 bytes: from a variable of the environment, otherwise from a file in the data folder, made if missing."""

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from crm_pipeline.kernel.errors import ConfigError, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.files.disk import disk_full, is_full

_KEY_BYTES = 32
_MAKE = "`python -c 'import secrets; print(secrets.token_hex(32))'`"


class KeySettings(Protocol):
    """The part of the settings that the key comes from."""

    @property
    def data(self) -> Path:
        """The data folder."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, `.env` included."""


def configured_key(settings: KeySettings, variable: str, file: str) -> tuple[bytes, str]:
    """Return a key and its origin, for error texts.

    Args:
        settings: the environment and the data folder.
        variable: of the environment; it wins.
        file: name of the file in the data folder, which is made if neither exists.

    Raises:
        ConfigError: the text is not a key, or others may read the file.
        StoreError: the file cannot be read or written.
    """
    given = settings.environ.get(variable, "").strip()
    if given:
        return _decoded(given, variable), f"the variable {variable}"
    path = settings.data / file
    try:
        text = _read_or_make(path)
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        if is_full(error):
            raise disk_full(f"the key file {path} cannot be made", path) from error
        raise StoreError(
            f"the key file {path} cannot be read or made ({error.strerror}).",
            cure=f"Give this user access to it, or set {variable}.",
        ) from error
    if mode & 0o077:
        raise ConfigError(
            f"the key file {path} has mode {mode:04o}: others on this machine may use it.",
            cure=f"Run `chmod 600 {path}`; where the disk knows no modes, set {variable}.",
        )
    return _decoded(text.strip(), str(path)), f"the file {path}"


def require_length(key: bytes, origin: str) -> None:
    """Refuse a key of another length.

    Raises:
        ConfigError: the key has not 32 bytes.
    """
    if len(key) != _KEY_BYTES:
        raise ConfigError(
            f"{origin} holds {len(key)} bytes instead of {_KEY_BYTES}.",
            cure=f"Make a key with {_MAKE}.",
        )


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
