"""Keyed hashes of values that are not stored: of hashed fields, and of persons who were erased.

HMAC-SHA-256. Equal values have equal hashes in all connections and runs, so that they can be counted and joined; without
the key nobody finds a value by trying. Another key gives other hashes, so the key belongs to the data.
"""

import hmac
from hashlib import sha256

from crm_pipeline.store.tokens.key_file import KeySettings, configured_key, require_length

KEY_VARIABLE = "CRM_HASH_KEY"
KEY_FILE = "hash.key"
_NAME_DIGITS = 8


class HashKey:
    """Computes keyed hashes; the key is never shown.

    Args:
        key: 32 bytes.
        origin: of the key, for error texts.
    """

    __slots__ = ("_key", "origin")

    def __init__(self, key: bytes, *, origin: str = "the hash key") -> None:
        require_length(key, origin)
        self._key = key
        self.origin = origin

    @classmethod
    def of(cls, settings: KeySettings) -> "HashKey":
        """Return the key of `CRM_HASH_KEY`, otherwise of `data/hash.key`, which is made if missing.

        Raises:
            ConfigError: the text is not a key, or others may read the file.
            StoreError: the file cannot be read or written.
        """
        key, origin = configured_key(settings, KEY_VARIABLE, KEY_FILE)
        return cls(key, origin=origin)

    def __repr__(self) -> str:
        return f"HashKey(from {self.origin})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a HashKey is not written to anything")

    @property
    def name(self) -> str:
        """Identifies the key without telling anything about it."""
        return self.digest("", purpose="name")[:_NAME_DIGITS]

    def digest(self, value: str | bytes, *, purpose: str = "value") -> str:
        """Return the hash of a value as 64 hexadecimal digits; each purpose has hashes of its own."""
        plain = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        return hmac.new(self._key, purpose.encode() + b"\0" + plain, sha256).hexdigest()
