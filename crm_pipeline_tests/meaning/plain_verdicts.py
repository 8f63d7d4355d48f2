"""Verdicts on every address and number of plain rows: what the stage `verified` has to find, and what is published.

Adds `contact_points`, `email_verdicts` and `phone_verdicts`, and to live people, companies and users the columns beside
their main address and number. Every record is looked at by itself; values that records share are judged again.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from crm_pipeline_tests.meaning.plain_countries import region_of
from crm_pipeline_tests.meaning.plain_emails import judged_addresses
from crm_pipeline_tests.meaning.plain_phones import judged_numbers, with_shared
from crm_pipeline_tests.meaning.rows import Row, Rows

KEYS = {
    "contacts": "contact_key",
    "companies": "company_key",
    "leads": "lead_key",
    "users": "user_key",
}
_PEOPLE = ("contacts", "leads")
_WITH_EMAIL = ("contacts", "leads", "users")
Values = dict[tuple[str, ...], list[Row]]


def add_verdicts(rows: Rows, regions: Mapping[str, str], shared_from: int = 20) -> None:
    """Add the verdicts.

    Args:
        rows: of all accounts.
        regions: of each connection, for records without a country; "" for none.
        shared_from: so many people make a number shared.
    """
    fields = list(_fields(rows, regions))
    emails: Values = {}
    phones: Values = {}
    for field in fields:
        if field["kind"] == "email":
            emails[field["value"],] = judged_addresses(field["value"])
        else:
            pair = (field["value"], field["region"])
            phones[pair] = judged_numbers(*pair)
    _share(fields, phones, shared_from)
    points = list(_points(fields, emails, phones))
    rows.add("contact_points", points)
    rows.add("email_verdicts", _verdicts(emails, ("value",), fields))
    rows.add("phone_verdicts", _verdicts(phones, ("value", "region"), fields))
    _add_columns(rows, points)


def _fields(rows: Rows, regions: Mapping[str, str]) -> Iterator[Row]:
    """Yield the filled fields of live records, each with its label and place."""
    for table, key in KEYS.items():
        for row in rows.of(table):
            country = row.get("country")
            region = regions[row["connection"]] if country is None else region_of(country) or ""
            whose = {
                "connection": row["connection"],
                "table_name": table,
                "record_key": row[key],
            }
            for kind, region_of_kind in (("email", None), ("phone", region)):
                entries = row.get(f"{kind}s") or ()
                for entry in entries:
                    if entry["value"].strip():
                        yield {**whose, "kind": kind, "region": region_of_kind, **entry}


def _share(fields: list[Row], phones: Values, shared_from: int) -> None:
    """Mark the numbers that so many contacts and leads have."""
    having: dict[str, set[str]] = {}
    for field in fields:
        if field["kind"] == "phone" and field["table_name"] in _PEOPLE:
            for number in phones[field["value"], field["region"]]:
                having.setdefault(number["phone_e164"], set()).add(field["record_key"])
    having.pop(None, None)  # type: ignore[call-overload]
    shared = {number for number, people in having.items() if len(people) >= shared_from}
    for pair, numbers in phones.items():
        phones[pair] = [
            with_shared(number) if number["phone_e164"] in shared else number for number in numbers
        ]


def _points(fields: list[Row], emails: Values, phones: Values) -> Iterator[Row]:
    places: dict[tuple[str, str], int] = {}
    for field in fields:
        is_email = field["kind"] == "email"
        value = field["value"]
        judged = emails[value,] if is_email else phones[value, field["region"]]
        for part, row in enumerate(judged):
            whose = (field["record_key"], field["kind"])
            places[whose] = places.get(whose, 0) + 1
            yield {
                **field,
                "position": places[whose],
                "is_primary": field["is_primary"] and part == 0,
                "normalized": row["email_normalized" if is_email else "phone_e164"],
                "verdict": row["verdict"],
                "reasons": row["reasons"],
                "suggestion": row.get("suggestion"),
            }


def _verdicts(values: Values, names: tuple[str, ...], fields: list[Row]) -> Iterator[Row]:
    kind = "phone" if "region" in names else "email"
    having: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for field in fields:
        if field["kind"] == kind:
            key = tuple(field[name] for name in names)
            having.setdefault(key, set()).add((field["table_name"], field["record_key"]))
    for key, judged in values.items():
        people = [table for table, _ in having[key] if table in _PEOPLE]
        counts = {"records": len(having[key])} | (
            {"people": len(people)} if kind == "phone" else {}
        )
        for place, row in enumerate(judged, 1):
            yield {**dict(zip(names, key, strict=True)), "position": place, **row, **counts}


def _add_columns(rows: Rows, points: list[Row]) -> None:
    main: dict[tuple[str, str], Row] = {
        (point["record_key"], point["kind"]): point for point in points if point["is_primary"]
    }
    nothing: dict[str, Any] = {}
    for table, key in KEYS.items():
        for row in rows.of(table):
            phone = main.get((row[key], "phone"), nothing)
            row |= {"phone_verdict": phone.get("verdict"), "phone_e164": phone.get("normalized")}
            if table in _WITH_EMAIL:
                email = main.get((row[key], "email"), nothing)
                row["email_verdict"] = email.get("verdict")
                row["email_normalized"] = email.get("normalized")
