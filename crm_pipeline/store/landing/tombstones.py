"""The tombstones of erased persons: keyed hashes of their records and addresses, consulted before records land.

They are one small file, `erased.json` in the data folder. It holds no value of anybody, and without the hash key nobody
can find out whether a person is in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from crm_pipeline.kernel.clock import format_instant, parse_instant
from crm_pipeline.kernel.errors import CorruptFile, StoreError
from crm_pipeline.store import files
from crm_pipeline.store.erasing.subject import RecordKey, Subject
from crm_pipeline.store.tokens.hash_key import HashKey

FILE = "erased.json"
CURE = "Restore it from a backup: without it, persons who were erased come back with the next read of their records."


@dataclass(frozen=True)
class Tombstones:
    """When persons were erased, by the hashes of their records and addresses.

    Attributes:
        records: by connection and object, then by hash.
        addresses: by hash.
        key: the name of the key of the hashes; "" while there are none.
    """

    records: Mapping[tuple[str, str], Mapping[str, datetime]]
    addresses: Mapping[str, datetime]
    key: str = ""

    def __bool__(self) -> bool:
        return bool(self.records or self.addresses)

    @classmethod
    def at(cls, data: Path) -> "Tombstones":
        """Return the tombstones of a data folder.

        Raises:
            CorruptFile: the file is damaged.
        """
        try:
            stored = files.read_json(data / FILE, cure=CURE)
        except FileNotFoundError:
            return cls({}, {})
        try:
            return cls.from_dict(stored)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptFile(f"{data / FILE} is damaged: {error!r}.", cure=CURE) from error

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Tombstones":
        """Return the tombstones that `to_dict` wrote."""
        records: dict[tuple[str, str], dict[str, datetime]] = {}
        for connection, obj, digest, at in stored["records"]:
            records.setdefault((connection, obj), {})[digest] = parse_instant(at)
        addresses = {digest: parse_instant(at) for digest, at in stored["addresses"]}
        return cls(records, addresses, stored["key"])

    def to_dict(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            "key": self.key,
            "records": [
                [connection, obj, digest, format_instant(at)]
                for (connection, obj), digests in sorted(self.records.items())
                for digest, at in sorted(digests.items())
            ],
            "addresses": [
                [digest, format_instant(at)] for digest, at in sorted(self.addresses.items())
            ],
        }

    def require(self, key: HashKey) -> None:
        """Make sure that the hashes were made with a key.

        Raises:
            StoreError: they were made with another one.
        """
        if self.key and self.key != key.name:
            raise StoreError(
                f"the tombstones of erased persons were made with another key than {key.origin}, so erased persons would "
                "come back.",
                cure="Put the former key back (CRM_HASH_KEY, or hash.key in the data folder).",
            )

    def with_subject(self, subject: Subject, key: HashKey, at: datetime) -> "Tombstones":
        """Return the tombstones with those of a subject; the later of two moments counts."""
        records = {owner: dict(digests) for owner, digests in self.records.items()}
        for record in subject.records:
            records.setdefault((record.connection, record.object), {})[
                record_digest(key, record)
            ] = at
        addresses = {
            **self.addresses,
            **{address_digest(key, address): at for address in subject.addresses},
        }
        return Tombstones(records, addresses, key.name)

    def merged(self, other: "Tombstones") -> "Tombstones":
        """Return the tombstones of both, for a restore."""
        records = {owner: dict(digests) for owner, digests in self.records.items()}
        for owner, digests in other.records.items():
            records[owner] = _later(records.get(owner, {}), digests)
        return Tombstones(records, _later(self.addresses, other.addresses), self.key or other.key)

    def write(self, data: Path) -> None:
        """Store them.

        Raises:
            StoreError: the folder is not writable.
        """
        files.write_json(data / FILE, self.to_dict(), "tombstones")


def record_digest(key: HashKey, record: RecordKey) -> str:
    """Return the hash of a record's key."""
    return key.digest(str(record), purpose="record")


def address_digest(key: HashKey, address: str) -> str:
    """Return the hash of an e-mail address, in whatever case it is written."""
    return key.digest(address.strip().casefold(), purpose="address")


def _later(one: Mapping[str, datetime], other: Mapping[str, datetime]) -> dict[str, datetime]:
    names: Iterable[str] = {*one, *other}
    return {
        name: max(at for at in (one.get(name), other.get(name)) if at is not None) for name in names
    }
