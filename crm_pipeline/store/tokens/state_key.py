"""The key that encrypts secrets in PostgreSQL: its origin, sealing and opening."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from crm_pipeline.kernel.errors import StoreError
from crm_pipeline.store.tokens.key_file import KeySettings, configured_key, require_length

KEY_VARIABLE = "CRM_STATE_KEY"
KEY_FILE = "state.key"
_NONCE_BYTES = 12
_FORMAT = b"\x01"  # AES-256-GCM: format, nonce, cipher text with tag


class StateKey:
    """Encrypts and decrypts bytes (AES-256-GCM); the key is never shown.

    Args:
        key: 32 bytes.
        origin: of the key, for error texts.
    """

    __slots__ = ("_cipher", "origin")

    def __init__(self, key: bytes, *, origin: str = "the state key") -> None:
        require_length(key, origin)
        self._cipher = AESGCM(key)
        self.origin = origin

    @classmethod
    def of(cls, settings: KeySettings) -> "StateKey":
        """Return the key of `CRM_STATE_KEY`, otherwise of `data/state.key`, which is made if missing.

        Raises:
            ConfigError: the text is not a key, or others may read the file.
            StoreError: the file cannot be read or written.
        """
        key, origin = configured_key(settings, KEY_VARIABLE, KEY_FILE)
        return cls(key, origin=origin)

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
