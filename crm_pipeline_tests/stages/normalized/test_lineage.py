"""Column lineage against the built tables: fields are changed one at a time, and the columns that follow are compared.

Records are drawn from a seed. Each copy of a record has one field changed, so one build per table shows the columns that
each field reaches.
"""

import importlib
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from crm_pipeline.model.account import AccountFacts
from crm_pipeline.model.lineage import WITHOUT, id_fields, origins_of
from crm_pipeline.model.mapping import CUSTOM, FieldMap, ObjectMap
from crm_pipeline.model.schema import Field, Schema
from crm_pipeline.model.selection import tables_of
from crm_pipeline.model.table import Column
from crm_pipeline.model.tables import TABLES
from crm_pipeline.store.landing.account_facts import note_facts

MAPS = {
    vendor: importlib.import_module(f"crm_pipeline.connectors.{vendor}.mapping").MAPPING
    for vendor in ("salesforce", "hubspot", "pipedrive", "zoho")
}
TABLES_TRIED = ("contacts", "deals", "leads", "activities")
FILLED = (1.0, 0.5)
"""The share of fields that each drawn record has."""
ASKED = {"Data_Processing_Basis": "Consent - Obtained"}
GIVEN: dict[str, list[Any]] = {
    "Data_Processing_Basis_Details": [
        {**ASKED, "Contact_Through_Email": word, "Contact_Through_Phone": word}
        for word in ("false", "true")
    ]
}
"""Values of fields that are objects."""
TEXTS: dict[str, tuple[str, ...]] = {
    "BOOLEAN": ("true", "false"),
    "BIGINT": ("7", "8"),
    "DATE": ("2001-02-03T04:05:06Z", "2002-03-04T05:06:07Z"),
    "TIMESTAMPTZ": ("2001-02-03T04:05:06Z", "2002-03-04T05:06:07Z"),
    "VARCHAR": ("https://own.example", "https://other.example"),
}
KINDS = {"BOOLEAN": "boolean", "TIMESTAMPTZ": "timestamp", "DATE": "timestamp"}


def texts_for(field: FieldMap, name: str, column: Column) -> Iterable[str]:
    """Texts of a source that lead to different values of a column."""
    if field.when and name == field.when[0]:
        return (field.when[1], "else")
    if field.object_in == name or field.is_object:
        return ("Accounts", "Deals", "Contacts", "Leads")
    if field.form == "clock" or name in field.joined:
        return ("01:02", "23:04")
    if field.form == "local" and field.joined:
        return ("2001-02-03", "2002-03-04")
    if field.values:
        return (*(text for text, _ in field.values), "else")
    prefix = field.only or (field.references[0][0] if field.references else "")
    return tuple(f"{prefix}{text}" for text in TEXTS.get(column.type, ("7", "8")))


def value_of(field: FieldMap, text: str) -> Any:
    """The value under a source that holds a text."""
    if field.pick:
        pick = field.pick
        filled = dict.fromkeys(pick.filled, "EUR")
        return [{**filled, **dict(pick.only), **dict(pick.prefer[:1]), pick.key: text}]
    if field.points and not field.points.separator:
        return [{"value": text, "label": "work", "primary": True}]
    return [{field.listed: text}] if field.listed else text


class Sources:
    """What the records of an object can hold, by field: a value for each text that some column tells apart."""

    def __init__(self, entry: ObjectMap) -> None:
        self.entry = entry
        self.values: dict[str, list[Any]] = {}
        self.kinds: dict[str, str] = {}
        table = TABLES[entry.table]
        for field in entry.fields:
            column = table.by_name[field.column]
            for name in field.sources:
                plain = name.replace("*", "all")
                options = self.values.setdefault(plain, [])
                made = [value_of(field, t) for t in texts_for(field, name, column)]
                options += [value for value in made if value not in options]
                if not field.is_list and field.form == "" and not field.values:
                    self.kinds.setdefault(plain, KINDS.get(column.type, "string"))
        for inputs in entry.over_rows_from.values():
            for name in inputs:
                if name.startswith(CUSTOM):
                    self.values.setdefault(name.removeprefix(CUSTOM), ["2001-02-03", "2002-03-04"])
        self.values |= {name: values for name, values in GIVEN.items() if name in self.values}

    @property
    def names(self) -> list[str]:
        """Fields that can be changed alone: not the id, no parts of another field, no marks of deletion."""
        fixed = {f.source for f in self.entry.fields if f.column in {"source_id", "is_deleted"}}
        return [n for n in self.values if n not in fixed and "." not in n]

    def schema(self) -> Schema:
        """Describe the fields; lists and what stands beside the fields are not described."""
        beside = {f.source for f in self.entry.fields if f.at or f.is_list}
        named = [n for n in ("id", *self.names) if n not in beside]
        fields = [
            Field(name, name, "x", self.kinds.get(name, "string"), path=(name,)) for name in named
        ]
        return Schema(self.entry.object, self.entry.object, tuple(fields))

    def drawn(self, dice: random.Random, share: float) -> dict[str, Any]:
        """Draw a record."""
        return {n: dice.choice(self.values[n]) for n in self.names if dice.random() < share}

    def alone(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each source of each field map with a record that has nothing beside it but what the map demands."""
        names = self.names
        for field in self.entry.fields:
            demanded = {field.when[0]: field.when[1]} if field.when else {}
            beside = {name: self.values[name][0] for name in field.joined}
            if field.object_in:
                beside[field.object_in] = self.values[field.object_in][0]
            for name in field.sources:
                plain = name.replace("*", "all")
                is_fallback = name in (*field.fallback, *field.any_of)
                if plain in names:
                    own = {plain: self.values[plain][0]}
                    yield plain, {**beside, **own, **({} if is_fallback else demanded)}


def records_of(sources: Sources, dice: random.Random) -> list[dict[str, Any]]:
    """Return records with a copy for each other value of their fields; the id says which field was changed."""
    bases = [(sources.names, sources.drawn(dice, share)) for share in FILLED]
    bases += [([name], record) for name, record in sources.alone()]
    records = []
    for number, (names, base) in enumerate(bases):
        records.append({**base, "id": f"{number}--"})
        for name in names:
            others = [v for v in (None, *sources.values[name]) if v != base.get(name)]
            records += [
                {**base, name: v, "id": f"{number}-{name}-{n}"} for n, v in enumerate(others)
            ]
    return records


def reached(org: Any, table: str, obj: str, columns: list[str]) -> dict[str, set[str]]:
    """The columns that differ between a record and its copies, by the field that was changed."""
    listed = ", ".join(f'to_json("{name}")::VARCHAR' for name in columns)
    rows = org.rows(table, f"object, source_id, {listed}")
    own = {source_id: values for named, source_id, *values in rows if named == obj}
    found: dict[str, set[str]] = {}
    for source_id, values in own.items():
        number, changed = source_id.split("-", 1)
        name = changed.rsplit("-", 1)[0]
        base = own[f"{number}--"]
        differing = {c for c, a, b in zip(columns, base, values, strict=True) if a != b}
        found.setdefault(name, set()).update(differing)
    return found


@pytest.mark.parametrize("vendor", MAPS)
def test_lineage_names_the_fields_that_change_a_column_and_no_others(org: Any, vendor: str) -> None:
    """Each named field changes its column in some record, and no field changes a column that does not name it."""
    maps, dice = MAPS[vendor], random.Random(7)
    org.maps = maps
    # East of Greenwich a late hour belongs to the next day.
    note_facts(org.landing, "acme", AccountFacts(time_zone="Asia/Tokyo"))
    ids = id_fields(maps)
    objects = [e.object for e in maps if e.is_own and e.table in TABLES_TRIED]
    tried = {
        table: [e for e in entries if e.is_own]
        for table, entries in tables_of(objects, maps).items()
        if table in TABLES_TRIED
    }
    differences = {}
    for table, entries in tried.items():
        for entry in entries:
            sources = Sources(entry)
            org.land_records(sources.schema(), records_of(sources, dice), stamp="none")
        org.normalize(table)
        fixed = {*WITHOUT, "source_id", TABLES[table].key, "url", "is_deleted", "merged_into"}
        columns = [name for name in TABLES[table].by_name if name not in fixed]
        for entry in entries:
            told = origins_of(TABLES[table], [entry], ids)
            names = Sources(entry).names
            changed = reached(org, table, entry.object, columns)
            for name in names:
                wanted = {
                    column
                    for column in columns
                    for origin in told.get(column, ())
                    if origin.name.replace("*", "all").split(".")[0] == name.split(".")[0]
                }
                if wanted != changed.get(name, set()):
                    differences[f"{entry.object}.{name}"] = (
                        sorted(wanted - changed.get(name, set())),
                        sorted(changed.get(name, set()) - wanted),
                    )
    assert differences == {}
