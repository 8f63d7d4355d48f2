"""The subject of an erasure, what a store erases of it, and the protocol of stores."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

from crm_pipeline.kernel.errors import ConfigError


class RecordKey(NamedTuple):
    """A record of a CRM; as text it is the key that tables have, `<connection>:<object>:<id>`."""

    connection: str
    object: str
    source_id: str

    def __str__(self) -> str:
        return f"{self.connection}:{self.object}:{self.source_id}"

    @classmethod
    def parse(cls, text: str) -> "RecordKey":
        """Return the key of a text.

        Raises:
            ConfigError: the text is no key.
        """
        parts = text.split(":", 2)
        if len(parts) != 3 or not all(parts):
            raise ConfigError(
                "this is neither an e-mail address nor the key of a record.",
                cure="Write an address, or <connection>:<object>:<id>, such as salesforce_acme:Contact:003xx; "
                "the tables have such keys in contact_key and the like.",
            )
        return cls(*parts)


@dataclass(frozen=True)
class Subject:
    """A person, as far as stores have to know the person to erase them.

    Attributes:
        records: the person's own records, which are removed.
        addresses: e-mail addresses of this person alone, in lower case; they are replaced wherever they stand.
        linked: records of others in which the person's names are replaced as well.
        names: names and phones, replaced in the linked records.
    """

    records: frozenset[RecordKey] = frozenset()
    addresses: frozenset[str] = frozenset()
    linked: frozenset[RecordKey] = frozenset()
    names: frozenset[str] = frozenset()

    @cached_property
    def keys(self) -> frozenset[str]:
        """The keys of the records as texts."""
        return frozenset(map(str, self.records))

    @cached_property
    def by_object(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The ids of the records by connection and object."""
        return _by_object(self.records)

    @cached_property
    def linked_by_object(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """The ids of the linked records by connection and object."""
        return _by_object(self.linked)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to erase."""
        return not (self.records or self.addresses)

    @property
    def values(self) -> Iterator[tuple[str, str]]:
        """The addresses with names that may be shown, for a search."""
        for number, address in enumerate(sorted(self.addresses), 1):
            yield f"address {number}", address


def _by_object(keys: frozenset[RecordKey]) -> dict[tuple[str, str], frozenset[str]]:
    ids: dict[tuple[str, str], set[str]] = {}
    for key in keys:
        ids.setdefault((key.connection, key.object), set()).add(key.source_id)
    return {owner: frozenset(each) for owner, each in ids.items()}


@dataclass
class Erased:
    """What a store holds, or held, of a subject.

    Attributes:
        store: the store's name.
        rows: removed rows.
        values: rows in which values were replaced.
        files: the files that were rewritten or removed.
    """

    store: str
    rows: int = 0
    values: int = 0
    files: list[Path] = field(default_factory=list)

    def add(self, path: Path, rows: int, values: int) -> None:
        """Add what a file holds."""
        if rows or values:
            self.rows += rows
            self.values += values
            self.files.append(path)


class Store(Protocol):
    """A store that may hold personal data; it covers folders or files below the data folder."""

    @property
    def name(self) -> str:
        """The name that is shown to people."""

    @property
    def covers(self) -> tuple[str, ...]:
        """The names below the data folder that belong to it."""

    @property
    def subject_keys(self) -> tuple[str, ...]:
        """What it recognizes a person by, in words."""

    def erase(self, subject: Subject, *, apply: bool = False) -> Erased:
        """Return what would go; with `apply`, erase it.

        An erasure that was interrupted is finished by the next one of the same subject.

        Raises:
            StoreError: a file cannot be written; the next call goes on.
            CorruptFile: a file is damaged, so it is not known what it holds.
        """
