"""Answers about what addresses and numbers are good for."""

from collections.abc import Iterable, Iterator
from typing import Any

from crm_pipeline_tests.meaning.questions_deals import Lines, share
from crm_pipeline_tests.meaning.questions_people import plain_address, within
from crm_pipeline_tests.meaning.rows import Row, Rows

_KEYS = {"contacts": "contact_key", "companies": "company_key", "leads": "lead_key"}
_NAMED = {**_KEYS, "users": "user_key"}
UNUSABLE = "undeliverable"


def _is_person(table: str, row: Row) -> bool:
    if table == "contacts":
        return True
    return row.get("is_converted") is not True and row.get("contact_key") is None


def _people(rows: Rows) -> Iterator[tuple[str, Row]]:
    for table in ("contacts", "leads"):
        for row in rows.of(table):
            yield table, row


def _address(row: Row) -> str | None:
    normal = row.get("email_normalized")
    return None if normal is None else normal.lower()


def _spelled(rows: Rows, texts: Iterable[str | None]) -> set[str]:
    """Return the addresses in texts, as they stand there and in their normal forms."""
    judged = rows.grouped("email_verdicts", lambda row: row["value"])
    addresses: set[str] = set()
    for text in filter(None, texts):
        addresses |= within(text)
        addresses.add(plain_address(text))
        normal = (row["email_normalized"] for row in judged.get(text, ()))
        addresses |= {address.lower() for address in normal if address}
    return addresses


def _texts(row: Row) -> list[str | None]:
    """Return the main address and the further ones."""
    return [row.get("email"), *(entry["value"] for entry in row.get("emails") or ())]


def _refused(rows: Rows) -> set[str]:
    """Return every address of those who refused, and every main address that bounced, of deleted people as well."""
    texts: list[str | None] = []
    for table in ("contacts", "contacts_deleted", "leads", "leads_deleted"):
        for row in rows.of(table):
            if row.get("email_opt_out") is True:
                texts += _texts(row)
            elif row.get("email_bounced") is True:
                texts.append(row.get("email"))
    return _spelled(rows, texts)


def not_refusing(rows: Rows) -> Lines:
    """21."""
    quarantined = [
        text
        for table in ("contacts", "contacts_deleted")
        for row in rows.of(table)
        if row.get("is_quarantined")
        for text in _texts(row)
    ]
    able = contactable(rows).keys() - _spelled(rows, quarantined)
    willing = rows.grouped("contacts", _address, lambda row: row.get("email_opt_out") is False)
    for address in able & willing.keys():
        contacts = willing[address]
        names = [c["full_name"] for c in contacts if c.get("full_name") is not None]
        bases = {c["lawful_basis"] for c in contacts if c.get("lawful_basis") is not None}
        connections = sorted({c["connection"] for c in contacts})
        yield (
            address,
            min(names, default=None),
            len(contacts),
            connections,
            sorted(bases) or None,
        )


def contactable(rows: Rows) -> dict[str, Row]:
    """Return the rows of crm.contactable by their address."""
    refused = _refused(rows)
    having: dict[str, list[tuple[str, Row]]] = {}
    for table, row in _people(rows):
        address = _address(row)
        if address is not None:
            having.setdefault(address, []).append((table, row))
    found: dict[str, Row] = {}
    for address, holders in having.items():
        able = [(table, row) for table, row in holders if _is_person(table, row)]
        if not able or any(row["email_verdict"] == UNUSABLE for _, row in holders):
            continue
        table, best = min(
            able,
            key=lambda one: (
                one[0],
                -one[1]["modified_at"].timestamp() if one[1].get("modified_at") else 0.0,
                one[1][_KEYS[one[0]]],
            ),
        )
        if address in refused or plain_address(best["email"]) in refused:
            continue
        firsts = (
            row["reasons"]
            for row in rows.of("email_verdicts")
            if (row["value"], row["position"]) == (best["email"], 1)
        )
        found[address] = {
            "email": address,
            "record_key": best[_KEYS[table]],
            "table_name": table,
            **{name: best.get(name) for name in ("connection", "full_name", "company_key")},
            **{name: best.get(name) for name in ("country", "lawful_basis")},
            "verdict": best["email_verdict"],
            "reasons": next(firsts, None),
            "is_opt_out_known": any(row.get("email_opt_out") is False for _, row in holders),
            "records": len(holders),
        }
    return found


def may_be_mailed(rows: Rows) -> Lines:
    """22."""
    able = contactable(rows)
    people: dict[str, list[Row]] = {}
    for table, row in _people(rows):
        if _is_person(table, row):
            people.setdefault(row["connection"], []).append(row)
    for connection, listed in people.items():
        addresses = {_address(row) for row in listed} & set(able)
        usable = [row for row in listed if row.get("email_verdict") not in {None, UNUSABLE}]
        yield (
            connection,
            len(listed),
            sum(row.get("email") is None for row in listed),
            sum(
                row.get("email") is not None and row.get("email_verdict") is None for row in listed
            ),
            sum(row.get("email_verdict") == UNUSABLE for row in listed),
            sum(_address(row) not in able for row in usable),
            len(addresses),
            sum(able[address]["is_opt_out_known"] for address in addresses if address),
            sum(able[address]["verdict"] == "risky" for address in addresses if address),
        )


def bounce_risk(rows: Rows) -> Lines:
    """23."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for _, row in _people(rows):
        if row.get("email_verdict") is not None:
            source = row.get("source") or "(unknown)"
            groups.setdefault((row["connection"], source), []).append(row)
    for key, listed in groups.items():
        bad = [row["email_verdict"] == UNUSABLE for row in listed]
        risky = [row["email_verdict"] == "risky" for row in listed]
        bounced = [row.get("email_bounced") is True for row in listed]
        is_known = any(row.get("email_bounced") is not None for row in listed)
        at_risk = sum(map(any, zip(bad, risky, bounced, strict=True)))
        counts = (len(listed), sum(bad), sum(risky), sum(bounced) if is_known else None)
        yield (*key, *counts, share(at_risk, len(listed)))


def _names(rows: Rows) -> dict[str, Any]:
    return {
        row[key]: row.get("full_name") or row.get("name")
        for table, key in _NAMED.items()
        for row in rows.of(table)
    }


def undiallable(rows: Rows) -> Lines:
    """24."""
    names = _names(rows)
    for point in rows.of("contact_points"):
        if (point["kind"], point["verdict"]) == ("phone", "invalid"):
            whose = (point["connection"], point["table_name"], point["record_key"])
            about = (point["label"], point["value"], point["region"] or None)
            yield (*whose, names[point["record_key"]], *about, ", ".join(point["reasons"]))


def mistyped(rows: Rows) -> Lines:
    """25."""
    names = _names(rows)
    emails = [point for point in rows.of("contact_points") if point["kind"] == "email"]
    known = {point["normalized"].lower() for point in emails if point["normalized"]}
    for point in emails:
        if point.get("suggestion") is not None:
            whose = (point["connection"], point["table_name"], point["record_key"])
            meant = point["suggestion"]
            yield (
                *(*whose, names[point["record_key"]], point["value"], meant, point["verdict"]),
                meant.lower() in known,
            )
