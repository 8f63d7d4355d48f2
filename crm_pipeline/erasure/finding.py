"""Find a person: the records of an e-mail address or of a key, and the records that are linked to them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.erasure.spellings import ASCII_DOMAIN, PLAIN, Spellings
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw.withheld import PERSONS, email_fields
from crm_pipeline.store.erasing import RecordKey, Subject
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine

_LINKS = frozenset({"who_key", "contact_key", "lead_key", "primary_contact_key"})
"""Columns by which records of other tables are linked to a person."""
_OWN = ("activities", "campaign_members")
"""Tables whose rows are about the person that they are linked to, if that is nobody else."""
_KEY_PARTS = frozenset({"connection", "object", "source_id"})
_KEY = "connection || ':' || object || ':' || source_id"
_LEAST = 5
_ROWS = 20_000


@dataclass
class _Person:
    """What is known of a person so far."""

    records: set[RecordKey] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    linked: set[RecordKey] = field(default_factory=set)
    shared: int = 0


@dataclass(frozen=True)
class Found:
    """A person as found.

    Attributes:
        subject: what stores have to know.
        shared: number of addresses that other records have as well, which stay.
    """

    subject: Subject
    shared: int = 0


_AROUND = re.compile(r"""[\s"\\<>,;()\[\]]""")
"""Characters that stand around addresses; as a part of one, more than the address would be replaced."""


def _require_alone(target: str) -> None:
    if "@" in target and (around := _AROUND.search(target.strip())):
        raise ConfigError(
            f"what is to be erased holds {around.group()!r}, which is no part of an address.",
            cure="Write the address alone, such as jane@acme.example, or the key of the record.",
        )


def find(settings: Settings, target: str) -> Found:
    """Return the person of an e-mail address, or of the key of a record.

    Raises:
        ConfigError: the text is neither.
    """
    _require_alone(target)
    person, tables = _Person(), Tables(settings.data)
    address = target.strip().casefold() if "@" in target and ":" not in target else ""
    asked: frozenset[str] = frozenset()
    with Engine(settings.data / "tmp", threads=1) as engine:
        if address:
            spellings = Spellings(address)
            asked = spellings.plain
            person.addresses |= asked
            for relation in _relations(tables, engine, PERSONS):
                _of_address(engine, relation, spellings, person)
            person.records |= set(_landed(settings, spellings))
        else:
            person.records.add(RecordKey.parse(target.strip()))
        _with_merged(engine, tables, person)
        for relation in _relations(tables, engine, PERSONS):
            _described(engine, relation, person)
        _without_shared(engine, tables, person, asked)
        _with_linked(engine, tables, person)
    return Found(
        Subject(
            records=frozenset(person.records),
            addresses=frozenset(person.addresses),
            linked=frozenset(person.linked - person.records),
            names=frozenset(name for name in person.names if len(name) >= _LEAST),
        ),
        person.shared,
    )


@dataclass(frozen=True)
class _Relation:
    """The rows of a table of one connection."""

    table: str
    connection: str
    sql: str
    columns: frozenset[str]

    @property
    def addresses(self) -> str:
        """SQL for the list of a row's addresses, in lower case."""
        lists = ["[lower(trim(email))]"] if "email" in self.columns else []
        if "emails" in self.columns:
            lists.append("coalesce(list_transform(emails, lambda e: lower(trim(e.value))), [])")
        return f"list_concat({', '.join(lists)})" if len(lists) > 1 else (lists or ["[]"])[0]


def _relations(tables: Tables, engine: Engine, names: Sequence[str]) -> Iterator[_Relation]:
    for name in tables.names("normalized/"):
        _, connection, table = name.split("/", 2)
        version = tables.version(name)
        if (names and table not in names) or version is None:
            continue
        sql = Tables.relation(version)
        yield _Relation(table, connection, sql, frozenset(engine.columns(sql)))


def _of_address(engine: Engine, relation: _Relation, spellings: Spellings, person: _Person) -> None:
    odd = engine.rows(
        f"SELECT DISTINCT text FROM (SELECT unnest({relation.addresses}) AS text FROM {relation.sql}) "
        f"WHERE NOT regexp_full_match(text, {literal(PLAIN)}) OR contains(text, {literal(ASCII_DOMAIN)})"
    )
    texts = sorted(spellings.plain | spellings.among([text for (text,) in odd]))
    rows = engine.rows(
        f"SELECT connection, object, source_id FROM {relation.sql} "
        f"WHERE list_has_any({relation.addresses}, [{', '.join(map(literal, texts))}])"
    )
    person.records |= {RecordKey(*row) for row in rows}


def _landed(settings: Settings, spellings: Spellings) -> Iterator[RecordKey]:
    """Yield the records of persons that had an address in any version that landed."""
    landing = Landing(settings.data)
    for connection in settings.connections.values():
        for obj in landing.objects(connection.name):
            yield from _landed_of(landing, connection, obj, spellings)


def _landed_of(
    landing: Landing, connection: Connection, obj: str, spellings: Spellings
) -> Iterator[RecordKey]:
    for batch in landing.batches(connection.name, obj):
        fields = email_fields(
            connection, landing.schema(connection.name, obj, batch.schema_fingerprint)
        )
        if not fields:
            continue
        with pq.ParquetFile(batch.path) as file:
            names = file.schema_arrow.names
            columns = ["_source_id", *({"record", *(f.column for f in fields)} & set(names))]
            for part in file.iter_batches(_ROWS, columns=columns):
                texts = [part.column(name) for name in columns[1:]]
                hits = [
                    pc.match_substring_regex(one, spellings.pattern, ignore_case=True)
                    for one in texts
                ]
                for row in sorted({n for hit in hits for n in pc.indices_nonzero(hit).to_pylist()}):
                    [values] = part.slice(row, 1).to_pylist()
                    if any(spellings.plain & f.addresses(values) for f in fields):
                        yield RecordKey(connection.name, obj, values["_source_id"])


def _with_merged(engine: Engine, tables: Tables, person: _Person) -> None:
    """Add the records that were merged into those of the person."""
    while True:
        before = len(person.records)
        for relation in _relations(tables, engine, PERSONS):
            if "merged_into" in relation.columns:
                rows = engine.rows(
                    f"SELECT connection, object, source_id FROM {relation.sql} "
                    f"WHERE merged_into IN ({_keys(person.records)})"
                )
                person.records |= {RecordKey(*row) for row in rows}
        if len(person.records) == before:
            return


def _described(engine: Engine, relation: _Relation, person: _Person) -> None:
    """Add the addresses, names and phones of the person's records."""
    name = "full_name" if "full_name" in relation.columns else "NULL"
    phones = "[]"
    if "phones" in relation.columns:
        phones = "coalesce(list_transform(phones, lambda p: trim(p.value)), [])"
    rows = engine.rows(
        f"SELECT {relation.addresses}, {name}, {phones} FROM {relation.sql} "
        f"WHERE {_KEY} IN ({_keys(person.records)})"
    )
    for addresses, full_name, numbers in rows:
        person.addresses |= {one for one in addresses if one and "@" in one}
        person.names |= {one for one in (full_name, *numbers) if one}


def _without_shared(engine: Engine, tables: Tables, person: _Person, asked: frozenset[str]) -> None:
    """Take out the addresses that records of others have, but not the one that was asked for."""
    others = sorted(person.addresses - asked)
    if not others:
        return
    for relation in _relations(tables, engine, PERSONS):
        rows = engine.rows(
            f"SELECT DISTINCT unnest({relation.addresses}) FROM {relation.sql} "
            f"WHERE list_has_any({relation.addresses}, [{', '.join(map(literal, others))}]) "
            f"AND {_KEY} NOT IN ({_keys(person.records)})"
        )
        shared = {address for (address,) in rows} & (person.addresses - asked)
        person.addresses -= shared
        person.shared += len(shared)


def _with_linked(engine: Engine, tables: Tables, person: _Person) -> None:
    """Add the records that are linked to the person: activities with nobody else are the person's own."""
    keys = {str(record) for record in person.records}
    near = {record for _, record, _ in _links(engine, tables, people=person.records)}
    people: dict[RecordKey, set[str]] = {}
    own: set[RecordKey] = set()
    for table, record, key in _links(engine, tables, records=near) if near else ():
        people.setdefault(record, set()).add(key)
        if table in _OWN:
            own.add(record)
    for record, linked in people.items():
        if record in own and linked <= keys:
            person.records.add(record)
        else:
            person.linked.add(record)


def _links(
    engine: Engine,
    tables: Tables,
    *,
    people: Iterable[RecordKey] = (),
    records: Iterable[RecordKey] = (),
) -> Iterator[tuple[str, RecordKey, str]]:
    """Yield links of records to persons: the record's table, the record, the person's key.

    Args:
        engine: runs the SQL.
        tables: of all connections.
        people: links to these persons; otherwise all links of `records`.
        records: see `people`.
    """
    wanted = _keys(people or records)
    for relation in _relations(tables, engine, ()):
        if relation.table in PERSONS or not relation.columns >= _KEY_PARTS:
            continue
        if relation.table == "associations":
            yield from _associated(engine, relation, wanted, is_person=bool(people))
        for column in sorted(_LINKS & relation.columns):
            asked = quoted(column) if people else _KEY
            for *record, key in engine.rows(
                f"SELECT connection, object, source_id, {quoted(column)} FROM {relation.sql} "
                f"WHERE {quoted(column)} IS NOT NULL AND {asked} IN ({wanted})"
            ):
                yield relation.table, RecordKey(*record), key


def _associated(
    engine: Engine, relation: _Relation, wanted: str, *, is_person: bool
) -> Iterator[tuple[str, RecordKey, str]]:
    people = ", ".join(map(literal, PERSONS))
    for one, other in (("from", "to"), ("to", "from")):
        asked = other if is_person else one
        rows = engine.rows(
            f"SELECT {one}_table, {one}_key, {other}_key FROM {relation.sql} "
            f"WHERE {other}_table IN ({people}) AND {one}_table NOT IN ({people}) "
            f"AND {one}_key IS NOT NULL AND {asked}_key IN ({wanted})"
        )
        for table, key, person in rows:
            yield table, RecordKey.parse(key), person


def _keys(records: Iterable[RecordKey]) -> str:
    return ", ".join(literal(str(record)) for record in sorted(records)) or "NULL"
