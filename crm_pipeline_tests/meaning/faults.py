"""Faults as people make them in mappings, each planted alone: the truth has to see every one.

A fault changes the tables of one vendor's mapping, or what is known of its account. What has landed is built
again with it, and what differs then and not without it has caught it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from crm_pipeline.connectors.base import RecordKeys
from crm_pipeline.connectors.registry import connector
from crm_pipeline.model.mapping import RECORD, FieldMap, ObjectMap
from crm_pipeline.store import files
from crm_pipeline_tests.meaning.compare import Difference
from crm_pipeline_tests.meaning.comparison import Comparison
from crm_pipeline_tests.meaning.prepared import Prepared, landed_again

Maps = Sequence[ObjectMap]
_PARTS = ("users", "companies", "pipelines", "stages", "contacts", "exchange_rates")


def _same(maps: Maps) -> Maps:
    return maps


@dataclass(frozen=True)
class Fault:
    """One wrong thing.

    Attributes:
        connection: whose tables it spoils.
        tables: those of the model that are built with it, beside what names are joined from.
        facts: the tables of facts that are looked at.
        change: makes a wrong mapping of the right one.
        zone: what the account's zone is taken for, if not for what it is.
        keeps_deleted: nothing counts as deleted.
    """

    connection: str
    tables: tuple[str, ...]
    facts: tuple[str, ...]
    change: Callable[[Maps], Maps] = field(default=_same)
    zone: str = ""
    keeps_deleted: bool = False


class _KeepsDeleted:
    """The keys of records, except for deletions."""

    def __init__(self, keys: RecordKeys) -> None:
        self._keys = keys
        self.version = keys.version + 1

    def of(self, *args: Any, **options: Any) -> pa.RecordBatch:
        """Return the keys of records."""
        found = self._keys.of(*args, **options)
        at = found.schema.get_field_index("_deleted")
        return found.set_column(at, "_deleted", pa.array([False] * len(found), pa.bool_()))


def _each(
    obj: str, table: str, change: Callable[[FieldMap], FieldMap | None]
) -> Callable[[Maps], Maps]:
    """Change the fields of one object's map to one table; a field that becomes None is left out."""

    def changed(maps: Maps) -> Maps:
        found = [one for one in maps if (one.object, one.table) == (obj, table)]
        assert found, f"no map of {obj} to {table}"
        made = []
        for one in maps:
            fields = tuple(new for old in one.fields if (new := change(old)) is not None)
            made.append(replace(one, fields=fields) if one in found else one)
        assert made != list(maps), "nothing was spoilt"
        return tuple(made)

    return changed


def _swapped(obj: str, table: str, one: str, other: str) -> Callable[[Maps], Maps]:
    to = {one: other, other: one}
    return _each(obj, table, lambda old: replace(old, column=to.get(old.column, old.column)))


def _fed(obj: str, table: str, column: str, source: str) -> Callable[[Maps], Maps]:
    """Feed a column from another field."""
    return _each(
        obj,
        table,
        lambda old: FieldMap(source, column, old.references) if old.column == column else old,
    )


def _told(
    obj: str, table: str, column: str, values: Mapping[str, str], otherwise: str | None = None
) -> Callable[[Maps], Maps]:
    """Replace values of a field by others."""
    wrong = tuple(values.items())
    return _each(
        obj,
        table,
        lambda old: (
            replace(old, values=wrong, otherwise=otherwise) if old.column == column else old
        ),
    )


def _lost(obj: str, table: str, column: str) -> Callable[[Maps], Maps]:
    return _each(obj, table, lambda old: None if old.column == column else old)


def _by_participant(maps: Maps) -> Maps:
    """Make a row of every participant of an activity, as by a join over too few columns."""
    [one] = [one for one in maps if (one.object, one.table) == ("activities", "activities")]
    fields = tuple(replace(old, source=f"{RECORD}{old.source}") for old in one.fields)
    doubled = replace(one, fields=fields, each=("participants",), identity=("person_id",))
    return tuple(doubled if old is one else old for old in maps)


_WON = {"100": "true", "100.0": "true", "50": "false"}
FAULTS: Mapping[str, Fault] = {
    "two fields swapped": Fault(
        "salesforce_demo",
        ("contacts",),
        ("contacts",),
        _swapped("Contact", "contacts", "email", "phone"),
    ),
    "amount and expected revenue swapped": Fault(
        "salesforce_demo",
        ("deals",),
        ("deals",),
        _swapped("Opportunity", "deals", "amount", "expected_revenue"),
    ),
    "a stage renamed": Fault(
        "salesforce_demo",
        ("deals",),
        ("deals",),
        _told("Opportunity", "deals", "stage", {"Closed Won": "Won", "Closed Lost": "Closed Lost"}),
    ),
    "stages shown by their ids": Fault(
        "hubspot_demo", ("deals",), ("deals",), _fed("deal_pipelines", "stages", "label", "id")
    ),
    "a zone ignored": Fault(
        "zoho_demo", ("activities",), ("activities", "deal_activity"), zone="UTC"
    ),
    "a join doubled": Fault(
        "pipedrive_demo",
        ("activities",),
        ("activities", "deal_activity"),
        _by_participant,
    ),
    "won by probability": Fault(
        "pipedrive_demo",
        ("deals",),
        ("deals",),
        lambda maps: _told("deals", "deals", "is_won", _WON, "false")(
            _fed("deals", "deals", "is_won", "probability")(maps)
        ),
    ),
    "the currency dropped": Fault(
        "salesforce_demo", ("deals",), ("deals",), _lost("Opportunity", "deals", "currency")
    ),
    "deleted records kept": Fault(
        "salesforce_demo",
        ("contacts",),
        ("contacts", "gone"),
        _told("Contact", "contacts", "is_deleted", {"true": "false"}, "false"),
        keeps_deleted=True,
    ),
    "an opt-out turned round": Fault(
        "zoho_demo",
        ("contacts",),
        ("contacts",),
        _told("Contacts", "contacts", "email_opt_out", {"true": "false", "false": "true"}),
    ),
    "another day for the close": Fault(
        "hubspot_partner",
        ("deals",),
        ("deals",),
        _fed("deals", "deals", "close_date", "createdate"),
    ),
    "the end for the start": Fault(
        "zoho_demo",
        ("activities",),
        ("activities",),
        _fed("Events", "activities", "starts_at", "End_DateTime"),
    ),
    "a fraction for percent": Fault(
        "hubspot_demo",
        ("deals",),
        ("deals",),
        _each("deals", "deals", lambda old: replace(old, factor=1.0)),
    ),
    "a link to the wrong object": Fault(
        "pipedrive_demo",
        ("deals",),
        ("deals",),
        _each(
            "deals",
            "deals",
            lambda old: (
                replace(old, references=(("", "persons"),))
                if old.column == "company_source_id"
                else old
            ),
        ),
    ),
    "leavers active": Fault(
        "zoho_demo",
        ("users",),
        ("users",),
        _told("Users", "users", "is_active", {"active": "true"}, "true"),
    ),
    "a lunch no meeting": Fault(
        "pipedrive_demo",
        ("activities",),
        ("activities",),
        _told("activities", "activities", "activity_type", {"call": "call"}, "task"),
    ),
    "history by the closing day": Fault(
        "salesforce_demo",
        ("deals", "deal_stage_history"),
        ("stage_stays", "stage_on_day"),
        _fed("OpportunityHistory", "deal_stage_history", "changed_at", "CloseDate"),
    ),
    "rates doubled": Fault(
        "zoho_demo",
        ("exchange_rates",),
        ("exchange_rates",),
        _each(
            "Currencies",
            "exchange_rates",
            lambda old: replace(old, factor=2.0) if old.column == "rate" else old,
        ),
    ),
}
"""By name."""


def caught(fault: Fault, comparison: Comparison, root: Path) -> list[Difference]:
    """Build a world with a fault, and return the differences that the fault causes."""
    spoilt = landed_again(comparison.world, root)
    vendor = spoilt.answers.vendor(fault.connection)
    if fault.zone:
        _take_zone(spoilt, fault)
    maps = {vendor: fault.change(connector(vendor).mapping)}
    keys = _KeepsDeleted(connector(vendor).keys) if fault.keeps_deleted else None
    spoilt.build(maps, (fault.connection,), {*_PARTS, *fault.tables}, keys)
    spoilt.publish()
    wrong = Comparison(spoilt)
    found = []
    for table in fault.facts:
        before = {d.column: d.count for d in comparison.differences(fault.connection, table)}
        after = wrong.differences(fault.connection, table)
        found += [d for d in after if d.count > before.get(d.column, 0)]
    spoilt.close()
    return found


def _take_zone(spoilt: Prepared, fault: Fault) -> None:
    path = spoilt.data / "landing" / fault.connection / "account.json"
    files.write_json(path, files.read_json(path) | {"time_zone": fault.zone})
