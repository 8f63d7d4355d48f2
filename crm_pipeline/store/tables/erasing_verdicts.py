"""Take a person's values out of verdicts on values.

Verdicts are kept by the text that was judged, so nothing in them says whose it is. The contact points beside them do: a
verdict on a text that no other record has goes, and the counters of the others are those of the records that are left.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from crm_pipeline.model.names import literal, quoted
from crm_pipeline.model.verified_tables import (
    CONTACT_POINTS,
    EMAIL,
    EMAIL_VERDICTS,
    PHONE,
    PHONE_VERDICTS,
)
from crm_pipeline.store.erasing.subject import Subject

VERDICTS: Mapping[str, str] = {EMAIL_VERDICTS.name: EMAIL, PHONE_VERDICTS.name: PHONE}
"""The tables of verdicts with their kind of contact points."""
_KEYS = {EMAIL: EMAIL_VERDICTS.key, PHONE: PHONE_VERDICTS.key}
_PERSONS = "('contacts', 'leads')"


@dataclass(frozen=True)
class VerdictRows:
    """The rows of a table of verdicts without a subject.

    Attributes:
        rest: SQL for the rows that are left, in the columns of the table.
        removed: SQL for the number of rows that are not.
        changed: SQL for the number of rows with other counters.
    """

    rest: str
    removed: str
    changed: str


def order(names: Iterable[str]) -> list[str]:
    """Return names of tables in the order in which they are to be erased: points last, as they say whose a value is."""
    return sorted(names, key=lambda name: (name == CONTACT_POINTS.name, name))


def verdicts_without(
    subject: Subject, table: str, relation_of: Callable[[str], str | None]
) -> VerdictRows | None:
    """Return the rows of a table without a subject; None where it holds no verdicts, or no points tell whose they are.

    Args:
        subject: who is erased.
        table: the name of the table.
        relation_of: returns SQL for a table's rows by its name; None where there is no such table.
    """
    kind = VERDICTS.get(table)
    verdicts, points = relation_of(table), relation_of(CONTACT_POINTS.name)
    if kind is None or verdicts is None or points is None or not subject.keys:
        return None
    key = ", ".join(map(quoted, _KEYS[kind]))
    own = f"record_key IN ({', '.join(map(literal, sorted(subject.keys)))})"
    of_kind = f"(SELECT * FROM {points} WHERE kind = {literal(kind)})"
    touched = f"(SELECT DISTINCT {key}, true AS is_touched FROM {of_kind} WHERE {own})"
    left = (
        f"(SELECT {key}, count(DISTINCT record_key) AS records_left, "
        f"count(DISTINCT record_key) FILTER (table_name IN {_PERSONS}) AS people_left "
        f"FROM {of_kind} WHERE NOT ({own}) GROUP BY ALL)"
    )
    joined = (
        f"(SELECT v.*, coalesce(is_touched, false) AS is_touched, coalesce(people_left, 0) AS people_left, "
        f"coalesce(records_left, 0) AS records_left "
        f"FROM {verdicts} v LEFT JOIN {touched} USING ({key}) LEFT JOIN {left} USING ({key}))"
    )
    counters = ["records", *(["people"] if kind == PHONE else [])]
    fresh = ", ".join(
        f"CASE WHEN is_touched THEN {name}_left ELSE {name} END AS {name}" for name in counters
    )
    added = "is_touched, people_left, records_left"
    is_left = "NOT (is_touched AND records_left = 0)"
    differs = " OR ".join(f"{name} <> {name}_left" for name in counters)
    return VerdictRows(
        f"(SELECT * EXCLUDE ({added}) REPLACE ({fresh}) FROM {joined} WHERE {is_left})",
        f"SELECT count(*) FROM {joined} WHERE NOT ({is_left})",
        f"SELECT count(*) FROM {joined} WHERE {is_left} AND is_touched AND ({differs})",
    )
