"""Keep erased persons from coming back: records and addresses with a tombstone do not land again.

A record that was created in the CRM after the erasure is another one: whoever is a customer again lands like anybody
else.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.connectors.registry import connector
from crm_pipeline.model.mapping import ObjectMap
from crm_pipeline.model.schema import Schema
from crm_pipeline.model.selection import tables_of, with_overrides
from crm_pipeline.settings import Connection
from crm_pipeline.store.erasing.redaction import Redaction
from crm_pipeline.store.erasing.subject import RecordKey
from crm_pipeline.store.landing.records import landed_name
from crm_pipeline.store.landing.rejects import Reject
from crm_pipeline.store.landing.tombstones import Tombstones, address_digest, record_digest
from crm_pipeline.store.tokens.hash_key import HashKey
from crm_pipeline.wire.decoding import UNREADABLE

_EMAIL_COLUMNS = ("email", "emails")
PERSONS = ("contacts", "leads", "users")
"""The tables whose rows are persons."""
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)+")
_AT = r"@|\\u0040|%40"
"""The sign in all addresses, as it is in texts, in JSON and in addresses of pages."""
_AROUND_AT = re.compile(r"\s*@\s*")
_LONGEST_EPOCH = 13


class EmailField(NamedTuple):
    """A field with e-mail addresses of a person: its path in JSON records, and its CSV column."""

    path: tuple[str, ...]
    column: str

    def addresses(self, row: Mapping[str, Any]) -> set[str]:
        """Return the addresses of a landed row, in lower case."""
        if "record" not in row:
            return set(_texts(row.get(landed_name(self.column))))
        try:
            value = msgspec.json.decode(row["record"] or "")
        except UNREADABLE:
            return set()
        return set(_texts(_at(value, self.path)))


def email_fields(connection: Connection, schema: Schema) -> tuple[EmailField, ...]:
    """Return the fields with the e-mail addresses of an object's persons; none where its records are no persons."""
    tables = tables_of((schema.object,), connector(connection.vendor).mapping)
    entries = [entry for name in PERSONS for entry in tables.get(name, ()) if entry.is_own]
    fields: dict[EmailField, None] = {}
    for entry in (with_overrides(each, connection.mapping) for each in entries):
        for fed in (each for each in entry.fields if each.column in _EMAIL_COLUMNS):
            for name in (fed.source, *fed.fallback, *fed.joined, *fed.former):
                described = schema.by_name.get(name)
                path = described.keys if described else fed.at or tuple(name.split("."))
                fields[EmailField(path, name)] = None
    return tuple(fields)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a value, of lists each one, in lower case; a text may list several, with spaces around the @."""
    if isinstance(value, str):
        joined = _AROUND_AT.sub("@", value)
        yield from (part.strip().casefold() for part in re.split(r"[;,<>]", joined) if part.strip())
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


@dataclass
class WithheldRecords:
    """Finds the records of erased persons in pages.

    Attributes:
        connection, object: what is read.
        tombstones: of all erased persons.
        key: of their hashes.
        created: the path of the field with the time of creation; empty where there is none.
        emails: the fields with e-mail addresses of a person; a tombstone of one counts for the whole record.
        column: the CSV column of that time.
    """

    connection: str
    object: str
    tombstones: Tombstones
    key: HashKey
    created: tuple[str, ...]
    emails: tuple[EmailField, ...]
    column: str = ""

    @classmethod
    def of(
        cls, connection: Connection, schema: Schema, tombstones: Tombstones, key: HashKey
    ) -> "WithheldRecords | None":
        """Return what finds them in the pages of an object; None where nobody was erased.

        Raises:
            StoreError: the tombstones were made with another key.
        """
        if not tombstones:
            return None
        tombstones.require(key)
        path, column = _created(connection, schema)
        return cls(
            connection.name,
            schema.object,
            tombstones,
            key,
            path,
            email_fields(connection, schema),
            column,
        )

    def rest_of_rejects(self, rejects: Sequence[Reject]) -> list[Reject]:
        """Return records that cannot be read without those of erased persons, and without their addresses."""
        rest = (reject for reject in rejects if not self._is_record(reject.source_id))
        return [replace(reject, raw=self._redacted(reject.raw)) for reject in rest]

    def rest_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch without the records of erased persons, and without their addresses in other records."""
        ids = batch.column("_source_id").to_pylist()
        own = {n for n, source_id in enumerate(ids) if self._is_record(source_id)}
        hits = self._with_addresses(batch) if self.tombstones.addresses else {}
        suspects = own | {n for n, found in hits.items() if self._is_owner(batch, n, found)}
        gone = {
            n
            for n in suspects
            if not self._is_new(batch, n, self._erased_at(ids[n], hits.get(n, frozenset())))
        }
        kept_new = suspects - gone
        redacted = {n: found for n, found in hits.items() if n not in gone and n not in kept_new}
        for n, found in redacted.items():
            batch = _redacted_row(batch, n, Redaction(found))
        if not gone:
            return batch
        return batch.filter(pa.array([n not in gone for n in range(batch.num_rows)]))

    def _is_record(self, source_id: str | None) -> bool:
        known = self.tombstones.records.get((self.connection, self.object))
        return bool(known and source_id) and self._digest(str(source_id)) in (known or {})

    def _digest(self, source_id: str) -> str:
        return record_digest(self.key, RecordKey(self.connection, self.object, source_id))

    def _with_addresses(self, batch: pa.RecordBatch) -> dict[int, frozenset[str]]:
        """Return the addresses of erased persons in each row that holds any."""
        found: dict[int, frozenset[str]] = {}
        names = [n for n in batch.schema.names if pa.types.is_string(batch.schema.field(n).type)]
        for name in names:
            column = batch.column(name)
            for row in pc.indices_nonzero(pc.match_substring_regex(column, _AT)).to_pylist():
                erased = self._erased_in(column[row].as_py())
                if erased:
                    found[row] = found.get(row, frozenset()) | erased
        return found

    def _erased_in(self, text: str) -> frozenset[str]:
        addresses = {one.casefold() for one in _ADDRESS.findall(_plain(text))}
        return frozenset(
            one for one in addresses if address_digest(self.key, one) in self.tombstones.addresses
        )

    def _redacted(self, raw: bytes) -> bytes:
        return Redaction(self._erased_in(raw.decode("utf-8", "replace"))).bytes(raw)

    def _erased_at(self, source_id: str, addresses: frozenset[str]) -> datetime:
        """Return the last moment at which the person of a record was erased."""
        known = self.tombstones.records.get((self.connection, self.object), {})
        moments = [known.get(self._digest(source_id))]
        moments += [self.tombstones.addresses[address_digest(self.key, one)] for one in addresses]
        return max(at for at in moments if at is not None)

    def _is_owner(self, batch: pa.RecordBatch, row: int, addresses: frozenset[str]) -> bool:
        """Return whether a record is the person of one of the addresses, and does not only mention it."""
        if not self.emails:
            return False
        [values] = batch.slice(row, 1).to_pylist()
        return any(field.addresses(values) & addresses for field in self.emails)

    def _is_new(self, batch: pa.RecordBatch, row: int, erased_at: datetime) -> bool:
        created = self._created_at(batch, row)
        return created is not None and created > erased_at

    def _created_at(self, batch: pa.RecordBatch, row: int) -> datetime | None:
        if "record" not in batch.schema.names:
            is_there = self.column and landed_name(self.column) in batch.schema.names
            return (
                _instant(batch.column(landed_name(self.column))[row].as_py()) if is_there else None
            )
        try:
            value = msgspec.json.decode(batch.column("record")[row].as_py())
        except UNREADABLE:
            return None
        return _instant(_at(value, self.created)) if self.created else None


def _created(connection: Connection, schema: Schema) -> tuple[tuple[str, ...], str]:
    """Return the path and the CSV column of the time at which a record was created; empty where there is none."""
    entries: Iterator[ObjectMap] = (
        entry
        for entries in tables_of((schema.object,), connector(connection.vendor).mapping).values()
        for entry in entries
        if entry.is_own
    )
    for entry in entries:
        fed = entry.feeding("created_at")
        if fed is None:
            continue
        if fed.at:
            return fed.at, fed.source
        for name in (fed.source, *fed.fallback):
            if name in schema.by_name:
                return schema.by_name[name].keys, name
    return (), ""


def _instant(value: object) -> datetime | None:
    """Return an instant of a record; ISO 8601 with or without a zone (UTC), or milliseconds since 1970."""
    text = str(value or "").strip()
    if text.isdigit() and len(text) <= _LONGEST_EPOCH:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _plain(text: str) -> str:
    """Return a text with the escapes of JSON and of addresses of pages resolved, as far as addresses need it."""
    return text.replace("\\u0040", "@").replace("%40", "@")


def _redacted_row(batch: pa.RecordBatch, row: int, redaction: Redaction) -> pa.RecordBatch:
    for index, field in enumerate(batch.schema):
        if not pa.types.is_string(field.type):
            continue
        text = batch.column(index)[row].as_py()
        redacted = redaction.text(text) if text else text
        if redacted != text:
            column = batch.column(index)
            parts = [column.slice(0, row), pa.array([redacted], field.type), column.slice(row + 1)]
            batch = batch.set_column(index, field, pa.concat_arrays(parts))
    return batch
