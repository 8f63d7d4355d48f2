"""Faults in the stage `verified` and in what is published of it, each planted alone: the plain rows have to see all.

A fault changes the SQL that is run, or what the verifiers return. Faults of the stage judge all values of a world
again, in a copy of its tables; those of the published columns and of `crm.contactable` query the file as it is.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.stages.published.added import added_to
from crm_pipeline.stages.published.contactable import contactable_view
from crm_pipeline.stages.verified import Verifiers
from crm_pipeline.store.tables import Tables as Store
from crm_pipeline.store.tables.engine import Engine
from crm_pipeline_tests.meaning.compare import Difference
from crm_pipeline_tests.meaning.facts import Tables
from crm_pipeline_tests.meaning.prepared import Prepared, kept
from crm_pipeline_tests.meaning.verdict_facts import STAGE, compared, keyed

Change = tuple[str, str]
"""A part of a statement, and what stands there instead."""


@dataclass(frozen=True)
class StageFault:
    """One wrong thing in the stage.

    Attributes:
        caught_by: columns that differ, as `table.column`.
        sql: what is changed in its statements.
        verifiers: makes wrong verifiers of the right ones.
    """

    caught_by: tuple[str, ...]
    sql: Change = ("", "")
    verifiers: Callable[[Verifiers], Verifiers] = lambda right: right


class _FaultyEngine(Engine):
    """Runs statements with a change."""

    change: Change = ("", "")
    count = 0

    def _executed(self, sql: str, params: Any) -> Any:
        return super()._executed(self._changed(sql), params)

    def arrow(self, sql: str) -> pa.Table:
        """Execute one statement."""
        return super().arrow(self._changed(sql))

    def copy_to(self, sql: str, path: Path, **options: Any) -> int:
        """Write the rows of a query."""
        return super().copy_to(self._changed(sql), path, **options)

    def _changed(self, sql: str) -> str:
        part, instead = self.change
        if not part or part not in sql:
            return sql
        self.count += 1
        return sql.replace(part, instead)


def _emails(change: Callable[[pa.Table], pa.Table]) -> Callable[[Verifiers], Verifiers]:
    return lambda right: replace(right, emails=lambda values: change(right.emails(values)))


def _phones(change: Callable[[pa.Table], pa.Table]) -> Callable[[Verifiers], Verifiers]:
    return lambda right: replace(right, phones=lambda values: change(right.phones(values)))


def _first_only(judged: pa.Table) -> pa.Table:
    return judged.filter(pc.equal(judged["position"], 1))


def _with(judged: pa.Table, name: str, values: Any) -> pa.Table:
    return judged.set_column(judged.schema.get_field_index(name), name, values)


def _by_first_letters(countries: pa.Array) -> pa.Array:
    return pc.utf8_upper(pc.utf8_slice_codeunits(countries, 0, 2))


STAGE_FAULTS: Mapping[str, StageFault] = {
    "deleted records are judged": StageFault(
        ("contact_points.(rows)", "email_verdicts.(rows)"), (" WHERE is_deleted IS NOT TRUE", "")
    ),
    "further addresses are forgotten": StageFault(
        ("contact_points.(rows)",), ("coalesce(emails, [])", "coalesce(emails, [])[:1]")
    ),
    "a fax is a main number": StageFault(
        ("contact_points.is_primary",),
        ("'label': 'fax', 'is_primary': False", "'label': 'fax', 'is_primary': True"),
    ),
    "the second of several addresses counts": StageFault(
        ("contact_points.is_primary",),
        ("coalesce(v.position, 1) = 1", "coalesce(v.position, 1) = 2"),
    ),
    "several addresses stand in another order": StageFault(
        ("contact_points.normalized",), ("ORDER BY field, part", "ORDER BY field, part DESC")
    ),
    "a field has one address": StageFault(
        ("email_verdicts.(rows)", "contact_points.(rows)"), verifiers=_emails(_first_only)
    ),
    "a normal form is the text": StageFault(
        ("email_verdicts.email_normalized", "contact_points.normalized"),
        verifiers=_emails(lambda judged: _with(judged, "email_normalized", judged["address"])),
    ),
    "slips are corrected silently": StageFault(
        ("email_verdicts.email_normalized",),
        verifiers=_emails(
            lambda judged: _with(
                judged,
                "email_normalized",
                pc.coalesce(judged["suggestion"], judged["email_normalized"]),
            )
        ),
    ),
    "a risk is none": StageFault(
        ("email_verdicts.verdict", "contact_points.verdict"),
        verifiers=_emails(
            lambda judged: _with(
                judged, "verdict", pc.replace_substring(judged["verdict"], "risky", "unknown")
            )
        ),
    ),
    "an extension is lost": StageFault(
        ("phone_verdicts.extension",),
        verifiers=_phones(
            lambda judged: _with(judged, "extension", pa.nulls(len(judged), pa.string()))
        ),
    ),
    "countries go by their first letters": StageFault(
        ("contact_points.region", "contact_points.normalized"),
        verifiers=lambda right: replace(right, regions_of=_by_first_letters),
    ),
    "an unknown country is the United States": StageFault(
        ("contact_points.region",), ("coalesce(region, '')", "coalesce(region, 'US')")
    ),
    "an account's country goes first": StageFault(
        ("contact_points.region",), ("CASE WHEN country IS NULL THEN", "CASE WHEN true THEN")
    ),
    "no record has its account's country": StageFault(
        ("contact_points.region",),
        ("CASE WHEN country IS NULL THEN 'US'", "CASE WHEN false THEN ''"),
    ),
    "shared is not applied": StageFault(
        ("phone_verdicts.reasons", "phone_verdicts.verdict"),
        ("ON s.normalized = v.phone_e164", "ON s.normalized IS NULL"),
    ),
    "companies share numbers": StageFault(
        ("phone_verdicts.reasons",), (" FILTER (table_name IN ('contacts', 'leads'))", "")
    ),
    "two fields of one person share a number": StageFault(
        ("phone_verdicts.reasons",), ("count(DISTINCT record_key) FILTER", "count(*) FILTER")
    ),
    "a shared number is invalid": StageFault(
        ("phone_verdicts.verdict",), ("THEN 'risky'", "THEN 'invalid'")
    ),
    "a shared number that was invalid is risky": StageFault(
        ("phone_verdicts.verdict",), ("AND v.verdict IN ('valid', 'unknown') ", "")
    ),
}
"""By name."""
CONTACTABLE_FAULTS: Mapping[str, Change] = {
    "opt-outs are ignored": ("WHERE email_opt_out OR email_bounced", "WHERE email_bounced"),
    "bounces are ignored": ("WHERE email_opt_out OR email_bounced", "WHERE email_opt_out"),
    "the undeliverable are there": ("r.is_undeliverable IS NOT TRUE", "true"),
    "leads go first": ("table_name, modified_at", "table_name DESC, modified_at"),
    "the eldest record goes first": ("modified_at DESC NULLS LAST", "modified_at"),
    "converted leads are people": ("is_converted IS NOT TRUE AND contact_key IS NULL", "true"),
    "an address stands once a record": ("WHERE r.place = 1 AND", "WHERE"),
    "reasons are those of any address": ('AND v."position" = 1', 'AND v."position" = 2'),
}
ADDED_FAULTS: Mapping[str, Change] = {
    "the verdict on an old address stays": (' AND "added behind email".value = t."email"', ""),
    "the verdict on an old number stays": (
        ' AND "added behind primary_phone".value = t."primary_phone"',
        "",
    ),
    "an address has the verdict on a number": ("kind = 'email'", "kind = 'phone'"),
}
_CHANGED = "someone.new@web.de"
_NEW_NUMBER = "+49 30 5550123"


def caught_in_stage(
    fault: StageFault, world: Prepared, right: Tables, root: Path
) -> list[Difference]:
    """Judge all values of a world with a fault, and return the differences in the stage's tables."""
    spoilt = tables_again(world, root)
    with _FaultyEngine(root / "tmp") as engine, spoilt.workspace.verifiers() as verifiers:
        engine.change = fault.sql
        wrong = replace(fault.verifiers(verifiers), rules="with a fault")
        spoilt.verify(wrong, engine)
        assert engine.count or not fault.sql[0], f"{fault.sql[0]!r} is in no statement"
    return compared(right, stage_tables(spoilt.workspace.tables), tuple(STAGE))


def tables_again(world: Prepared, root: Path, *, with_landing: bool = False) -> Prepared:
    """Return a copy of a world with its built tables, whose files are never changed."""
    (root / "data").mkdir(parents=True)
    for name in ("connections.yaml", "answers.json"):
        shutil.copy(world.data.parent / name, root)
    for name in ("tables", "landing") if with_landing else ("tables",):
        shutil.copytree(world.data / name, root / "data" / name, copy_function=os.link)
    return kept(root, world.answers.logins)


def stage_tables(store: Store) -> Tables:
    """Return the rows of the stage's current tables."""
    seen = {}
    with Engine(store.root / "tmp") as engine:
        for name, columns in STAGE.items():
            version = store.version(f"verified/{name}")
            assert version is not None
            seen[name] = keyed(engine.arrow(f"FROM {Store.relation(version)}").to_pylist(), columns)
    return seen


def caught_in_contactable(change: Change, world: Prepared, right: Tables) -> list[Difference]:
    """Query `crm.contactable` with a fault, and return the differences."""
    assert change[0] in contactable_view(()).sql
    rows = world.query(contactable_view(()).sql.replace(*change))
    # A key that is there twice is a difference as well.
    seen = {f"{row['email']}{' again' * (row in rows[:at])}": row for at, row in enumerate(rows)}
    seen |= {
        f"{row['email']} {row['record_key']}": row for row in rows if seen[row["email"]] != row
    }
    return compared(right, {"contactable": seen}, ("contactable",))


def caught_in_added(change: Change, world: Prepared, right: Tables) -> list[Difference]:
    """Give some contacts another address and number, and return the differences in what stands beside them."""
    store = world.workspace.tables
    groups = added_to("contacts", store, store.current())
    values = {name: sql for group in groups for name, sql in group.values.items()}
    listed = ", ".join(f"{sql} AS {name}" for name, sql in values.items())
    joins = "".join(group.join for group in groups)
    assert change[0] in joins
    is_changed = "ends_with(contact_key, '5')"
    contacts = (
        f"(SELECT contact_key, CASE WHEN {is_changed} THEN '{_CHANGED}' ELSE email END AS email, "
        f"CASE WHEN {is_changed} THEN '{_NEW_NUMBER}' ELSE primary_phone END AS primary_phone "
        "FROM crm.contacts) AS t"
    )
    sql = f"SELECT contact_key AS key, email, primary_phone AS phone, {listed} FROM {contacts}"
    seen = keyed(world.query(f"{sql}{joins.replace(*change)}"), ("key",))
    new = {"email": _CHANGED, "phone": _NEW_NUMBER}
    unjudged = new | dict.fromkeys(values)
    expected = {
        key: {**row, **unjudged} if key.endswith("5") else row
        for key, row in right["contacts"].items()
    }
    return compared({"contacts": expected}, {"contacts": seen}, ("contacts",))
