"""Find a person: the records of an e-mail address or of a key, and the records that are linked to them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.connectors.registry import vendors
from crm_pipeline.kernel.errors import ConfigError
from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.schema import Schema
from crm_pipeline.settings import Connection, Settings
from crm_pipeline.stages.raw.withheld import PERSONS, EmailField, email_fields
from crm_pipeline.store.erasing import RecordKey, Subject
from crm_pipeline.store.landing import Landing
from crm_pipeline.store.landing.records import landed_name
from crm_pipeline.store.tables import Tables
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline.verification import mailboxes
from crm_pipeline.verification.email_texts import USUAL

_LINKS = frozenset({"who_key", "contact_key", "lead_key", "primary_contact_key"})
"""Columns by which records of other tables are linked to a person."""
_OWN = ("activities", "campaign_members", "list_members")
"""Tables whose rows are about the person that they are linked to, if that is nobody else."""
_OF_PAST = ("normalized/", "history/")
"""Prefixes of tables: with what records were before, of which landing may not have every version any more."""
_KEY_PARTS = frozenset({"connection", "object", "source_id"})
_KEY = "connection || ':' || object || ':' || source_id"
_LEAST = 5
_ROWS = 20_000
_MOST_LISTED = 20
"""A text with more addresses is a list of recipients, and not of one person's addresses."""
_HIDDEN = r"[^\x00-\x7f]|\\u|\s@|@\s"
"""What a text may have that spells an address in another way than the address itself."""


@dataclass
class _Person:
    """What is known of a person so far.

    Attributes:
        records: the person's own.
        addresses: by their normal form, with all their spellings.
        names: names and phones.
        linked: records of others.
        shared: number of addresses that others have as well.
    """

    records: set[RecordKey] = field(default_factory=set)
    addresses: dict[str, set[str]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    linked: set[RecordKey] = field(default_factory=set)
    shared: int = 0

    @property
    def spellings(self) -> frozenset[str]:
        """All spellings of all addresses."""
        return frozenset(one for each in self.addresses.values() for one in each)

    def add_addresses(self, text: str) -> None:
        """Add the addresses in a text, unless it lists so many that they are those of others."""
        found = mailboxes(text)
        for address, spelled in found.items() if len(found) <= _MOST_LISTED else ():
            self.addresses.setdefault(address, set()).update(spelled)


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


_ALONE = "Write the address alone, such as jane@acme.example, or the key of the record."


def _require_text(target: str) -> None:
    try:
        target.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            "what is to be erased is no text: it has bytes that are not UTF-8.",
            cure="Write it in UTF-8, or erase by the key of the record.",
        ) from None


def _require_alone(target: str) -> None:
    if "@" in target and (around := _AROUND.search(target.strip())):
        raise ConfigError(
            f"what is to be erased holds {around.group()!r}, which is no part of an address.",
            cure=_ALONE,
        )


def _mailbox(target: str) -> str:
    """Return the normal form of an address that was asked for; "" for a key.

    Raises:
        ConfigError: it is a part of an address.
    """
    _require_alone(target)
    if "@" not in target or ":" in target:
        return ""
    address = target.strip()
    found = list(mailboxes(address)) if address.isprintable() else []
    if len(found) != 1 or found[0].startswith("@") or found[0].endswith("@"):
        raise ConfigError("what is to be erased is no whole e-mail address.", cure=_ALONE)
    return found[0]


def find(settings: Settings, target: str, interrupted: Iterable[str] = ()) -> Found:
    """Return the person of an e-mail address, or of the key of a record.

    Args:
        settings: of the workspace.
        target: the address or the key.
        interrupted: addresses of an erasure that did not end, which are asked for as well: what was found then need not be
            all, for records change, and so does what is taken for one address.

    Raises:
        ConfigError: the text is neither.
    """
    _require_text(target)
    is_address, tables = bool(_mailbox(target)), Tables(settings.data)
    person = _Person()
    for text in (*interrupted, *((target.strip(),) if is_address else ())):
        person.add_addresses(text)
    asked = frozenset(person.addresses)
    if not is_address:
        person.records.add(RecordKey.parse(target.strip()))
    with Engine(settings.data / "tmp", threads=1) as engine:
        if asked:
            for relation in _relations(tables, engine, PERSONS, _OF_PAST):
                person.records |= _of_addresses(engine, relation, asked, person)
            person.records |= set(_landed(settings, asked, person))
        _with_merged(engine, tables, person)
        for relation in _relations(tables, engine, PERSONS, _OF_PAST):
            _described(engine, relation, person)
        _without_shared(engine, tables, person, asked)
        _with_linked(engine, tables, person)
    return Found(
        Subject(
            records=frozenset(person.records),
            addresses=person.spellings,
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
    def texts(self) -> str:
        """SQL for the list of a row's texts with addresses."""
        lists = ["[email]"] if "email" in self.columns else []
        if "emails" in self.columns:
            lists.append("coalesce(list_transform(emails, lambda e: e.value), [])")
        listed = f"list_concat({', '.join(lists)})" if len(lists) > 1 else (lists or ["[]"])[0]
        return f"list_filter({listed}, lambda text: text LIKE '_%')"

    def with_one_of(self, spelled: Iterable[str]) -> str:
        """Return a condition that holds for each row with one of the addresses, and for few others."""
        wanted = ", ".join(map(literal, sorted(spelled))) or "NULL"
        return (
            f"len(list_filter({self.texts}, lambda text: lower(text) IN ({wanted}) "
            f"OR NOT regexp_matches(text, {literal(USUAL)}))) > 0"
        )


def _relations(
    tables: Tables, engine: Engine, names: Sequence[str], stages: Sequence[str] = ("normalized/",)
) -> Iterator[_Relation]:
    for name in (name for stage in stages for name in tables.names(stage)):
        _, connection, table = name.split("/", 2)
        version = tables.version(name)
        if (names and table not in names) or version is None:
            continue
        sql = Tables.relation(version)
        yield _Relation(table, connection, sql, frozenset(engine.columns(sql)))


def _of_addresses(
    engine: Engine, relation: _Relation, asked: frozenset[str], person: _Person
) -> set[RecordKey]:
    rows = engine.rows(
        f"SELECT connection, object, source_id, {relation.texts} FROM {relation.sql} "
        f"WHERE {relation.with_one_of(person.spellings)}"
    )
    return {
        RecordKey(*key)
        for *key, texts in rows
        if any(asked & mailboxes(text).keys() for text in texts)
    }


def _landed(settings: Settings, asked: frozenset[str], person: _Person) -> Iterator[RecordKey]:
    """Yield the records of persons that had one of the addresses in any version that landed."""
    landing = Landing(settings.data)
    suspect = "(?i)" + "|".join([*map(re.escape, sorted(person.spellings)), _HIDDEN])
    for name in landing.connections():
        fields_of = partial(_email_fields, settings.connections.get(name))
        for obj in landing.objects(name):
            yield from _landed_of(landing, name, obj, asked, suspect, fields_of)


def _email_fields(connection: Connection | None, schema: Schema) -> Sequence[EmailField]:
    """Return the fields with addresses; of a connection that is not configured any more, those of each vendor."""
    if connection is not None:
        return email_fields(connection.vendor, connection.mapping, schema)
    return [one for vendor in vendors() for one in email_fields(vendor, {}, schema)]


def _landed_of(  # noqa: PLR0917 - each argument is plain at the call
    landing: Landing,
    connection: str,
    obj: str,
    asked: frozenset[str],
    suspect: str,
    fields_of: Callable[[Schema], Sequence[EmailField]],
) -> Iterator[RecordKey]:
    for batch in landing.batches(connection, obj):
        fields = fields_of(landing.schema(connection, obj, batch.schema_fingerprint))
        if not fields:
            continue
        with pq.ParquetFile(batch.path) as file:
            names = file.schema_arrow.names
            columns = [
                "_source_id",
                *({"record", *(landed_name(f.column) for f in fields)} & set(names)),
            ]
            for part in file.iter_batches(_ROWS, columns=columns):
                texts = [part.column(name) for name in columns[1:]]
                hits = [pc.match_substring_regex(one, suspect) for one in texts]
                for row in sorted({n for hit in hits for n in pc.indices_nonzero(hit).to_pylist()}):
                    [values] = part.slice(row, 1).to_pylist()
                    if any(asked & f.addresses(values) for f in fields):
                        yield RecordKey(connection, obj, values["_source_id"])


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
        f"SELECT {relation.texts}, {name}, {phones} FROM {relation.sql} "
        f"WHERE {_KEY} IN ({_keys(person.records)})"
    )
    for texts, full_name, numbers in rows:
        for text in texts:
            person.add_addresses(text)
        person.names |= {one for one in (full_name, *numbers) if one}


def _without_shared(engine: Engine, tables: Tables, person: _Person, asked: frozenset[str]) -> None:
    """Take out the addresses that records of others have, but not those that were asked for."""
    others = person.addresses.keys() - asked
    if not others:
        return
    spelled = {one for address in others for one in person.addresses[address]}
    shared: set[str] = set()
    for relation in _relations(tables, engine, PERSONS):
        rows = engine.rows(
            f"SELECT DISTINCT unnest({relation.texts}) FROM {relation.sql} "
            f"WHERE {relation.with_one_of(spelled)} AND {_KEY} NOT IN ({_keys(person.records)})"
        )
        shared |= {address for (text,) in rows for address in mailboxes(text)} & others
    for address in shared:
        del person.addresses[address]
    person.shared = len(shared)


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
